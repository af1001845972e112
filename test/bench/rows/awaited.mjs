/**
 * A loop that awaits safepoint() in each step, and how late a timer of 1 ms is meanwhile. Arguments: runs, store, microseconds of
 * work in each step. Without a store the loop gives way to the event loop in each step instead: what this machine does to a timer.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { openCheckpointer } from '@ckpt/sdk';
import { percentile, report } from '../measure.mjs';

const RUN_MS = 1000;
const runs = Number(process.argv[2]);
const workMs = Number(process.argv[4]) / 1000;
const dir = process.argv[3] ?? '';
const ckpt = dir === '' ? undefined : await openCheckpointer({ dir, app: { name: 'bench' }, signals: {}, requests: false });
const state = ckpt?.state('state', () => ({ step: 0 })) ?? { step: 0 };
await ckpt?.start();

/** Keeps the processor busy. @param {number} ms */
function work(ms) {
  for (const end = performance.now() + ms; performance.now() < end; );
}

async function once() {
  /** @type {number[]} */
  const late = [];
  let running = true;
  const arm = () => {
    const due = performance.now() + 1;
    setTimeout(() => {
      late.push(Math.max(0, performance.now() - due));
      if (running) arm();
    }, 1);
  };
  arm();
  // The timer ends the loop, so that the loop itself need not read the clock.
  setTimeout(() => {
    running = false;
  }, RUN_MS);
  const began = performance.now();
  const from = state.step;
  while (running) {
    if (workMs > 0) work(workMs);
    state.step++;
    if (ckpt === undefined) await turn();
    else await ckpt.safepoint();
  }
  const ms = performance.now() - began;
  return { nsPerStep: (ms * 1e6) / (state.step - from), lateP99Ms: percentile(late, 0.99), lateMaxMs: Math.max(...late, ms - RUN_MS) };
}

await once();
/** @type {Record<string, number[]>} */
const samples = { nsPerStep: [], lateP99Ms: [], lateMaxMs: [] };
for (let run = 0; run < runs; run++) {
  for (const [name, value] of Object.entries(await once())) samples[name]?.push(value);
}
await ckpt?.close();
report({ samples });
