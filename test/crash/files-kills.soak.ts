import { expect, it } from 'vitest';
import { testSeed } from '../fixtures/seeded.js';
import { killScribes } from './files-kills.js';

const seed = testSeed(Date.now() % 1_000_000_000);

it(`F10, F61, F69 and F77: killed at 1,000 random moments, its files are as if it was never disturbed (seed ${seed})`, async () => {
  const tally = await killScribes(1_000, [seed, seed + 1]);
  expect(tally.kills).toBeGreaterThanOrEqual(1_000);
  expect(tally.moments.size).toBe(8);
  expect(tally.beforeFirstImage).toBeGreaterThan(10);
  expect(tally.whilePuttingBack).toBeGreaterThan(50);
});
