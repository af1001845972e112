/** How the figures grow: with the size of the state, with the number of providers, with the share of it that changed. */
import { freemem } from 'node:os';
import { join } from 'node:path';
import { GiB, MiB, repeat, row, samplesOf, under } from './lines.mjs';

/** @import { Bench, Row } from './lines.mjs' */

/** The largest does not fit the memory budget: its program stands until it is written. */
const SIZES = [MiB, 16 * MiB, 128 * MiB, GiB, 6 * GiB];
const PROVIDERS = [1, 10, 100, 1000];
const SHARED_BYTES = 64 * MiB;
const SHARES = [0, 0.001, 0.01, 0.1, 0.3, 0.6, 1];
const DIRTY_BYTES = 256 * MiB;

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function withSize({ start, runs, folder }) {
  /** @type {Row[]} */
  const rows = [];
  for (const bytes of SIZES) {
    const name = `${bytes / MiB} MiB`;
    if (freemem() < 2.4 * bytes) {
      rows.push(row('growth-size', name, 'ms', [Number.NaN], { note: 'not measured: too little memory is free' }));
      continue;
    }
    const store = join(under(folder, `size-${bytes}`), 'store');
    const found = await start('checkpoint', [bytes, runs, store]);
    const restoreMs = await repeat(runs, async () => samplesOf(await start('restore', [store, runs]), 'restoreMs'));
    rows.push(...four('growth-size', name, bytes / MiB, { ...found.samples, restoreMs }));
  }
  return rows;
}

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function withProviders({ start, runs, folder }) {
  /** @type {Row[]} */
  const rows = [];
  for (const providers of PROVIDERS) {
    const args = [SHARED_BYTES, providers, runs, join(under(folder, `providers-${providers}`), 'store')];
    const found = await start('providers', args);
    const restoreMs = await repeat(runs, async () => samplesOf(await start('providers', args), 'restoreMs'));
    rows.push(...four('growth-providers', `64 MiB in ${providers} providers`, providers, { ...found.samples, restoreMs }));
  }
  return rows;
}

/** @param {string} group @param {string} name @param {number} x @param {Record<string, number[]>} samples */
function four(group, name, x, samples) {
  return /** @type {const} */ ([
    ['freeze', 'freezeMs', 'ms'],
    ['durable', 'durableMs', 'ms'],
    ['restore', 'restoreMs', 'ms'],
    ['memory beyond the state', 'beyondMiB', 'MiB'],
  ]).map(([what, quantity, unit]) => {
    const curve = `${what}, ${unit}`;
    return row(group, `${name}: ${what}`, unit, samplesOf({ samples }, quantity), { point: { picture: group, curve, x } });
  });
}

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function withChanges({ start, runs, folder }) {
  const group = 'growth-changes';
  const copy = samplesOf(await start('copy', [DIRTY_BYTES, runs]), 'copyMs');
  /** @type {Row[]} */
  const rows = [];
  for (const share of SHARES) {
    const found = await start('dirty', [DIRTY_BYTES, share, runs, join(under(folder, `share-${share}`), 'store')]);
    // A share of zero has no place on a scale of powers of ten.
    const x = 100 * Math.max(share, 1e-4);
    const at = (/** @type {string} */ curve) => ({ point: { picture: group, curve, x } });
    rows.push(
      row(group, `256 MiB, ${100 * share} % of the pages changed: freeze`, 'ms', samplesOf(found, 'freezeMs'), at('freeze, ms')),
      row(group, '  beside: a warm copy of it', 'ms', copy, at('warm copy, ms')),
    );
  }
  return rows;
}
