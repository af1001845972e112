import { openCheckpointer } from '@ckpt/sdk';

const limit = Number(process.argv[2] ?? 5e6);
const ckpt = await openCheckpointer({ every: '1s' });
const best = ckpt.state('collatz', () => ({ n: 1, start: 1, steps: 0 }));
await ckpt.start();
for (; best.n < limit; best.n++) {
  await ckpt.safepoint();
  let steps = 0;
  for (let x = best.n; x !== 1; steps++) x = x % 2 === 0 ? x / 2 : 3 * x + 1;
  if (steps > best.steps) Object.assign(best, { start: best.n, steps });
}
await ckpt.finish();
console.log(`The longest Collatz chain below ${limit} starts at ${best.start}: ${best.steps} steps`);
