/**
 * The bare calls of safepoint() and safepointSync() with nothing due, in bursts short enough that the event loop needs no turn within one.
 * A burst in which a call returned a promise all the same is not counted. Arguments: runs, store.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { openCheckpointer } from '@ckpt/sdk';
import { report, spread } from '../measure.mjs';

const CALLS = 50_000;
const BURSTS = 60;
const runs = Number(process.argv[2]);
const ckpt = await openCheckpointer({ dir: process.argv[3], app: { name: 'bench' }, signals: {}, requests: false });
const state = ckpt.state('state', () => ({ step: 0 }));
await ckpt.start();

/** @returns {Promise<number | undefined>} nanoseconds a call */
async function burst() {
  /** @type {Promise<void> | undefined} */
  let pending;
  let done = 0;
  const began = process.hrtime.bigint();
  while (done < CALLS && pending === undefined) {
    done++;
    state.step++;
    pending = ckpt.safepoint();
  }
  const ns = Number(process.hrtime.bigint() - began);
  await pending;
  await turn();
  return done === CALLS ? ns / CALLS : undefined;
}

/** @returns {Promise<number>} nanoseconds a call: no turn of the event loop is ever needed */
async function syncBurst() {
  const began = process.hrtime.bigint();
  for (let done = 0; done < CALLS; done++) {
    state.step++;
    ckpt.safepointSync();
  }
  const ns = Number(process.hrtime.bigint() - began);
  await turn();
  return ns / CALLS;
}

const samples = [];
/** @type {number[]} */
const syncSamples = [];
let broken = 0;
for (let run = -1; run < runs; run++) {
  const bursts = [];
  for (let i = 0; i < BURSTS; i++) {
    const ns = await burst();
    if (ns === undefined) broken++;
    else bursts.push(ns);
  }
  if (bursts.length === 0) throw new Error(`bench: not one burst of ${CALLS} calls ended before the event loop needed a turn`);
  // The first run warms up.
  if (run >= 0) samples.push(spread(bursts).median);
}
for (let run = -1; run < runs; run++) {
  const bursts = [];
  for (let i = 0; i < BURSTS; i++) bursts.push(await syncBurst());
  if (run >= 0) syncSamples.push(spread(bursts).median);
}
await ckpt.close();
report({
  samples: { nsPerCall: samples, nsPerSyncCall: syncSamples },
  ...(broken === 0 ? {} : { note: `${broken} of ${(runs + 1) * BURSTS} bursts not counted` }),
});
