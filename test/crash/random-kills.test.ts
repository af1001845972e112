/**
 * Forty of the kills of random-kills.ts; three hundred are in random-kills.soak.ts. The moments are drawn from a seed
 * (CKPT_TEST_SEED), what the program is doing just then is not.
 */
import { expect, it } from 'vitest';
import { testSeed } from '../fixtures/seeded.js';
import { killAtRandom } from './random-kills.js';

const seed = testSeed(20_260_101);

it(`F10: killed at 40 random moments and started again each time, it ends as if undisturbed (seed ${seed})`, async () => {
  const tally = await killAtRandom(40, [seed, seed + 1]);
  expect(tally.kills).toBeGreaterThanOrEqual(40);
  // Otherwise the moments are not random enough to prove anything.
  expect(tally.moments.size).toBeGreaterThanOrEqual(4);
  expect(tally.beforeStart).toBeGreaterThan(0);
}, 180_000);
