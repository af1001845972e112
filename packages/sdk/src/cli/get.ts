/** `ckpt get`: values out of an image, without the program. */
import type { Command } from 'commander';
import { type OpenedImage, readImage } from '../images.js';
import { jsonPieces } from '../tools/json-value.js';
import { npyOf } from '../tools/npy.js';
import { showValue } from '../tools/show-value.js';
import { parsePath, valueAt } from '../tools/value-path.js';
import { formatBytes, type Terminal, table, writeJson } from './output.js';
import { escapedJson, printable } from './printable.js';
import { type Session, UsageError } from './session.js';

interface GetFlags {
  readonly npy?: true;
  readonly member?: string;
}

const LONGEST = 200_000;
const COLUMNS = [{ title: 'SECTION' }, { title: 'MEMBER' }, { title: 'KIND' }, { title: 'SIZE', align: 'right' }] as const;

export function addGet(program: Command, session: Session): void {
  program
    .command('get')
    .summary('show a value out of an image')
    .description(
      'Shows a value of the state in an image; the program and its classes are not needed. A path begins with the name of a ' +
        'section: sim.particles[-1].spin, sim.grid[0:10], sim.grid[::2], sim.map["x"], sim.map<key 3>. Without a path: the sections. ' +
        'What is shown is cut to a few screens; --json and --npy never are.\n\n' +
        "Example: ckpt get before-anneal 'sim.grid[0:10]'",
    )
    .argument('<image>', 'a file, a name, an id, at least six digits of an id, or latest')
    .argument('[path]', 'what to show')
    .option('--npy', 'a typed array, or a slice of one, as an .npy file on stdout')
    .option('--member <name>', 'of which member, when several have a section of that name')
    .action((image: string, path: string | undefined, flags: GetFlags) => get(image, path, flags, session));
}

async function get(name: string, path: string | undefined, flags: GetFlags, { terminal, options }: Session): Promise<void> {
  const { dir, json } = options();
  if (flags.npy === true && json) throw new UsageError('--npy: expected alone, got --json too');
  if (flags.npy === true && path === undefined) throw new UsageError('--npy: expected the path of a typed array');
  if (flags.npy === true && terminal.screen) throw new UsageError('--npy: expected a file or a pipe, not a terminal: add > FILE.npy');
  const image = await readImage(name, { dir });
  try {
    if (path === undefined) listSections(image, json, terminal);
    else await getValue(image, path, flags, json, terminal);
  } finally {
    await image.close();
  }
}

function listSections({ id, sections }: OpenedImage, json: boolean, terminal: Terminal): void {
  if (json) {
    writeJson(terminal, { id, sections });
    return;
  }
  const rows = sections.map(({ name, member, kind, length, bulk }) =>
    [printable(name), printable(member), printable(kind), formatBytes(length + bulk)].map((text) => ({ text })),
  );
  terminal.out(table(COLUMNS, rows, terminal.outColors.bold));
}

async function getValue(image: OpenedImage, text: string, flags: GetFlags, json: boolean, terminal: Terminal): Promise<void> {
  const path = parsePath(
    text,
    image.sections.map(({ name }) => name),
  );
  const value = valueAt(await image.section(path.section, flags.member), path);
  if (flags.npy === true) {
    for (const bytes of npyOf(value, text)) terminal.bytes(bytes);
  } else if (json) {
    for (const piece of jsonPieces(value, text)) terminal.out(escapedJson(piece));
    terminal.out('\n');
  } else {
    terminal.out(
      `${showValue(value)
        .split('\n', LONGEST)
        .map((line) => printable(line, LONGEST))
        .join('\n')}\n`,
    );
  }
}
