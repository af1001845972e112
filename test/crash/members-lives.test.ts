import { expect, it } from 'vitest';
import { testSeed } from '../fixtures/seeded.js';
import { killNetworks } from './members-lives.js';

const seed = testSeed(47);

it(`F45, F47: networks of members end as if nothing had happened, whoever dies on the way (seed ${seed})`, async () => {
  const { checkpoints, kills } = await killNetworks(seed, { longest: 120, mostKills: () => 3 }, ({ networks }) => networks === 5);
  expect(checkpoints).toBeGreaterThan(0);
  expect(kills.program + kills.worker + kills.process).toBeGreaterThan(3);
}, 240_000);
