/** `ckpt restart`: starts the program of the store from an image, and exits as the program does. */
import type { Command } from 'commander';
import { type FilePlan, type ProgramOwner, type RestartPlan, type Root, restartImage } from '../images.js';
import { EXIT } from './exit-codes.js';
import { isRefusedMember, membersText } from './member-plans.js';
import { facts, formatAge, formatBytes, shortId, type Terminal, table, writeJson } from './output.js';
import { printable, printableArgument } from './printable.js';
import { isRefused, providersText } from './provider-plans.js';
import { type Session, UsageError } from './session.js';

interface RestartFlags {
  readonly dryRun?: true;
  readonly ask?: true;
  readonly takeOver?: true;
  readonly root?: readonly string[];
}

export function addRestart(program: Command, session: Session): void {
  program
    .command('restart')
    .summary('start the program again, from an image')
    .description(
      'Starts the recorded program in its recorded working directory, from the named image or from the newest ' +
        'usable one on the lineage, and exits with the code of the program (128+n when signal n ended it). ' +
        'A command after -- is started instead of the recorded one. The path of an exported image is taken into the store ' +
        'first, and wants the command.\n\n' +
        'Example: ckpt restart before-anneal --dry-run',
    )
    .argument('[image]', 'a name, an id, at least six digits of an id, latest, or the path of an exported image')
    .option('--dry-run', 'show what would happen, start nothing')
    .option('--ask', 'with --dry-run: start the program only to ask it what it would do with each section; it ends inside start()')
    .option('--take-over', 'end a program that still owns the store, after checking who it is')
    .option('--root <from=to>', 'recorded paths below FROM lie below TO now (may be repeated)', (value, all: string[] = []) => [
      ...all,
      value,
    ])
    .action((image: string | undefined, flags: RestartFlags) => restart(image, flags, session));
}

async function restart(image: string | undefined, flags: RestartFlags, session: Session): Promise<void> {
  const { dir, json } = session.options();
  const options = {
    takeOver: flags.takeOver ?? false,
    roots: (flags.root ?? []).map(parseRoot),
    onWaiting: ({ pid, host }: ProgramOwner) =>
      session.terminal.err(`waiting for the program that still runs (pid ${pid} on ${printable(host)})\n`),
    ...(image === undefined ? {} : { image }),
    ...(session.trailing === undefined ? {} : { command: session.trailing }),
  };
  if (flags.ask === true && flags.dryRun !== true) throw new UsageError('--ask goes with --dry-run');
  if (flags.dryRun !== true) {
    const { exitCode } = await restartImage(dir, options);
    session.exitWith(exitCode);
    return;
  }
  const plan = await restartImage(dir, { ...options, dryRun: true, ask: flags.ask ?? false });
  if (json) writeJson(session.terminal, plan);
  else session.terminal.out(describePlan(plan, session.terminal));
  if (plan.providers.some(isRefused) || plan.members.some(isRefusedMember)) session.exitWith(EXIT.mismatch);
  else if (plan.files.some(({ refused }) => refused !== undefined)) session.exitWith(EXIT.failed);
}

function parseRoot(text: string): Root {
  const at = text.indexOf('=');
  if (at < 1 || at === text.length - 1) throw new UsageError(`--root: expected FROM=TO, got '${text}'`);
  return { from: text.slice(0, at), to: text.slice(at + 1) };
}

export function describePlan(plan: RestartPlan, terminal: Terminal): string {
  const { image, passedOver, command, environment, store, files } = plan;
  const { outColors: color } = terminal;
  const names = image.names.map((name) => ` ${printable(name)}`).join(',');
  const age = formatAge(image.createdAt, terminal.now());
  const lines: (readonly [string, string])[] = [
    [
      'image',
      `${printable(image.id)}${names} (generation ${image.generation}, epoch ${image.epoch}, ${age}, ${formatBytes(image.size)}), verified`,
    ],
    ...passedOver.map(({ id, code, message }) => ['passed over', color.yellow(`${shortId(id)}: ${printable(message)} [${code}]`)] as const),
    ['store', printable(store)],
    ['cwd', printable(command.cwd)],
    ['command', printable([command.execPath, ...command.execArgv, ...command.argv].map(printableArgument).join(' '), 2_000)],
    [
      'environment',
      printable(
        Object.entries(environment)
          .map(([key, value]) => `${key}=${printableArgument(value)}`)
          .join(' '),
        2_000,
      ),
    ],
  ];
  const rows = image.sections.map(({ member, name, length, bulk }) => [
    { text: printable(member) },
    { text: printable(name) },
    { text: formatBytes(length + bulk) },
  ]);
  const sections =
    rows.length === 0
      ? 'no sections\n'
      : table([{ title: 'MEMBER' }, { title: 'SECTION' }, { title: 'SIZE', align: 'right' }], rows, color.bold);
  const ends = image.finished ? '\nthe run is finished: the program would be told so\n' : '';
  return `${facts(lines, color.bold)}\n${sections}${providersText(plan, terminal)}${membersText(plan, terminal)}${filesText(files, terminal)}${ends}`;
}

const FILE_COLUMNS = [
  { title: 'FILE' },
  { title: 'POLICY' },
  { title: 'FOUND' },
  { title: 'BEYOND', align: 'right' },
  { title: 'PREFIX' },
  { title: 'WOULD BE' },
  { title: 'PATH' },
] as const;

function filesText(files: readonly FilePlan[], { outColors: color }: Terminal): string {
  if (files.length === 0) return '';
  const rows = files.map((file) => [
    { text: printable(file.name) },
    { text: printable(file.policy) },
    { text: file.found ? 'yes' : 'no' },
    { text: file.beyond === 0 ? '-' : formatBytes(file.beyond) },
    { text: file.prefix },
    file.refused === undefined ? { text: wouldBe(file) } : { text: 'refused', color: color.red },
    { text: printable(file.path) },
  ]);
  const refusals = files.flatMap(({ refused }) =>
    refused === undefined ? [] : [`${printable(refused.message, 2_000)} [${refused.code}]\n`],
  );
  return `\n${table(FILE_COLUMNS, rows, color.bold)}${refusals.length === 0 ? '' : `\n${refusals.join('')}`}`;
}

function wouldBe({ put }: FilePlan): string {
  switch (put.do) {
    case 'nothing':
      return 'left as it is';
    case 'cut':
      return `cut from ${put.from} to ${put.to} bytes`;
    case 'remove':
      return `removed (${put.from} bytes)`;
    case 'write-contents':
      return put.from === undefined ? `made again, ${put.size} bytes` : `overwritten with ${put.size} bytes of the image`;
    case 'copy-back':
      return `put back from a copy, ${put.size} bytes`;
  }
}
