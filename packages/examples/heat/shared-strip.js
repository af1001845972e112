/** A strip of a plate that lies in shared memory: a synchronous loop, in step with the others by a barrier. */
import { workerData } from 'node:worker_threads';
import { joinCheckpointer } from '@ckpt/sdk/member';
import { heatUp, relax, rowsOf } from './grid.js';

/** @type {[part: number, parts: number, size: number, steps: number]} */
const [part, parts, size, steps] = workerData;
const { first, end } = rowsOf(part, parts, size);

const ckpt = await joinCheckpointer();
const at = ckpt.state('at', () => ({ step: 0 }));
const [even, odd] = [new Float64Array(ckpt.shared('even')), new Float64Array(ckpt.shared('odd'))];
const barrier = new Int32Array(ckpt.shared('barrier'));
if (at.step === 0) heatUp(even.subarray(first * size, end * size), first, size); // nobody begins before all have called start()
await ckpt.start();

while (at.step < steps) {
  ckpt.safepointSync(at.step);
  if (at.step % 2 === 0) relax(even, odd, first, end, size);
  else relax(odd, even, first, end, size);
  pass();
  at.step++;
}
await ckpt.finish();

/** The last one to come lets all go on. */
function pass() {
  const turn = Atomics.load(barrier, 1);
  if (Atomics.add(barrier, 0, 1) === parts - 1) {
    Atomics.store(barrier, 0, 0);
    Atomics.add(barrier, 1, 1);
    Atomics.notify(barrier, 1);
  }
  while (Atomics.load(barrier, 1) === turn) Atomics.wait(barrier, 1, turn);
}
