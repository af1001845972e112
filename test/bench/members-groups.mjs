/** What members cost: how soon they stand, how long they stand, and how that grows with their number. */
import { freemem } from 'node:os';
import { join } from 'node:path';
import { MiB, medianOf, ratio, row, samplesOf, under } from './lines.mjs';

/** @import { Bench, Row } from './lines.mjs' */

const HELD_BYTES = 256 * MiB;
const HOLDERS = 8;
/** Of each member where their number is what counts. */
const SMALL_BYTES = 64 * 1024;
const WORKERS = [1, 10, 100, 300];
const PROCESSES = [1, 4, 16];
/** A thread takes about so much, a process more. */
const MEMBER_BYTES = { worker: 12 * MiB, process: 64 * MiB };

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function members({ start, runs, folder }) {
  const group = 'members';
  const alone = await start('checkpoint', [HELD_BYTES, runs, join(folder, 'alone')]);
  const held = await start('members', ['worker', HOLDERS, HELD_BYTES, runs, join(folder, 'held')]);
  const forked = await start('members', ['process', HOLDERS, HELD_BYTES, runs, join(folder, 'forked')]);
  const many = await start('members', ['worker', HOLDERS, HOLDERS * SMALL_BYTES, 4 * runs, join(folder, 'small')]);
  return [
    row(group, `quiesce, ${HOLDERS} workers that poll every millisecond`, 'ms', samplesOf(many, 'quiesceMs'), { goal: 20 }),
    row(group, `freeze, ${HOLDERS} workers hold 256 MiB together`, 'ms', samplesOf(held, 'freezeMs')),
    row(group, '  beside: one program with the same state', 'ms', samplesOf(alone, 'freezeMs')),
    ratio(group, 'the freeze of members, of that of one program', medianOf(held, 'freezeMs'), medianOf(alone, 'freezeMs'), { goal: 1.5 }),
    row(group, `freeze, ${HOLDERS} forked processes hold 256 MiB together`, 'ms', samplesOf(forked, 'freezeMs')),
    ratio(group, 'the freeze of forked members, of that of one program', medianOf(forked, 'freezeMs'), medianOf(alone, 'freezeMs'), {
      goal: 1.5,
    }),
    row(group, `durable, ${HOLDERS} workers hold 256 MiB together`, 'ms', samplesOf(held, 'durableMs')),
    row(group, `durable, ${HOLDERS} forked processes hold 256 MiB together`, 'ms', samplesOf(forked, 'durableMs')),
    row(group, '  beside: one program with the same state', 'ms', samplesOf(alone, 'durableMs')),
  ];
}

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function withMembers(bench) {
  return [...(await growing(bench, 'worker', WORKERS)), ...(await growing(bench, 'process', PROCESSES))];
}

/** @param {Bench} bench @param {'worker' | 'process'} kind @param {readonly number[]} counts @returns {Promise<Row[]>} */
async function growing({ start, runs, folder }, kind, counts) {
  const group = `growth-${kind === 'worker' ? 'workers' : 'processes'}`;
  /** @type {Row[]} */
  const rows = [];
  for (const count of counts) {
    const name = `${count} ${kind === 'worker' ? 'worker threads' : 'forked processes'}`;
    if (freemem() < 1.5 * count * MEMBER_BYTES[kind]) {
      rows.push(row(group, name, 'ms', [Number.NaN], { note: 'not measured: too little memory is free' }));
      continue;
    }
    const store = join(under(folder, `${kind}-${count}`), 'store');
    const found = await start('members', [kind, count, count * SMALL_BYTES, runs, store]);
    for (const [what, quantity, unit] of /** @type {const} */ ([
      ['quiesce', 'quiesceMs', 'ms'],
      ['freeze', 'freezeMs', 'ms'],
      ['durable', 'durableMs', 'ms'],
      ['start', 'startMs', 'ms'],
      ['memory', 'memoryMiB', 'MiB'],
    ])) {
      const point = { picture: group, curve: `${what}, ${unit}`, x: count };
      rows.push(row(group, `${name}: ${what}`, unit, samplesOf(found, quantity), { point }));
    }
  }
  return rows;
}
