/** Checkpoints of many records, some of which have changed. Arguments: MiB of structured state, runs, store, compression. */
import { openCheckpointer } from '@ckpt/sdk';
import { report, timedAsync } from '../measure.mjs';

/** About so many of them are a MiB in an image. */
const RECORDS_PER_MIB = 27_000;
const KINDS = ['planned', 'running', 'done'];

const [mebibytes = 0, runs = 0] = process.argv.slice(2, 4).map(Number);
const compression = /** @type {'auto' | 'none' | 'brotli' | 'zstd'} */ (process.argv[5]);
const dir = process.argv[4];
const ckpt = await openCheckpointer({ dir, app: { name: 'bench' }, signals: {}, requests: false, keep: 1, compression });
const state = ckpt.state('state', () => ({ records: makeRecords(mebibytes * RECORDS_PER_MIB) }));
await ckpt.start();

/** @type {Record<'durableMs' | 'persistMs' | 'storedMiB' | 'stateMiB', number[]>} */
const samples = { durableMs: [], persistMs: [], storedMiB: [], stateMiB: [] };
// What the disk takes is known after the first, and a sample is taken for the second.
for (let run = -2; run < runs; run++) {
  for (let index = 0; index < state.records.length; index += 10) {
    const record = state.records[index];
    if (record !== undefined) record.count++;
  }
  globalThis.gc?.();
  const durableMs = await timedAsync(async () => {
    const { bytes, times } = await ckpt.checkpoint();
    if (run < 0) return;
    samples.persistMs.push(times.persistMs);
    samples.storedMiB.push(bytes.stored / 2 ** 20);
    samples.stateMiB.push(bytes.state / 2 ** 20);
  });
  if (run >= 0) samples.durableMs.push(durableMs);
}
await ckpt.close();
report({ samples });

/** @param {number} count */
function makeRecords(count) {
  let x = 1;
  const random = () => {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    return x / 2 ** 32;
  };
  return Array.from({ length: count }, (_, id) => ({
    id,
    name: `item ${id % 5000}`,
    kind: KINDS[id % 3],
    count: Math.floor(random() * 1000),
    price: Math.round(random() * 1e5) / 100,
    when: 1_760_000_000_000 + id * 1000,
    tagged: id % 7 === 0,
  }));
}
