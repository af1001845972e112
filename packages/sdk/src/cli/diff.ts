/** `ckpt diff`: what differs in the state of two images, without the program. */
import { type Command, InvalidArgumentError } from 'commander';
import { shown } from '../codec/paths.js';
import { type Difference, type DiffSide, diffImages, type ImagesDiff } from '../images.js';
import { EXIT } from './exit-codes.js';
import { type Terminal, writeJson } from './output.js';
import { printable } from './printable.js';
import type { Session } from './session.js';

interface DiffFlags {
  readonly limit?: number;
}

/** A screenful. */
const SHOWN = 40;

export function addDiff(program: Command, session: Session): void {
  program
    .command('diff')
    .summary('show what differs in the state of two images')
    .description(
      'Compares the state in two images, A with B; the program and its classes are not needed. A line is + (only in B), ' +
        '- (only in A), M (modified) or T (of another type), the path, and what is there; arrays of numbers are told as a sum. ' +
        'Exits 0 when nothing differs and 1 when something does. What both images take from the same place is not read: ' +
        'damage in it is found by ckpt verify.\n\n' +
        'Example: ckpt diff before-anneal latest',
    )
    .argument('<A>', 'a file, a name, an id, at least six digits of an id, or latest')
    .argument('<B>', 'likewise')
    .option('--limit <n>', `most differences to show (default: ${SHOWN}, with --json 1000)`, parseLimit)
    .action((a: string, b: string, flags: DiffFlags) => diff(a, b, flags, session));
}

function parseLimit(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number.');
}

async function diff(a: string, b: string, { limit }: DiffFlags, { terminal, options, exitWith }: Session): Promise<void> {
  const { dir, json } = options();
  const found = await diffImages(a, b, { dir, limit: limit ?? (json ? undefined : SHOWN) });
  if (json) writeJson(terminal, toldInJson(found));
  else terminal.out(toldInLines(found, terminal));
  if (!found.same) exitWith(EXIT.failed);
}

/** JSON has no integers of any size: they are told as `ckpt get` does. */
function toldInJson(found: ImagesDiff): unknown {
  const differences = found.differences.map(({ elements, ...difference }) => {
    if (elements === undefined) return difference;
    const { maxDelta } = elements;
    return { ...difference, elements: { ...elements, maxDelta: typeof maxDelta === 'bigint' ? { $bigint: String(maxDelta) } : maxDelta } };
  });
  return { ...found, differences };
}

function toldInLines({ differences, counts }: ImagesDiff, { outColors }: Terminal): string {
  const { green, red, yellow, magenta } = outColors;
  const colors = { '+': green, '-': red, M: yellow, T: magenta } as const;
  const lines = differences.map((one) => `${colors[one.mark](one.mark)} ${printable(shown(one.path))}  ${printable(described(one))}\n`);
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const left = total - differences.length;
  return lines.join('') + (left > 0 ? `and ${left} more (--limit N shows more)\n` : '');
}

function described({ mark, part, a, b, elements }: Difference): string {
  if (elements !== undefined) {
    const { of, changed, first, maxDelta } = elements;
    const most = maxDelta === undefined || part === 'bytes' ? '' : `, max |Δ| ${maxDelta}`;
    return `${changed} of ${of} ${part}${most}, first at [${first}]`;
  }
  if (mark === '+' || mark === '-') return (a ?? b)?.text ?? '';
  const kinds = mark === 'T' && part === 'value';
  return `${part === 'value' ? '' : `${part}: `}${sideText(a, kinds)} → ${sideText(b, kinds)}`;
}

function sideText(side: DiffSide | undefined, kinds: boolean): string {
  const { kind = '', text = '' } = side ?? {};
  return kinds && !text.startsWith(kind.replace('class ', '')) ? `${kind} ${text}` : text;
}
