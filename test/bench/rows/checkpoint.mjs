/** Checkpoints of a state of which every page has changed. Arguments: bytes, runs, store. */
import { openCheckpointer } from '@ckpt/sdk';
import { report, timedAsync } from '../measure.mjs';
import { makeField, touchAll } from '../state.mjs';

const [bytes = 0, runs = 0] = process.argv.slice(2, 4).map(Number);
const ckpt = await openCheckpointer({ dir: process.argv[4], app: { name: 'bench' }, signals: {}, requests: false, keep: 1 });
const state = ckpt.state('state', () => ({ field: makeField(bytes) }));
await ckpt.start();

/** @type {Record<'freezeMs' | 'durableMs', number[]>} */
const samples = { freezeMs: [], durableMs: [] };
// The first one allocates what the later ones keep.
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
report({ samples: { ...samples, firstFreezeMs: [first.times.freezeMs] } });
