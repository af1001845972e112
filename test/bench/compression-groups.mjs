/** What compression costs and saves: a state of many records, with each choice of the option. */
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { ratio, row, samplesOf } from './lines.mjs';
import { spread } from './measure.mjs';

/** @import { Bench, Row } from './lines.mjs' */
/** @import { Measured } from './measure.mjs' */

const MEBIBYTES = 50;
const PASSES = 3;
const CHOICES = ['none', 'auto', 'brotli', ...('zstdCompress' in zlib ? ['zstd'] : [])];
/** `auto` must not make images durable later than by what the machine varies. */
const MOST = 1.1;

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function compression({ start, runs, folder }) {
  const group = 'compression';
  /** @type {Map<string, Measured[]>} */
  const measured = new Map(CHOICES.map((choice) => [choice, []]));
  // In turn, because the machine varies by more than what is looked for.
  for (let pass = 0; pass < PASSES; pass++)
    for (const [choice, list] of measured) list.push(await start('records', [MEBIBYTES, runs, join(folder, `${choice}-${pass}`), choice]));
  /** @param {string} choice @param {string} name */
  const samples = (choice, name) => (measured.get(choice) ?? []).flatMap((one) => samplesOf(one, name));
  const background = (/** @type {string} */ choice) => spread(samples(choice, 'persistMs')).median;
  return [
    row(group, `structured state of ${MEBIBYTES} MiB`, 'MiB', samples('none', 'stateMiB')),
    ...CHOICES.flatMap((choice) => [
      row(group, `durable, compression: '${choice}'`, 'ms', samples(choice, 'durableMs')),
      row(group, `of it in the background, compression: '${choice}'`, 'ms', samples(choice, 'persistMs')),
      row(group, `stored, compression: '${choice}'`, 'MiB', samples(choice, 'storedMiB')),
    ]),
    ratio(group, "the background with 'auto', of that with 'none'", background('auto'), background('none'), { goal: MOST }),
  ];
}
