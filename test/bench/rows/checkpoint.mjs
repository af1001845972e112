/** Checkpoints of a state of which every page has changed. Arguments: bytes, runs, store, memoryBudget (default: that of ckpt). */
import { setTimeout } from 'node:timers/promises';
import { openCheckpointer } from '@ckpt/sdk';
import { report, timedAsync } from '../measure.mjs';
import { makeField, touchAll } from '../state.mjs';

/** Far longer than it takes. */
const WARM_MS_PER_GIB = 4_000;

const [bytes = 0, runs = 0] = process.argv.slice(2, 4).map(Number);
const memoryBudget = process.argv[5];
const ckpt = await openCheckpointer({ dir: process.argv[4], app: { name: 'bench' }, signals: {}, requests: false, keep: 1, memoryBudget });
const state = ckpt.state('state', () => ({ field: makeField(bytes) }));
await ckpt.start();

/** @type {Record<'freezeMs' | 'durableMs', number[]>} */
const samples = { freezeMs: [], durableMs: [] };
const before = process.memoryUsage.rss();
// Memory for the copy of the first one is made while the program runs.
await setTimeout(WARM_MS_PER_GIB * (bytes / 2 ** 30));
const first = await ckpt.checkpoint();
for (let run = 0; run < runs; run++) {
  touchAll(state.field);
  globalThis.gc?.();
  let freezeMs = Number.NaN;
  const durableMs = await timedAsync(async () => {
    freezeMs = (await ckpt.checkpoint()).times.freezeMs;
  });
  samples.freezeMs.push(freezeMs);
  samples.durableMs.push(durableMs);
}
await ckpt.close();
const beyondMiB = (process.resourceUsage().maxRSS * 1024 - before) / 2 ** 20;
report({ samples: { ...samples, firstFreezeMs: [first.times.freezeMs], beyondMiB: [Math.max(0, beyondMiB)] } });
