/**
 * Heat on a square plate, computed by several workers that need each other's edges in every step.
 *
 *   node heat.js FOLDER [WORKERS] [channels | processes | shared]
 *
 * `channels`: threads that send each other their edge rows; `processes`: the same with forked processes; `shared`: threads on one
 * shared memory, with a barrier of Atomics. Killed at any moment and started again, with as many workers or with another number,
 * it ends with the same bits as one worker alone. Writes FOLDER/plate.bin at the end.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpointer } from '@ckpt/sdk';
import { rowsOf } from './grid.js';
import { otherStrips } from './other-strips.js';

const [folder = 'out', workers = '4', how = 'channels'] = process.argv.slice(2);
const parts = Number(workers);
const size = 120;
const steps = Number(process.env.CKPT_HEAT_STEPS ?? 2000);
mkdirSync(folder, { recursive: true });
const ckpt = await openCheckpointer({
  dir: join(folder, 'ckpt'),
  every: process.env.CKPT_HEAT_EVERY ?? '1s',
  app: { name: 'heat' },
  files: [{ pattern: join(folder, 'plate.bin'), policy: 'ignore' }], // whoever comes to the end writes all of it
});

const bytes = size * size * Float64Array.BYTES_PER_ELEMENT;
const shared = how === 'shared' ? [ckpt.shared('even', bytes), ckpt.shared('odd', bytes)] : [];
if (how === 'shared') ckpt.shared('barrier', 8);
const members = Array.from({ length: parts }, (_, part) => {
  const task = [part, parts, size, steps];
  const program = new URL(how === 'shared' ? './shared-strip.js' : './strip.js', import.meta.url);
  if (how === 'processes') return ckpt.fork(`strip-${part}`, program, task.map(String));
  return ckpt.worker(`strip-${part}`, program, { workerData: task });
});
ckpt.rescale((old) => otherStrips(old, parts, size)); // asked when the image has another number of strips
const { restarted, finished } = await ckpt.start();
console.log(restarted ? 'going on' : 'beginning');

if (!finished) {
  await ckpt.safe(Promise.all(members.map(({ done }) => done)));
  writeFileSync(join(folder, 'plate.bin'), new Uint8Array((await plate()).buffer));
  await ckpt.finish();
}

/** @returns {Promise<Float64Array>} */
async function plate() {
  const whole = new Float64Array(size * size);
  if (how === 'shared') {
    const last = shared[steps % 2];
    if (last !== undefined) whole.set(new Float64Array(last));
    return whole;
  }
  for (let part = 0; part < parts; part++) {
    /** @type {import('@ckpt/sdk').Channel<Float64Array>} */
    const rows = ckpt.channel('rows', `strip-${part}`);
    whole.set(await rows.receive(), rowsOf(part, parts, size).first * size);
  }
  return whole;
}
