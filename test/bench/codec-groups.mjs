/** The codec beside what else there is, each data set and encoding in a process of its own. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'tsup';
import { spread } from './measure.mjs';

/** @import { Bench, Row } from './lines.mjs' */

const SETS = { records: 'a Map of 1,000,000 records', tree: 'a mixed tree of 200 MB', graph: 'a cyclic graph of 200,000 instances' };
const ENCODINGS = ['ckpt', 'json', 'v8', 'msgpackr, records', 'msgpackr, structuredClone + moreTypes', 'cbor-x', 'superjson'];
/** What does not carry cycles, or goes down the whole graph by recursion. */
const WITHOUT_CYCLES = new Set(['json', 'msgpackr, records']);

/** @type {import('./measure.mjs').Measured} */
const TOO_LONG = { samples: {}, note: 'cannot: out of memory, or no end within three minutes' };

/** The codec as a module of its own: it is no part of the public surface. @param {string} folder */
async function builtCodec(folder) {
  const sources = join(import.meta.dirname, '../../packages/sdk/src/codec');
  await build({
    entry: { codec: join(sources, 'codec.ts'), classes: join(sources, 'classes.ts') },
    outDir: folder,
    format: ['esm'],
    target: 'node20',
    splitting: true,
    noExternal: [/.*/],
    config: false,
    silent: true,
    outExtension: () => ({ js: '.mjs' }),
  });
  const { writeFile } = await import('node:fs/promises');
  await writeFile(join(folder, 'all.mjs'), "export * from './codec.mjs';\nexport * from './classes.mjs';\n");
  return pathToFileURL(join(folder, 'all.mjs')).href;
}

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function codec({ start, runs, folder }) {
  const built = await builtCodec(folder);
  const rows = [];
  for (const [set, what] of Object.entries(SETS)) {
    const encodings = set === 'graph' ? ['a bare identity walk', ...ENCODINGS.filter((name) => !WITHOUT_CYCLES.has(name))] : ENCODINGS;
    for (const encoding of encodings) {
      const { samples, note } = await start('codec', [runs, set, encoding, built]).catch(() => TOO_LONG);
      for (const [direction, quantity] of /** @type {const} */ ([
        ['encode', 'encodeMs'],
        ['decode', 'decodeMs'],
      ])) {
        const found = samples[quantity] ?? [];
        if (found.length > 0) rows.push(row(`${direction} ${what}: ${encoding}`, found));
        else if (note !== undefined && direction === 'encode')
          rows.push({ ...row(`${direction} ${what}: ${encoding}`, [Number.NaN]), note });
      }
    }
  }
  return rows;
}

/** @param {string} name @param {number[]} samples @returns {Row} */
function row(name, samples) {
  return { group: 'codec', name, unit: 'ms', ...spread(samples) };
}
