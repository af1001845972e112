/** `ckpt stat`: all that one image's manifest tells. */
import type { Command } from 'commander';
import { formatDuration } from '../base/duration.js';
import { type ImageDetails, type SectionDetails, statImage } from '../images.js';
import { droppedText } from './dropped.js';
import { facts, formatAge, formatBytes, formatTime, type Terminal, table, writeJson } from './output.js';
import { printable, printableArgument } from './printable.js';
import type { Session } from './session.js';

const MOST_FILES = 50;

const SECTION_COLUMNS = [
  { title: 'SECTION' },
  { title: 'KIND' },
  { title: 'VERSION', align: 'right' },
  { title: 'ENCODING' },
  { title: 'STRUCTURED', align: 'right' },
  { title: 'BULK', align: 'right' },
  { title: 'FROM BASES', align: 'right' },
  { title: 'COMPRESSED' },
] as const;

const FILE_COLUMNS = [
  { title: 'TRACKED FILE' },
  { title: 'FLAGS' },
  { title: 'POLICY' },
  { title: 'POSITION', align: 'right' },
  { title: 'SIZE', align: 'right' },
  { title: 'PATH' },
] as const;

const DESCRIPTOR_COLUMNS = [
  { title: 'FD', align: 'right' },
  { title: 'FLAGS' },
  { title: 'POSITION', align: 'right' },
  { title: 'TRACKED AS' },
  { title: 'OPEN FILE' },
] as const;

export function addStat(program: Command, session: Session): void {
  program
    .command('stat')
    .summary('show one image: its program, its sections, their sizes')
    .description(
      'Shows what an image says about itself: command line, process, working directory, open files, time, ' +
        'sections with their sizes. Without a name: the newest.\n\n' +
        'Example: ckpt stat before-anneal',
    )
    .argument('[image]', 'a name, an id, or at least six digits of an id')
    .action((image: string | undefined) => stat(image, session));
}

async function stat(image: string | undefined, { terminal, options }: Session): Promise<void> {
  const { dir, json } = options();
  const details = await statImage(dir, image);
  if (json) writeJson(terminal, details);
  else terminal.out(describe(details, terminal));
}

function describe(details: ImageDetails, terminal: Terminal): string {
  const { bold } = terminal.outColors;
  const parts = [facts([...identity(details, terminal), ...program(details)], bold), sectionTable(details.sections, bold)];
  const dropped = details.sections.flatMap(({ name, dropped: one }) => (one === undefined ? [] : [droppedText(name, one)]));
  if (dropped.length > 0) parts.push(dropped.join(''));
  if (details.files.length > 0) parts.push(trackedFiles(details, bold));
  if (details.provenance.openFiles.length > 0) parts.push(openFiles(details, bold));
  return parts.join('\n');
}

type Fact = readonly [label: string, value: string];

function identity(image: ImageDetails, terminal: Terminal): Fact[] {
  return [
    ['image', printable(image.id)],
    ['names', image.names.length === 0 ? '-' : image.names.map((name) => printable(name)).join(', ')],
    ['generation', `${image.generation} (epoch ${image.epoch})`],
    ['time', `${formatTime(image.createdAt)} (${formatAge(image.createdAt, terminal.now())})`],
    ['run time', formatDuration(image.clockMs)],
    ['reason', `${printable(image.reason ?? '?')}${image.finished ? ', finished' : ''}`],
    ['parent', image.parent === undefined ? '- (begun fresh)' : printable(image.parent)],
    ['place', `${image.lineage ? 'on the lineage' : 'on a branch'}${image.source ? ', source of the newest start' : ''}`],
    ['leased', image.leased === undefined ? '-' : printable(image.leased)],
    ['size', formatBytes(image.size)],
    ['buffers', bufferText(image)],
    ['path', printable(image.path)],
  ];
}

function bufferText({ buffers, bases }: ImageDetails): string {
  if (buffers.length === 0) return '-';
  const own = buffers.reduce((sum, { stored }) => sum + stored.own, 0);
  const base = buffers.reduce((sum, { stored }) => sum + stored.base, 0);
  return `${buffers.length} (${formatBytes(own)} here${base === 0 ? '' : `, ${formatBytes(base)} in ${bases.length} bases`})`;
}

