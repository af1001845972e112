/** Checkpoints of one amount of state that many providers share, all of it changed. Arguments: bytes, providers, runs, store. */
import { openCheckpointer } from '@ckpt/sdk';
import { report, timedAsync } from '../measure.mjs';
import { makeField, touchAll } from '../state.mjs';

const [bytes = 0, providers = 0, runs = 0] = process.argv.slice(2, 5).map(Number);
const began = performance.now();
const ckpt = await openCheckpointer({ dir: process.argv[5], app: { name: 'bench' }, signals: {}, requests: false, keep: 1 });
const each = Math.ceil(bytes / providers / 8) * 8;
const states = Array.from({ length: providers }, (_, n) => ckpt.state(`state-${n}`, () => ({ n, field: makeField(each) })));
const { restarted } = await ckpt.start();
const startMs = performance.now() - began;
/** @type {Record<'freezeMs' | 'durableMs' | 'restoreMs' | 'beyondMiB', number[]>} */
const samples = { freezeMs: [], durableMs: [], restoreMs: [], beyondMiB: [] };
if (restarted) samples.restoreMs.push(startMs);
else {
  const before = process.memoryUsage.rss();
  await ckpt.checkpoint();
  for (let run = 0; run < runs; run++) {
    for (const { field } of states) touchAll(field);
    globalThis.gc?.();
    let freezeMs = Number.NaN;
    samples.durableMs.push(
      await timedAsync(async () => {
        freezeMs = (await ckpt.checkpoint()).times.freezeMs;
      }),
    );
    samples.freezeMs.push(freezeMs);
  }
  samples.beyondMiB.push(Math.max(0, (process.resourceUsage().maxRSS * 1024 - before) / 2 ** 20));
}
await ckpt.close();
report({ samples });
