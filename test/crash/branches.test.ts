/**
 * A few lives of branches.ts; thousands are in branches.soak.ts. The programs and the moments are drawn from a seed
 * (CKPT_TEST_SEED).
 */
import { expect, it } from 'vitest';
import { testSeed } from '../fixtures/seeded.js';
import { branchAtRandom } from './branches.js';

const seed = testSeed(20_260_301);

it(`F40 and F62: restarted from random images, older and newer, a program never finds its files in another way (seed ${seed})`, async () => {
  const tally = await branchAtRandom(14, 7, [seed, seed + 1], { jumps: 4, kills: 4, ends: 2 });
  expect(tally.lives).toBeGreaterThanOrEqual(14);
  expect([...tally.refused.values()].reduce((sum, count) => sum + count, 0)).toBeLessThan(tally.lives / 3);
}, 180_000);
