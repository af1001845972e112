/** The quick start of the README, as a program of a user: it must compile as it stands. */
import { openCheckpointer } from '@ckpt/sdk';

declare function advance(grid: Float64Array): void;

const ckpt = await openCheckpointer({ dir: './ckpt', every: '15m' });
const sim = ckpt.state('sim', () => ({ step: 0, grid: new Float64Array(1e6) }));
await ckpt.start();

while (sim.step < 1e6) {
  advance(sim.grid);
  sim.step++;
  await ckpt.safepoint();
}
await ckpt.finish();
