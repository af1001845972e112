/**
 * Checkpoints of a state of which one page in a hundred was written, at random. The warm copy of the same memory is measured
 * in the same process, right after each freeze. Arguments: bytes, runs, store, who knows what was written (kernel, program, nobody).
 */
import { openCheckpointer } from '@ckpt/sdk';
import { report, timed } from '../measure.mjs';
import { makeField } from '../state.mjs';

const PAGE = 4096;
const ON_PAGE = PAGE / Float64Array.BYTES_PER_ELEMENT;
const SHARE = 0.01;

const [bytes = 0, runs = 0] = process.argv.slice(2, 4).map(Number);
const knows = process.argv[5];
const ckpt = await openCheckpointer({
  dir: process.argv[4],
  app: { name: 'bench' },
  signals: {},
  requests: false,
  keep: 1,
  accelerator: knows === 'kernel',
});
const { field } = ckpt.state('state', () => ({ field: makeField(bytes) }));
/** @type {string | undefined} */
let refused;
ckpt.on('tracking', ({ state, reason }) => {
  if (state !== 'on') refused = reason;
});
await ckpt.start();

const pages = bytes / PAGE;
const written = Math.round(pages * SHARE);
let random = 1;
/** Writes one double on each of so many pages, none of them twice, and tells it to whoever wants to know. */
function write() {
  const chosen = new Set();
  while (chosen.size < written) {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
    chosen.add(Math.floor((random / 2 ** 32) * pages));
  }
  return timed(() => {
    for (const page of chosen) {
      field[page * ON_PAGE + 100] = (field[page * ON_PAGE + 100] ?? 0) + 1;
      if (knows === 'program') ckpt.dirty(field.subarray(page * ON_PAGE, (page + 1) * ON_PAGE));
    }
  });
}

const copy = new Float64Array(field.length).fill(1);
/** @type {Record<'freezeMs' | 'copyMs' | 'ofCopy' | 'writeMs' | 'storedOfWritten', number[]>} */
const samples = { freezeMs: [], copyMs: [], ofCopy: [], writeMs: [], storedOfWritten: [] };
await ckpt.checkpoint();
// The program is believed from the second capture on.
if (knows === 'program') {
  ckpt.dirty(field.subarray(0, 1));
  await ckpt.checkpoint();
}
for (let run = 0; run < runs; run++) {
  const writeMs = write();
  const { times, bytes: stored } = await ckpt.checkpoint();
  const copyMs = timed(() => copy.set(field));
  samples.freezeMs.push(times.freezeMs);
  samples.copyMs.push(copyMs);
  samples.ofCopy.push((100 * times.freezeMs) / copyMs);
  samples.writeMs.push(writeMs);
  // Later images fold older ones: what they store is another question.
  if (run === 0) samples.storedOfWritten.push((100 * stored.stored) / (written * PAGE));
}
await ckpt.close();
report({ samples, ...(knows === 'kernel' && refused !== undefined ? { note: `the kernel was not asked: ${refused}` } : {}) });
