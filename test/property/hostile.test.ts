import { expect, it } from 'vitest';
import { testSeed } from '../fixtures/seeded.js';
import { decodeHostile } from './hostile.js';

const SEED = testSeed(1);

it(`F33, F35: 2,000 mutated sections from seed ${SEED} on, and the densest of 1 MiB: typed errors, below 1 s and 64 MiB, no prototype touched`, async () => {
  const { outcomes, touched, faults } = await decodeHostile('sections', 2000, SEED);
  expect(faults).toEqual([]);
  expect(touched).toBe(false);
  expect(outcomes['read']).toBeGreaterThan(50);
  expect(outcomes['ERR_CKPT_DECODE']).toBeGreaterThan(400);
});

it(`F33, F35: 400 whole images with a mutated section from seed ${SEED} on, and some of the densest: the same`, async () => {
  const { outcomes, touched, faults } = await decodeHostile('images', 400, SEED, { part: SEED % 8, parts: 8 });
  expect(faults).toEqual([]);
  expect(touched).toBe(false);
  expect(outcomes['read']).toBeGreaterThan(10);
  expect(outcomes['ERR_CKPT_DECODE']).toBeGreaterThan(100);
});
