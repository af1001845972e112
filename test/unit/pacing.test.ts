import { expect, test } from 'vitest';
import { CheckpointError } from '../../packages/sdk/src/base/errors.js';
import { systemClock } from '../../packages/sdk/src/base/system-ports.js';
import type { CheckpointRequest } from '../../packages/sdk/src/checkpoint/request.js';
import { Pacing } from '../../packages/sdk/src/triggers/pacing.js';
import { ManualClock } from '../fixtures/manual-clock.js';

const MINUTE = 60_000;

function paced(every: number): { clock: ManualClock; pacing: Pacing; asked: CheckpointRequest[] } {
  const clock = new ManualClock();
  const asked: CheckpointRequest[] = [];
  return { clock, asked, pacing: new Pacing({ every, clock, ask: (request) => asked.push(request) }) };
}

function fail(request: CheckpointRequest | undefined): void {
  request?.settled?.({ ok: false, error: new CheckpointError('ERR_CKPT_NO_SPACE', 'full') });
}

test('a checkpoint is asked for when the interval is over, with the reason timer', () => {
  const { clock, asked } = paced(MINUTE);
  clock.advance(MINUTE - 1);
  expect(asked).toHaveLength(0);
  clock.advance(1);
  expect(asked).toMatchObject([{ reason: 'timer', exit: false }]);
});

test('the interval counts from the start of the last capture, not from its request', () => {
  const { clock, pacing, asked } = paced(MINUTE);
  clock.advance(MINUTE);
  clock.advance(5_000);
  pacing.captured(clock.monotonic());
  clock.advance(MINUTE - 1);
  expect(asked).toHaveLength(1);
  clock.advance(1);
  expect(asked).toHaveLength(2);
});

test('a capture for another reason puts the next timer checkpoint off', () => {
  const { clock, pacing, asked } = paced(MINUTE);
  clock.advance(50_000);
  pacing.captured(clock.monotonic());
  clock.advance(50_000);
  expect(asked).toHaveLength(0);
  clock.advance(10_000);
  expect(asked).toHaveLength(1);
});

test('a capture that is told late counts from when it began', () => {
  const { clock, pacing, asked } = paced(MINUTE);
  const began = clock.monotonic() + 10_000;
  clock.advance(30_000);
  pacing.captured(began);
  clock.advance(39_999);
  expect(asked).toHaveLength(0);
  clock.advance(1);
  expect(asked).toHaveLength(1);
});

test('nothing more is asked for while a request waits for its capture', () => {
  const { clock, asked } = paced(MINUTE);
  clock.advance(10 * MINUTE);
  expect(asked).toHaveLength(1);
});

test('F55: after a sleep of many intervals there is one checkpoint to catch up', () => {
  const { clock, pacing, asked } = paced(MINUTE);
  clock.stall(600 * MINUTE);
  clock.advance(0);
  expect(asked).toHaveLength(1);
  pacing.captured(clock.monotonic());
  clock.advance(MINUTE - 1);
  expect(asked).toHaveLength(1);
  clock.advance(1);
  expect(asked).toHaveLength(2);
});

test('F54: a wall clock that jumps back or forth neither delays nor hastens a checkpoint', () => {
  const { clock, asked } = paced(MINUTE);
  clock.jumpWall(-86_400_000);
  clock.advance(MINUTE - 1);
  clock.jumpWall(86_400_000 * 365);
  clock.advance(0);
  expect(asked).toHaveLength(0);
  clock.advance(1);
  expect(asked).toHaveLength(1);
});

test('F56: an interval beyond 2^31-1 ms is kept', () => {
  const every = 2 ** 31 + 5 * MINUTE;
  const { clock, asked } = paced(every);
  clock.advance(every - 1);
  expect(asked).toHaveLength(0);
  clock.advance(1);
  expect(asked).toHaveLength(1);
});

test('F56: the clock of the system does not fire a timer beyond 2^31-1 ms at once', async () => {
  const fired = await new Promise<string>((resolve) => {
    const long = systemClock.timer(2 ** 31 + 1_000, () => resolve('long'));
    systemClock
      .timer(30, () => {
        long.cancel();
        resolve('short');
      })
      .keepAlive(true);
  });
  expect(fired).toBe('short');
});

test('a synchronous loop is told that one is due, and asks once', () => {
  const { clock, pacing, asked } = paced(MINUTE);
  expect(pacing.due(clock.monotonic())).toBe(false);
  clock.stall(MINUTE);
  expect(pacing.due(clock.monotonic())).toBe(true);
  expect(pacing.askIfDue(clock.monotonic())).toBe(true);
  expect(pacing.due(clock.monotonic())).toBe(false);
  expect(pacing.askIfDue(clock.monotonic())).toBe(false);
  clock.advance(0);
  expect(asked).toHaveLength(1);
});

test('a request that failed before its capture is tried again an interval later', () => {
  const { clock, asked } = paced(MINUTE);
  clock.advance(MINUTE);
  clock.advance(10_000);
  fail(asked[0]);
  clock.advance(MINUTE - 1);
  expect(asked).toHaveLength(1);
  clock.advance(1);
  expect(asked).toHaveLength(2);
});

test('a failure after the capture changes nothing: the next is due an interval after the capture', () => {
  const { clock, pacing, asked } = paced(MINUTE);
  clock.advance(MINUTE);
  pacing.captured(clock.monotonic());
  clock.advance(30_000);
  fail(asked[0]);
  clock.advance(30_000);
  expect(asked).toHaveLength(2);
});

test('no timer keeps the process alive, and none is left after close', () => {
  const { clock, pacing, asked } = paced(MINUTE);
  expect(clock.timers).toBe(1);
  expect(clock.holding).toBe(0);
  pacing.close();
  pacing.close();
  pacing.captured(clock.monotonic());
  expect(clock.timers).toBe(0);
  clock.advance(10 * MINUTE);
  expect(pacing.due(clock.monotonic())).toBe(false);
  expect(asked).toHaveLength(0);
});

test('a failure that is told after close sets no timer', () => {
  const { clock, pacing, asked } = paced(MINUTE);
  clock.advance(MINUTE);
  pacing.close();
  fail(asked[0]);
  expect(clock.timers).toBe(0);
});

test('an interval of zero or less is a TypeError', () => {
  expect(() => paced(0)).toThrow(TypeError);
  expect(() => paced(Number.NaN)).toThrow(TypeError);
});

test('a pace that has learned something new counts from the last capture, not from now', () => {
  const clock = new ManualClock();
  const asked: CheckpointRequest[] = [];
  let interval = MINUTE;
  const pacing = new Pacing({ every: { due: (since) => since + interval }, clock, ask: (request) => asked.push(request) });
  clock.advance(20_000);
  interval = 30_000;
  pacing.reconsider();
  clock.advance(9_999);
  expect(asked).toHaveLength(0);
  clock.advance(1);
  expect(asked).toHaveLength(1);
});
