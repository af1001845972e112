/** What takes long, much memory or many files. Where the machine has too little free memory a line says so. */
import { spawnSync } from 'node:child_process';
import { readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'tsup';
import { GiB, MiB, medianOf, ratio, repeat, row, samplesOf, under } from './lines.mjs';
import { spread } from './measure.mjs';

/** @import { Bench, Row } from './lines.mjs' */

const GENERATIONS = 300;
const SHARE = 0.01;
const SMALL = 256 * MiB;

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function generations({ start, runs, folder }) {
  const group = 'generations';
  const store = join(folder, 'store');
  const copy = await start('copy', [SMALL, runs]);
  const many = await start('generations', [SMALL, GENERATIONS, SHARE, store]);
  const whole = join(folder, 'whole');
  await start('generations', [SMALL, 1, 0, whole]);
  const restore = await repeat(runs, async () => samplesOf(await start('restore-checksum', [store]), 'restoreMs'));
  const restoreWhole = await repeat(runs, async () => samplesOf(await start('restore-checksum', [whole]), 'restoreMs'));
  const copyMs = medianOf(copy, 'copyMs');
  return [
    row(group, '256 MiB, 1 % of the pages at random: freeze', 'ms', samplesOf(many, 'freezeMs'), {
      goal: Number((1.15 * copyMs).toFixed(1)),
    }),
    row(group, '  beside: a warm copy of the same memory', 'ms', samplesOf(copy, 'copyMs')),
    row(group, 'durable', 'ms', samplesOf(many, 'durableMs')),
    row(group, 'bytes of the first incremental image, of the pages written', '×', samplesOf(many, 'first'), { goal: 1.15 }),
    row(group, `bytes of all images over ${GENERATIONS} generations, keep 3, of the pages written`, '×', samplesOf(many, 'amortised'), {
      goal: 4,
    }),
    row(group, 'bytes of the largest of them, of the pages written', '×', samplesOf(many, 'worst')),
    row(group, `restore of generation ${GENERATIONS}`, 'ms', restore),
    row(group, '  beside: restore of a full image', 'ms', restoreWhole),
    ratio(group, `restore of generation ${GENERATIONS}, of that of a full image`, spread(restore).median, spread(restoreWhole).median, {
      goal: 3,
    }),
  ];
}

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function loop({ start, runs, folder }) {
  const group = 'loop';
  /** @type {Row[]} */
  const rows = [];
  for (const [what, busy] of /** @type {const} */ ([
    ['', 0],
    [', another thread busy', 1],
  ])) {
    const found = await start('loop', [GiB, runs, join(folder, `store-${busy}`), busy]);
    // A goal is a most: of the time that a step takes then, beside what it takes alone.
    const slower = samplesOf(found, 'speed').map((speed) => 1 / speed);
    rows.push(
      row(group, `time of a 5 ms step while 1 GiB is written, of one undisturbed${what}`, '×', slower, busy === 0 ? { goal: 1.25 } : {}),
      row(group, `99 of 100 steps longer by at most${what}`, 'ms', samplesOf(found, 'laterP99Ms'), busy === 0 ? { goal: 20 } : {}),
    );
  }
  return rows;
}

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function restartedSteps({ start, runs, folder }) {
  const group = 'steps';
  const store = join(folder, 'store');
  const fresh = await start('steps', [SMALL, runs, store]);
  const restarted = await start('steps', [SMALL, runs, store]);
  if (samplesOf(restarted, 'restarted')[0] !== 1) throw new Error('bench: the second life was not restarted');
  return [
    row(group, 'a pass over 256 MiB in a restarted program', 'ms', samplesOf(restarted, 'stepMs')),
    row(group, '  beside: in one begun fresh', 'ms', samplesOf(fresh, 'stepMs')),
    ratio(group, 'the first, of the second', medianOf(restarted, 'stepMs'), medianOf(fresh, 'stepMs'), { goal: 1.05 }),
  ];
}

/** Has the operating system forget what it keeps of a file's content: GNU dd asks it to with posix_fadvise. @param {string} file */
function dropFromCache(file) {
  const { status, stderr } = spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`bench: cannot drop ${file} from the page cache: ${stderr}`);
}

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function coldRestore({ start, runs, folder }) {
  const group = 'cold';
  const store = join(folder, 'store');
  await start('checkpoint', [GiB, 1, store]);
  const [image = ''] = readdirSync(join(store, 'images')).map((name) => join(store, 'images', name));
  const read = async () => samplesOf(await start('read', [image]), 'readMs');
  /** @type {Record<'cold' | 'warm' | 'restore', number[]>} */
  const samples = { cold: [], warm: [], restore: [] };
  for (let run = 0; run < runs; run++) {
    dropFromCache(image);
    samples.cold.push(...(await read()));
    samples.warm.push(...(await read()));
    dropFromCache(image);
    samples.restore.push(...samplesOf(await start('restore', [store, 1]), 'restoreMs'));
  }
  return [
    row(group, 'restore of 1 GiB that is not in the page cache', 'ms', samples.restore),
    row(group, '  beside: reading it into fresh memory', 'ms', samples.cold),
    row(group, '  beside: the same right after, from the page cache', 'ms', samples.warm),
    ratio(group, 'restore, of reading it into fresh memory', spread(samples.restore).median, spread(samples.cold).median, { goal: 1.2 }),
  ];
}

