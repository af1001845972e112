import { expect, it } from 'vitest';
import { testSeed } from '../fixtures/seeded.js';
import { decodeHostile } from './hostile.js';

const SEED = testSeed(1);
const MUTATIONS = Number(process.env['CKPT_TEST_VALUES'] ?? 1_000_000);

it(`F33, F35: ${MUTATIONS} mutated sections from seed ${SEED} on: typed errors, below 1 s and 64 MiB, no prototype touched`, async () => {
  const { outcomes, worst, touched, faults } = await decodeHostile('sections', MUTATIONS, SEED);
  console.log(JSON.stringify({ outcomes, worst }));
  expect(faults).toEqual([]);
  expect(touched).toBe(false);
});

/** One process each. */
const PARTS = 20;

it.each(Array.from({ length: PARTS }, (_, part) => part))(
  `F33, F35: part %i of ${PARTS} of ${MUTATIONS} whole images with a mutated section from seed ${SEED} on: the same`,
  async (part) => {
    const each = Math.ceil(MUTATIONS / PARTS);
    const { outcomes, worst, touched, faults } = await decodeHostile('images', each, SEED + part * each, { part, parts: PARTS });
    console.log(JSON.stringify({ outcomes, worst }));
    expect(faults).toEqual([]);
    expect(touched).toBe(false);
  },
);
