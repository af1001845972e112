import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EveryOperation } from './every-operation.js';

describe('F10, F14: killed before and after every single operation on the file system', () => {
  let every: EveryOperation;
  beforeAll(async () => {
    every = await EveryOperation.trace();
  });
  afterAll(async () => {
    await every.remove();
  });

  it.each(['first', 'restart'] as const)('in the %s life, both threads', async (life) => {
    const points = every.points.filter((point) => point.life === life);
    expect(points.length).toBeGreaterThan(200);
    await every.killAtEach(points);
  });
});
