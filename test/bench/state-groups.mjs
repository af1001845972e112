/** Checkpoint and restart of one array, all of it changed each time, beside what else writes and reads as many bytes. */
import { join } from 'node:path';
import { GiB, KiB, MiB, medianOf, ratio, repeat, row, samplesOf } from './lines.mjs';

/** @import { Bench, Row } from './lines.mjs' */

export const SIZES = { '1KiB': KiB, '1MiB': MiB, '64MiB': 64 * MiB, '1GiB': GiB };
/** What is larger does not become a text: one has at most 512 MiB. */
const JSON_LIMIT = 64 * MiB;
/** Writing past the cache begins at whole blocks. */
const BLOCK = 4 * KiB;
const LARGE = 256 * MiB;
/** What its durable time is made of is fsync. */
const SMALL = KiB;

/** @param {string} size @param {number} bytes @returns {(bench: Bench) => Promise<Row[]>} */
export function state(size, bytes) {
  const group = `state-${size}`;
  return async ({ start, runs, folder }) => {
    const store = join(folder, 'store');
    const copy = await start('copy', [bytes, runs]);
    const ckpt = await start('checkpoint', [bytes, runs, store]);
    const restore = await repeat(runs, async () => samplesOf(await start('restore', [store, runs]), 'restoreMs'));
    const v8 = await start('serialize', [bytes, runs, folder, 'v8']);
    const v8Back = await repeat(runs, async () => samplesOf(await start('deserialize', [folder, runs]), 'deserializeMs'));
    const packed = await start('serialize', [bytes, runs, folder, 'msgpackr']);
    const text = bytes > JSON_LIMIT ? undefined : await start('serialize', [bytes, runs, folder, 'json']);
    const direct = bytes < BLOCK ? undefined : await start('dd', [bytes, runs, folder, 'direct']);
    const sync = bytes > SMALL ? undefined : await start('sync', [bytes, runs, folder]);
    const buffered = await start('dd', [bytes, runs, folder, 'buffered']);
    const goals =
      bytes < LARGE
        ? ((sync && { durable: { goal: Number((5 * medianOf(sync, 'syncMs')).toFixed(2)) } }) ?? {})
        : goalsOf(medianOf(copy, 'copyMs'), direct && medianOf(direct, 'ddMs'));
    const inFreeze = 'write, fsync, rename (all of it freeze)';
    return [
      row(group, 'freeze', 'ms', samplesOf(ckpt, 'freezeMs'), goals['freeze']),
      row(group, 'freeze, the first checkpoint, some seconds after the start', 'ms', samplesOf(ckpt, 'firstFreezeMs')),
      row(group, '  beside: a warm copy of the same memory', 'ms', samplesOf(copy, 'copyMs')),
      row(group, 'durable', 'ms', samplesOf(ckpt, 'durableMs'), goals['durable']),
      ...(sync === undefined
        ? []
        : [row(group, '  beside: fsync of a file of that size and of its directory', 'ms', samplesOf(sync, 'syncMs'))]),
      ...(direct === undefined ? [] : [row(group, '  beside: dd oflag=direct conv=fsync', 'ms', samplesOf(direct, 'ddMs'))]),
      row(group, '  beside: dd conv=fsync', 'ms', samplesOf(buffered, 'ddMs')),
      row(group, `  beside: v8.serialize, ${inFreeze}`, 'ms', samplesOf(v8, 'serializeMs')),
      row(group, `  beside: msgpackr, ${inFreeze}`, 'ms', samplesOf(packed, 'serializeMs')),
      text === undefined
        ? row(group, `  beside: JSON, ${inFreeze}`, 'ms', [Number.NaN], { note: 'cannot: a text has at most 512 MiB' })
        : row(group, `  beside: JSON, ${inFreeze}`, 'ms', samplesOf(text, 'serializeMs')),
      ratio(group, 'freeze, of the pause that v8.serialize needs', medianOf(ckpt, 'freezeMs'), medianOf(v8, 'serializeMs'), goals['pause']),
      row(group, 'restore', 'ms', restore),
      row(group, '  beside: read, v8.deserialize (nothing verified)', 'ms', v8Back),
      row(group, 'memory beyond the state, at most', 'MiB', samplesOf(ckpt, 'beyondMiB')),
    ];
  };
}

/** @param {number} copyMs @param {number | undefined} directMs @returns {{ freeze?: { goal: number }, durable?: { goal: number }, pause?: { goal: number } }} */
function goalsOf(copyMs, directMs) {
  return {
    freeze: { goal: Math.round(1.15 * copyMs) },
    ...(directMs === undefined ? {} : { durable: { goal: Math.round(1.15 * directMs) } }),
    pause: { goal: Number((1 / 15).toFixed(3)) },
  };
}
