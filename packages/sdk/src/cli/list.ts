/** `ckpt list`: the images of the store, newest first. */
import type { Command } from 'commander';
import { type ListedImage, listImages } from '../images.js';
import { type Cell, formatAge, formatBytes, shortId, type Terminal, table, writeJson } from './output.js';
import { printable } from './printable.js';
import type { Session } from './session.js';

const COLUMNS = [
  { title: '' },
  { title: 'NAMES' },
  { title: 'ID' },
  { title: 'GEN', align: 'right' },
  { title: 'EPOCH', align: 'right' },
  { title: 'AGE', align: 'right' },
  { title: 'SIZE', align: 'right' },
  { title: 'NOTES' },
] as const;

export function addList(program: Command, session: Session): void {
  program
    .command('list')
    .summary('list the images of the store, newest first')
    .description(
      'Lists the images, newest first. A star marks those a restart may choose by itself; the others are on ' +
        'branches and are reached by name or id. Damage is told as far as the manifest shows it; verify looks at every byte.\n\n' +
        'Example: ckpt list --dir ./ckpt',
    )
    .action(() => list(session));
}

async function list({ terminal, options }: Session): Promise<void> {
  const { dir, json } = options();
  const images = await listImages(dir);
  if (json) writeJson(terminal, { images });
  else if (images.length === 0) terminal.err('no images in this store\n');
  else terminal.out(imageTable(images, terminal));
}

export function imageTable(images: readonly ListedImage[], terminal: Terminal): string {
  const now = terminal.now();
  return table(
    COLUMNS,
    images.map((image) => row(image, terminal, now)),
    terminal.outColors.bold,
  );
}

function row(image: ListedImage, { outColors: color }: Terminal, now: number): Cell[] {
  const fade = image.damage === undefined && !image.lineage ? color.dim : undefined;
  const cell = (text: string, own?: (text: string) => string): Cell => {
    const paint = own ?? fade;
    return paint === undefined ? { text } : { text, color: paint };
  };
  const names = image.names.map((name) => printable(name, 64)).join(', ');
  return [
    cell(image.lineage ? '*' : ' ', color.green),
    cell(names === '' ? '-' : names, names === '' ? color.dim : color.cyan),
    cell(shortId(image.id)),
    cell(String(image.generation)),
    cell(String(image.epoch)),
    cell(formatAge(image.createdAt, now)),
    cell(formatBytes(image.size)),
    cell(notes(image), image.damage === undefined ? color.dim : color.red),
  ];
}

function notes({ damage, finished, source, leased, lineage, reason }: ListedImage): string {
  if (damage !== undefined) return `DAMAGED ${damage.code}`;
  const said = [
    finished ? 'finished' : undefined,
    source ? 'source' : undefined,
    leased === undefined ? undefined : 'leased',
    lineage ? undefined : 'branch',
    finished ? undefined : reason,
  ];
  return said.flatMap((note) => (note === undefined ? [] : [printable(note, 32)])).join(', ');
}
