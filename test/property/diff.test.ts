/** Of any two states, the comparison finds nothing exactly when they are the same by structure and identity. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compareSeed } from '../fixtures/diff-trial.js';

it('a state that is disturbed at one place differs exactly when the codec says so', async () => {
  const outcomes = { same: 0, differs: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(fc.nat(2 ** 31 - 1), fc.integer({ min: 1, max: 16 }), fc.boolean(), async (seed, objects, disturbed) => {
      outcomes[await compareSeed(seed, objects, disturbed)]++;
    }),
    { numRuns: 300 },
  );
  expect(Math.min(outcomes.same, outcomes.differs)).toBeGreaterThan(50);
});
