import { expect, it } from 'vitest';
import { testSeed } from '../fixtures/seeded.js';
import { killAtRandom } from './random-kills.js';

const seed = testSeed(Date.now() % 1_000_000_000);

it(`F10: killed at 300 random moments and started again each time, it ends as if undisturbed (seed ${seed})`, async () => {
  const tally = await killAtRandom(300, [seed, seed + 1]);
  expect(tally.kills).toBeGreaterThanOrEqual(300);
  expect(tally.moments.size).toBe(6);
  expect(tally.beforeStart).toBeGreaterThan(0);
  expect(tally.unacknowledged).toBeGreaterThan(0);
});
