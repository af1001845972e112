/** The ring of members in lock-step, killed again and again (crash/members-lives.soak.ts kills networks of every kind): every message comes once, and every run ends as an undisturbed one. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { HALO, killing, RING } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';
import { seeded } from '../fixtures/seeded.js';

const KILLS = Number(process.env['CKPT_TEST_KILLS'] ?? 100);
/** In each run of a ring. */
const KILLS_A_RUN = 10;

function ring(): Laboratory {
  const lab = new Laboratory();
  writeFileSync(join(lab.folder, 'halo.mjs'), HALO);
  return lab;
}

it(
  `F47, F66: rings of 2 to 16 members, killed ${KILLS} times`,
  async () => {
    for (let seed = 0; seed * KILLS_A_RUN < KILLS; seed++) {
      const random = seeded(seed);
      const env = { STEPS: '600', N: String(2 + random.whole(15)) };
      const undisturbed = await ring().run(RING, { env });
      const killed = ring();
      for (let life = 0; life < Math.min(KILLS_A_RUN, KILLS); life++) {
        const { said } = await killed.start(RING, { env: { ...env, ...killing(random) } }).ended;
        expect(
          said.filter(({ word }) => word === 'failed'),
          `seed ${seed}, life ${life}`,
        ).toEqual([]);
      }
      expect((await killed.run(RING, { env }))['results'], `seed ${seed}, ${env.N} members`).toEqual(undisturbed['results']);
    }
  },
  6 * 3_600_000,
);
