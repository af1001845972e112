/** How much of a program's time what forked members send may take. */
import { expect, it } from 'vitest';
import { ReadingOn } from '../../packages/sdk/src/app/reading-on.js';
import { ManualClock } from '../fixtures/manual-clock.js';

/** Each look at what is to come takes a millisecond. */
function readingOn(): { readonly reading: ReadingOn; readonly clock: ManualClock; readonly state: { coming: boolean } } {
  const clock = new ManualClock();
  const state = { coming: true };
  const reading = new ReadingOn(clock, () => {
    clock.advance(1);
    return state.coming;
  });
  return { reading, clock, state };
}

it('reads on for a fifth of the time since it last did, and no more than 200 ms at a time', async () => {
  const { reading, clock } = readingOn();
  for (const [passed, least, most] of [
    [50, 8, 16],
    [500, 98, 106],
    [100_000, 198, 206],
  ] as const) {
    clock.advance(passed);
    const before = clock.monotonic();
    await reading.whileIncoming();
    expect(clock.monotonic() - before).toBeGreaterThanOrEqual(least);
    expect(clock.monotonic() - before).toBeLessThanOrEqual(most);
  }
});

it('takes no turn where nothing is to come, and stops once nothing is', async () => {
  const made = readingOn();
  made.state.coming = false;
  expect(made.reading.whileIncoming()).toBeUndefined();
  made.state.coming = true;
  made.clock.advance(10_000);
  const before = made.clock.monotonic();
  const read = made.reading.whileIncoming();
  made.state.coming = false;
  await read;
  expect(made.clock.monotonic() - before).toBeLessThan(10);
});
