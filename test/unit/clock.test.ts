import { expect, test } from 'vitest';
import { RunClock } from '../../packages/sdk/src/state/clock.js';
import { ManualClock } from '../fixtures/manual-clock.js';

test('the run clock stands until it is started', () => {
  const clock = new ManualClock();
  const run = new RunClock(clock);
  clock.advance(5_000);
  expect(run.now()).toBe(0);
  run.start(0);
  clock.advance(1_500);
  expect(run.now()).toBe(1_500);
});

test('the run clock sums run time over incarnations and leaves out the time between them', () => {
  const clock = new ManualClock();
  const first = new RunClock(clock);
  first.start(0);
  clock.advance(10_000);
  const captured = first.now();
  clock.advance(86_400_000);
  const second = new RunClock(clock);
  second.start(captured);
  clock.advance(2_000);
  expect(second.now()).toBe(12_000);
});

test('F54: the run clock does not notice that the wall clock jumps', () => {
  const clock = new ManualClock();
  const run = new RunClock(clock);
  run.start(100);
  clock.jumpWall(-86_400_000);
  clock.advance(1);
  expect(run.now()).toBe(101);
});

test('the run clock stands once it is stopped', () => {
  const clock = new ManualClock();
  const run = new RunClock(clock);
  run.start(0);
  clock.advance(7);
  run.stop();
  run.stop();
  clock.advance(1_000);
  expect(run.now()).toBe(7);
});

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, '5', null, undefined])('a recorded run time of %s is refused', (recorded) => {
  expect(() => new RunClock(new ManualClock()).start(recorded)).toThrow(expect.objectContaining({ code: 'ERR_CKPT_DECODE' }));
});

test('starting the run clock twice is refused', () => {
  const run = new RunClock(new ManualClock());
  run.start(0);
  expect(() => run.start(0)).toThrow(expect.objectContaining({ code: 'ERR_CKPT_PHASE' }));
});
