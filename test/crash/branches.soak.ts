import { expect, it } from 'vitest';
import { testSeed } from '../fixtures/seeded.js';
import { branchAtRandom } from './branches.js';

const seed = testSeed(Date.now() % 1_000_000_000);

it(`F40 and F62: restarted 3,000 times from random images, a program never finds its files in another way (seed ${seed})`, async () => {
  const tally = await branchAtRandom(3_000, 12, [seed, seed + 1], { jumps: 1_000, kills: 1_000, ends: 250 });
  expect([...tally.refused.values()].reduce((sum, count) => sum + count, 0)).toBeLessThan(tally.lives / 3);
});
