import { expect, it } from 'vitest';
import { roundTripSeed } from '../fixtures/graph-trial.js';
import { testSeed } from '../fixtures/seeded.js';

const SEED = testSeed(1);
const VALUES = Number(process.env['CKPT_TEST_VALUES'] ?? 1_000_000);

it(`F16, F17, F35: of ${VALUES} random graphs from seed ${SEED} on each comes back the same or is refused`, () => {
  const outcomes = { same: 0, refused: 0 };
  for (let seed = SEED; seed < SEED + VALUES; seed++) outcomes[roundTripSeed(seed, { objects: 14 })]++;
  console.log(`${outcomes.same} the same, ${outcomes.refused} refused`);
  expect(outcomes.same).toBeGreaterThan(0.9 * VALUES);
});
