/**
 * A program that computes in steps of about 5 ms while images are written in the background. Arguments: bytes, checkpoints,
 * store, threads that compute beside it. A step is what the program does between two safepoints, and the safepoint; the one
 * in which the state is captured is the freeze, which other rows tell.
 */
import { Worker } from 'node:worker_threads';
import { openCheckpointer } from '@ckpt/sdk';
import { percentile, report, spread } from '../measure.mjs';
import { makeField, touchAll } from '../state.mjs';

const [bytes = 0, checkpoints = 0] = process.argv.slice(2, 4).map(Number);
const busy = Number(process.argv[5]);
const STEP_MS = 5;
const ckpt = await openCheckpointer({ dir: process.argv[4], app: { name: 'bench' }, signals: {}, requests: false, keep: 1 });
const state = ckpt.state('state', () => ({ x: 1, field: makeField(bytes) }));
await ckpt.start();
await ckpt.checkpoint();
const spinner = 'let x = 1; for (;;) x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + 1;';
const workers = Array.from({ length: busy }, () => new Worker(spinner, { eval: true }));

/** @param {number} rounds */
function compute(rounds) {
  let x = state.x;
  for (let i = 0; i < rounds; i++) x = (Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + i) | 0;
  state.x = x;
}

/** @param {number} rounds @returns {Promise<number>} ms */
async function step(rounds) {
  const began = performance.now();
  compute(rounds);
  await ckpt.safepoint();
  return performance.now() - began;
}

/** @param {number} rounds @param {number} steps */
async function undisturbed(rounds, steps) {
  const times = [];
  for (let i = 0; i < steps; i++) times.push(await step(rounds));
  return spread(times).median;
}

let rounds = 100_000;
for (let i = 0; i < 5; i++) rounds = Math.ceil((rounds * STEP_MS) / (await undisturbed(rounds, 20)));

/** @type {Record<'speed' | 'laterP99Ms', number[]>} */
const samples = { speed: [], laterP99Ms: [] };
for (let run = 0; run < checkpoints; run++) {
  touchAll(state.field);
  const alone = await undisturbed(rounds, 100);
  /** @type {number[]} */
  const beside = [];
  let [captured, committed] = [false, false];
  ckpt.once('captured', () => {
    captured = true;
  });
  const done = ckpt.checkpoint().then(() => {
    committed = true;
  });
  while (!committed) {
    const before = captured;
    const ms = await step(rounds);
    if (before) beside.push(ms);
  }
  await done;
  samples.speed.push((alone * beside.length) / beside.reduce((sum, ms) => sum + ms, 0));
  samples.laterP99Ms.push(percentile(beside, 0.99) - alone);
}
await Promise.all(workers.map((worker) => worker.terminate()));
await ckpt.close();
report({ samples });
