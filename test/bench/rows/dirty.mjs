/** The freeze when a share of the pages has changed at random. Arguments: bytes, share, runs, store. */
import { openCheckpointer } from '@ckpt/sdk';
import { report } from '../measure.mjs';
import { makeField } from '../state.mjs';

const [bytes = 0, share = 0, runs = 0] = process.argv.slice(2, 5).map(Number);
const ckpt = await openCheckpointer({ dir: process.argv[5], app: { name: 'bench' }, signals: {}, requests: false, keep: 1 });
const state = ckpt.state('state', () => ({ field: makeField(bytes) }));
await ckpt.start();
const pages = bytes / 4096;
const order = Uint32Array.from({ length: pages }, (_, page) => page);
let x = 0x9e3779b9;
for (let at = pages - 1; at > 0; at--) {
  x = Math.imul(x ^ (x >>> 15), 0x85ebca6b) + 0x6d2b79f5;
  const other = (x >>> 0) % (at + 1);
  [order[at], order[other]] = [order[other] ?? 0, order[at] ?? 0];
}
await ckpt.checkpoint();
const freezeMs = [];
// The first ones find out how much changes each time.
for (let run = -2; run < runs; run++) {
  for (const page of order.subarray(0, Math.round(share * pages))) state.field[page * 512] = (state.field[page * 512] ?? 0) + 1;
  globalThis.gc?.();
  const { times } = await ckpt.checkpoint();
  if (run >= 0) freezeMs.push(times.freezeMs);
}
await ckpt.close();
report({ samples: { freezeMs } });
