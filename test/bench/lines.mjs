/** Lines of the table, and what groups make them of. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { spread } from './measure.mjs';

/** @import { Measured, Spread } from './measure.mjs' */
/** @typedef {'ms' | 'ns' | 'MiB' | '×' | '%'} Unit */
/** Where a line stands in a picture: its name, the curve, and x. @typedef {{ picture: string, curve: string, x: number }} Point */
/** @typedef {{ runs: number, folder: string, start: (row: string, args: (string | number)[]) => Promise<Measured> }} Bench */
/** @typedef {Spread & { group: string, name: string, unit: Unit, goal?: number, note?: string, point?: Point }} Row */

export const KiB = 2 ** 10;
export const MiB = 2 ** 20;
export const GiB = 2 ** 30;

/**
 * @param {string} group
 * @param {string} name
 * @param {Unit} unit
 * @param {number[]} samples
 * @param {Pick<Row, 'goal' | 'note' | 'point'>} [more]
 * @returns {Row}
 */
export function row(group, name, unit, samples, more = {}) {
  return { group, name, unit, ...spread(samples), ...more };
}

/** A row of one figure: a ratio of medians of this run. @param {string} group @param {string} name @param {number} over @param {number} under @param {Pick<Row, 'goal' | 'note'>} [more] @returns {Row} */
export function ratio(group, name, over, under, more = {}) {
  return row(group, name, '×', [over / under], more);
}

/** @param {Measured} measured @param {string} quantity */
export function medianOf(measured, quantity) {
  return spread(samplesOf(measured, quantity)).median;
}

/** @param {Measured} measured @param {string} quantity */
export function samplesOf(measured, quantity) {
  const samples = measured.samples[quantity];
  if (samples === undefined) throw new Error(`bench: a row's program reported no ${quantity}`);
  return samples;
}

/** @param {number} times @param {() => Promise<number[]>} once */
export async function repeat(times, once) {
  const samples = [];
  for (let i = 0; i < times; i++) samples.push(...(await once()));
  return samples;
}

/** A folder for one row. @param {string} folder @param {string} name */
export function under(folder, name) {
  const own = join(folder, name);
  mkdirSync(own);
  return own;
}
