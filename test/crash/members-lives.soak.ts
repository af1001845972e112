import { expect, it } from 'vitest';
import { testSeed } from '../fixtures/seeded.js';
import { killNetworks, type Tally } from './members-lives.js';

const seed = testSeed(Date.now() % 1_000_000_000);
const WANTED = Number(process.env['CKPT_TEST_KILLS'] ?? 1_000);
/** Of one network. */
const MOST_KILLS = 6;
const deaths = ({ program, worker, process }: Tally['kills']): number => program + worker + process;

it(
  `F45, F47, F66: ${WANTED} networks of 1 to 16 members, of which ${WANTED} times somebody dies, end as if nothing had happened (seed ${seed})`,
  async () => {
    const { networks, kills, nested, opaque } = await killNetworks(
      seed,
      { longest: 160, mostKills: ({ kills }) => (deaths(kills) < WANTED ? MOST_KILLS : 0) },
      ({ networks, kills }) => networks >= WANTED && deaths(kills) >= WANTED,
      (tally) => process.stdout.write(`${JSON.stringify(tally)}\n`),
    );
    expect(networks).toBeGreaterThanOrEqual(WANTED);
    if (WANTED > 100) expect(Math.min(kills.program, kills.worker, kills.process, nested, opaque.died)).toBeGreaterThan(0);
  },
  12 * 3_600_000,
);
