/**
 * What is measured: groups, chosen by name. A group runs its programs one after another, each in a process of its own
 * so that memory is clean, and turns what they print into lines of the table.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { codec } from './codec-groups.mjs';
import { compression } from './compression-groups.mjs';
import { withChanges, withProviders, withSize } from './growth-groups.mjs';
import { beyondBudget, coldRestore, generations, loop, manyImages, restartedSteps } from './large-groups.mjs';
import { row, samplesOf, under } from './lines.mjs';
import { spread } from './measure.mjs';
import { members, withMembers } from './members-groups.mjs';
import { SIZES, state } from './state-groups.mjs';

/** @import { Bench, Row } from './lines.mjs' */
/** @typedef {{ name: string, run: (bench: Bench) => Promise<Row[]> }} Group */

/** @param {Bench} bench @returns {Promise<Row[]>} */
async function bareSafepoint({ start, runs, folder }) {
  const group = 'safepoint';
  const bare = await start('safepoint', [runs, join(folder, 'bare')]);
  const note = bare.note === undefined ? {} : { note: bare.note };
  const rows = [
    row(group, 'safepoint() with nothing due, per call', 'ns', samplesOf(bare, 'nsPerCall'), { goal: 10, ...note }),
    row(group, 'safepointSync() with nothing due, per call', 'ns', samplesOf(bare, 'nsPerSyncCall'), { goal: 3 }),
  ];
  for (const [what, microseconds] of /** @type {const} */ ([
    ['an empty loop', 0],
    ['steps of 200 µs', 200],
  ])) {
    const awaited = await start('awaited', [runs, join(folder, `awaited-${microseconds}`), microseconds]);
    rows.push(
      row(group, `await safepoint() in ${what}, per step`, 'ns', samplesOf(awaited, 'nsPerStep')),
      row(group, `a timer of 1 ms beside ${what}, 99 % are late by less than`, 'ms', samplesOf(awaited, 'lateP99Ms'), { goal: 10 }),
      row(group, `a timer of 1 ms beside ${what}, the latest of a second`, 'ms', samplesOf(awaited, 'lateMaxMs')),
    );
  }
  const without = await start('awaited', [runs, '', 200]);
  rows.push(
    row(group, '  beside: steps of 200 µs that await a turn each, 99 %', 'ms', samplesOf(without, 'lateP99Ms')),
    row(group, '  beside: steps of 200 µs that await a turn each, the latest', 'ms', samplesOf(without, 'lateMaxMs')),
  );
  return rows;
}

const LINES = 1_000_000;
const INPUT_MIB = 50;
const UNSYNCED_MIB = 100;

/** @param {Bench} bench @returns {Promise<Row[]>} */
async function files({ start, runs, folder }) {
  const group = 'files';
  const write = await start('file-write', [runs, under(folder, 'write'), LINES]);
  const lines = await start('file-lines', [runs, under(folder, 'lines'), INPUT_MIB]);
  const freeze = await start('file-freeze', [4 * runs, under(folder, 'freeze'), UNSYNCED_MIB]);
  return [
    row(group, 'write() of a million short lines', 'ms', samplesOf(write, 'oursMs'), {
      goal: Math.round(1.1 * spread(samplesOf(write, 'streamMs')).median),
    }),
    row(group, '  beside: fs.WriteStream', 'ms', samplesOf(write, 'streamMs')),
    row(group, `lines() of ${INPUT_MIB} MiB`, 'ms', samplesOf(lines, 'oursMs')),
    row(group, '  beside: node:readline', 'ms', samplesOf(lines, 'readlineMs')),
    row(group, `freeze with ${UNSYNCED_MIB} MiB written and not synced`, 'ms', samplesOf(freeze, 'withMs')),
    row(group, '  beside: with nothing written', 'ms', samplesOf(freeze, 'withoutMs')),
  ];
}

/** By who knows which pages were written; goals in per cent of a warm copy. */
const KNOWING = /** @type {const} */ ([
  ['kernel', 'the kernel tells', 5],
  ['program', 'the program tells', 5],
  ['nobody', 'compared', 115],
]);

/** @param {string} size @param {number} bytes @returns {(bench: Bench) => Promise<Row[]>} */
function incremental(size, bytes) {
  const group = `incremental-${size}`;
  return async ({ start, runs, folder }) => {
    const rows = [];
    for (const [knows, what, goal] of KNOWING) {
      const measured = await start('incremental', [bytes, runs, join(folder, knows), knows]);
      const note = measured.note === undefined ? {} : { note: measured.note };
      rows.push(
        row(group, `freeze with 1 % of the pages written at random, ${what}`, 'ms', samplesOf(measured, 'freezeMs'), note),
        row(group, '  beside: a warm copy of the same memory', 'ms', samplesOf(measured, 'copyMs')),
        row(group, `the freeze as a share of that copy, ${what}`, '%', samplesOf(measured, 'ofCopy'), { goal }),
        row(group, `writing those pages, ${what}`, 'ms', samplesOf(measured, 'writeMs')),
        row(group, `stored by the first incremental image, of the pages written, ${what}`, '%', samplesOf(measured, 'storedOfWritten'), {
          goal: 115,
        }),
      );
    }
    return rows;
  };
}

/** @type {readonly Group[]} */
export const GROUPS = [
  { name: 'safepoint', run: bareSafepoint },
  { name: 'codec', run: codec },
  { name: 'compression', run: compression },
  { name: 'files', run: files },
  { name: 'incremental-64MiB', run: incremental('64MiB', SIZES['64MiB']) },
  { name: 'incremental-1GiB', run: incremental('1GiB', SIZES['1GiB']) },
  ...Object.entries(SIZES).map(([size, bytes]) => ({ name: `state-${size}`, run: state(size, bytes) })),
  { name: 'generations', run: generations },
  { name: 'loop', run: loop },
  { name: 'cold', run: coldRestore },
  { name: 'steps', run: restartedSteps },
  { name: 'many', run: manyImages },
  { name: 'beyond', run: beyondBudget },
  { name: 'members', run: members },
  { name: 'growth-size', run: withSize },
  { name: 'growth-providers', run: withProviders },
  { name: 'growth-changes', run: withChanges },
  { name: 'growth-members', run: withMembers },
];

/** The groups whose name is, or begins with, one of these; all of them when none is given. @param {readonly string[]} wanted */
export function chooseGroups(wanted) {
  const unknown = wanted.filter((name) => !GROUPS.some((group) => matches(group.name, name)));
  if (unknown.length > 0)
    throw new Error(`no group is called ${unknown.join(', ')}; there are: ${GROUPS.map(({ name }) => name).join(', ')}`);
  return GROUPS.filter((group) => wanted.length === 0 || wanted.some((name) => matches(group.name, name)));
}

/** @param {string} group @param {string} wanted */
function matches(group, wanted) {
  return group === wanted || group.startsWith(`${wanted}-`);
}

/** A folder for each group, below that of the whole run. @param {string} folder @param {Group} group */
export function folderOf(folder, group) {
  const own = join(folder, group.name);
  mkdirSync(own);
  return own;
}
