/**
 * Fifty of the kills of files-kills.ts; a thousand are in files-kills.soak.ts. The moments are drawn from a seed
 * (CKPT_TEST_SEED), what the program is doing just then is not.
 */
import { expect, it } from 'vitest';
import { testSeed } from '../fixtures/seeded.js';
import { killScribes } from './files-kills.js';

const seed = testSeed(20_260_201);

it(`F10, F61, F69 and F77: killed at 50 random moments, its files are as if it was never disturbed (seed ${seed})`, async () => {
  const tally = await killScribes(50, [seed, seed + 1]);
  expect(tally.kills).toBeGreaterThanOrEqual(50);
  // Otherwise the moments are not random enough to prove anything.
  expect(tally.moments.size).toBeGreaterThanOrEqual(6);
  expect(tally.beforeFirstImage).toBeGreaterThan(0);
  expect(tally.whilePuttingBack).toBeGreaterThan(0);
}, 180_000);