const IMAGES = 10_000;
const FEW = 100;

/** The image writer as a module of its own: it is no part of the public surface. @param {string} folder */
async function builtWriter(folder) {
  const sources = join(import.meta.dirname, '../../packages/sdk/src');
  // The hash is native code, which stays where it is installed.
  symlinkSync(join(import.meta.dirname, '../../node_modules'), join(folder, 'node_modules'));
  const all = join(folder, 'all.ts');
  const parts = ['base/ids', 'image/reader', 'image/writer', 'store/layout'];
  writeFileSync(all, parts.map((part) => `export * from ${JSON.stringify(join(sources, `${part}.js`))};\n`).join(''));
  await build({
    entry: { writer: all },
    outDir: folder,
    format: ['esm'],
    target: 'node20',
    external: [/^@napi-rs/],
    noExternal: [/^(?!@napi-rs)/],
    config: false,
    silent: true,
    outExtension: () => ({ js: '.mjs' }),
  });
  return pathToFileURL(join(folder, 'writer.mjs')).href;
}

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function manyImages({ start, runs, folder }) {
  const group = 'many';
  const built = await builtWriter(folder);
  const [few, many] = [under(folder, 'few'), under(folder, 'many')].map((own) => join(own, 'store'));
  await start('many-make', [few ?? '', FEW, built]);
  await start('many-make', [many ?? '', IMAGES, built]);
  /** @param {string | undefined} store @param {string} what @param {string} quantity @param {number} times */
  const samples = (store, what, quantity, times) =>
    repeat(times, async () => samplesOf(await start('many', [store ?? '', what, IMAGES]), quantity));
  const fewMiB = spread(await samples(few, 'list', 'memoryMiB', runs)).median;
  const goal = { goal: 1000 };
  return [
    row(group, `list of ${IMAGES} images`, 'ms', await samples(many, 'list', 'ms', runs), goal),
    row(
      group,
      `memory of it beyond that of a list of ${FEW}`,
      'MiB',
      (await samples(many, 'list', 'memoryMiB', runs)).map((own) => own - fewMiB),
    ),
    row(group, `open and start from the newest of ${IMAGES}`, 'ms', await samples(many, 'open', 'ms', runs), goal),
    row(group, `prune with ${IMAGES} to keep, the first of a life`, 'ms', await samples(many, 'prune-nothing', 'ms', runs), goal),
    row(group, `prune of half of ${IMAGES}`, 'ms', await samples(many, 'prune-half', 'ms', 1), goal),
  ];
}

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function beyondBudget({ start, runs, folder }) {
  const group = 'beyond';
  const bytes = 6 * GiB;
  const name = 'a state of 6 GiB, memoryBudget 1GiB';
  if (freemem() < 14 * GiB) return [row(group, name, 'ms', [Number.NaN], { note: 'not measured: less than 14 GiB of memory are free' })];
  const store = join(folder, 'store');
  const found = await start('checkpoint', [bytes, runs, store, '1GiB']);
  const dd = await start('dd', [bytes, runs, folder, 'direct']);
  const restore = await repeat(runs, async () => samplesOf(await start('restore', [store, runs]), 'restoreMs'));
  return [
    row(group, `${name}: freeze (it is written meanwhile)`, 'ms', samplesOf(found, 'freezeMs')),
    row(group, 'durable', 'ms', samplesOf(found, 'durableMs')),
    row(group, '  beside: dd oflag=direct conv=fsync', 'ms', samplesOf(dd, 'ddMs')),
    row(group, 'memory beyond the state, at most', 'MiB', samplesOf(found, 'beyondMiB'), { goal: 1280 }),
    row(group, 'restore', 'ms', restore),
  ];
}
