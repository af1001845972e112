import { expect, it } from 'vitest';
import { roundTripSeed } from '../fixtures/graph-trial.js';
import { testSeed } from '../fixtures/seeded.js';

const SEED = testSeed(1);
const VALUES = Number(process.env['CKPT_TEST_VALUES'] ?? 1_000_000);

/** Each has the time that one test may take. */
const PARTS = 20;

it.each(Array.from({ length: PARTS }, (_, part) => part))(
  `F16, F17, F35: of part %i of ${PARTS} of ${VALUES} random graphs from seed ${SEED} on each comes back the same or is refused`,
  (part) => {
    const each = Math.ceil(VALUES / PARTS);
    const first = SEED + part * each;
    const outcomes = { same: 0, refused: 0 };
    for (let seed = first; seed < first + each; seed++) outcomes[roundTripSeed(seed, { objects: 14 })]++;
    console.log(`${outcomes.same} the same, ${outcomes.refused} refused`);
    expect(outcomes.same).toBeGreaterThan(0.9 * each);
  },
);
