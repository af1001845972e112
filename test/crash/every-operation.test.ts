/**
 * Part of what every-operation.ts does; all of it is in every-operation.soak.ts. Killed after an operation or before the next
 * one of the same thread, the disk holds the same: here each state of the disk once, and a few of the other points.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seeded, testSeed } from '../fixtures/seeded.js';
import { EveryOperation, type LifeKind, type Point } from './every-operation.js';

const seed = testSeed(4);

describe('F10, F14: killed after every operation that changes the disk', () => {
  let every: EveryOperation;
  beforeAll(async () => {
    every = await EveryOperation.trace();
  });
  afterAll(async () => {
    await every.remove();
  });

  const chosen = (life: LifeKind, thread: string): Point[] => {
    const random = seeded(seed);
    const points = every.points.filter((point) => point.life === life && point.thread === thread);
    return points.filter(({ changing, action }) => (changing && action === 'kill-after') || random.next() < 0.01);
  };

  it.each([
    ['first', 'main'],
    ['first', 'helper'],
    ['restart', 'main'],
    ['restart', 'helper'],
  ] as const)(
    `in the %s life, %s thread: each state of the disk once, and one of a hundred other points (seed ${seed})`,
    async (life, thread) => {
      const points = chosen(life, thread);
      expect(points.length).toBeGreaterThan(20);
      await every.killAtEach(points);
    },
    300_000,
  );
});
