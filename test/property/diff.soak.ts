import { expect, it } from 'vitest';
import { diffOpened } from '../../packages/sdk/src/tools/diff-images.js';
import { compareSeed } from '../fixtures/diff-trial.js';
import { testSeed } from '../fixtures/seeded.js';
import { linkedList, openState } from '../fixtures/state-image.js';

const SEED = testSeed(1);
const STATES = Number(process.env['CKPT_TEST_VALUES'] ?? 100_000);

it(`of ${STATES} random states from seed ${SEED} on, disturbed or not, nothing differs exactly when the codec says so`, async () => {
  const outcomes = { same: 0, differs: 0, refused: 0 };
  for (let seed = SEED; seed < SEED + STATES; seed++) outcomes[await compareSeed(seed, 14, seed % 2 === 0)]++;
  console.log(`${outcomes.same} the same, ${outcomes.differs} differ, ${outcomes.refused} refused`);
  expect(Math.min(outcomes.same, outcomes.differs)).toBeGreaterThan(0.2 * STATES);
});

it('a linked list of a million nodes is compared', async () => {
  const [a, b] = [await openState({ list: linkedList(1_000_000, 1) }), await openState({ list: linkedList(1_000_000, 2) })];
  expect((await diffOpened(a, b, 10)).counts).toEqual({ added: 0, removed: 0, modified: 1, typeChanged: 0 });
});