function program({ run, producer, provenance, members, files }: ImageDetails): Fact[] {
  const { host, pid, ppid, pgrp, sid, cwd, execPath, execArgv, argv, startedAt, openFiles: open } = provenance;
  const args = argv[0] === execPath ? argv.slice(1) : argv;
  return [
    [
      'program',
      `${[run.app.name, run.app.version]
        .filter((part) => part !== '')
        .map((part) => printable(part))
        .join(' ')} (run ${printable(run.id)})`,
    ],
    ['command', printable([execPath, ...execArgv, ...args].map(printableArgument).join(' '), 2_000)],
    ['cwd', printable(cwd)],
    ['process', `pid ${pid}, ppid ${ppid}, pgrp ${pgrp ?? '-'}, sid ${sid ?? '-'}, on ${printable(host)}, since ${formatTime(startedAt)}`],
    [
      'made with',
      `ckpt ${printable(producer.sdk)}, node ${printable(producer.node)}, ${printable(producer.platform)} ${printable(producer.arch)}`,
    ],
    ['members', members.map(memberText).join(', ') || '-'],
    ['files', `${open.length} open, ${files.length} tracked`],
  ];
}

function memberText({ name, kind, ...more }: ImageDetails['members'][number]): string {
  const opaque = typeof more['opaque'] === 'string' ? `, opaque: ${printable(more['opaque'])}` : '';
  const parent = typeof more['parent'] === 'string' ? ` of ${printable(more['parent'])}` : '';
  return `${printable(name)} (${kind}${parent}${opaque})`;
}

function sectionTable(sections: readonly SectionDetails[], heading: (text: string) => string): string {
  if (sections.length === 0) return 'no sections\n';
  const several = new Set(sections.map(({ member }) => member)).size > 1;
  const rows = sections.map(({ member, name, kind, version, encoding, length, bulk, stored, carriedFrom, compressed }) => [
    { text: printable(several ? `${member}/${name}` : name) },
    { text: printable(carriedFrom === undefined ? kind : `${kind}, carried from generation ${carriedFrom}`) },
    { text: String(version) },
    { text: printable(encoding) },
    { text: formatBytes(length) },
    { text: bulk === 0 ? '-' : formatBytes(bulk) },
    { text: stored.base === 0 ? '-' : formatBytes(stored.base) },
    { text: compressed === undefined ? '-' : `${compressed.methods.join(', ')}, ${formatBytes(compressed.stored)}` },
  ]);
  return table(SECTION_COLUMNS, rows, heading);
}

function trackedFiles({ files }: ImageDetails, heading: (text: string) => string): string {
  const rows = files
    .slice(0, MOST_FILES)
    .map(({ name, path, flags, policy, position, size }) => [
      { text: printable(name) },
      { text: told(flags) },
      { text: told(policy) },
      { text: told(position) },
      { text: told(size) },
      { text: printable(path) },
    ]);
  return table(FILE_COLUMNS, rows, heading) + more(files.length);
}

/** A field that a record of another version may lack. */
function told(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? printable(String(value)) : '-';
}

function openFiles({ provenance }: ImageDetails, heading: (text: string) => string): string {
  const { openFiles: open } = provenance;
  const rows = open
    .slice(0, MOST_FILES)
    .map(({ fd, flags, position, target, tracked, openedAt }) => [
      { text: String(fd) },
      { text: printable(flags === undefined ? '-' : accessOf(flags)) },
      { text: position === undefined ? '-' : String(position) },
      { text: printable(tracked ?? '-') },
      { text: printable(openedAt === undefined ? target : `${target} (opened at ${openedAt})`) },
    ]);
  return table(DESCRIPTOR_COLUMNS, rows, heading) + more(open.length);
}

/** `r`, `w` or `rw`, with `a` for appending: the O_* flags of Linux, the only system that tells them. */
function accessOf(flags: string): string {
  if (!/^[0-7]{1,12}$/.test(flags)) return flags;
  const bits = Number.parseInt(flags, 8);
  return `${['r', 'w', 'rw', '?'][bits & 3]}${(bits & 0o2000) === 0 ? '' : 'a'}`;
}

function more(count: number): string {
  return count > MOST_FILES ? `and ${count - MOST_FILES} more (--json shows all)\n` : '';
}
