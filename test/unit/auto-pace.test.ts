import { expect, test } from 'vitest';
import { type AutoLimits, AutoPace, dalyInterval, type LearnedCost, parseLearned } from '../../packages/sdk/src/triggers/auto-pace.js';
import { ManualClock } from '../fixtures/manual-clock.js';

const HOUR = 3_600_000;
/** The program loses 500 ms to each: it stands for 300, and goes slower for a second. */
const COST: LearnedCost = { freezeMs: 300, persistMs: 1_000 };

function paced(limits: Partial<AutoLimits> = {}, learned?: LearnedCost): { clock: ManualClock; pace: AutoPace } {
  const clock = new ManualClock();
  return { clock, pace: new AutoPace({ overhead: 0.01, mtbfMs: undefined, deadline: undefined, ...limits }, clock, learned) };
}

test('the first checkpoint comes after ten seconds, to learn what one costs', () => {
  const { pace } = paced();
  expect(pace.due(0)).toBe(10_000);
  pace.learn(COST);
  expect(pace.due(0)).toBe(50_000);
});

test('checkpoints take no more than their share of the run time, and are never closer than ten seconds', () => {
  expect(paced({}, COST).pace.intervalMs).toBe(50_000);
  expect(paced({ overhead: 0.1 }, COST).pace.intervalMs).toBe(10_000);
  expect(paced({ overhead: 0.001 }, COST).pace.intervalMs).toBe(500_000);
});

test('one slow checkpoint moves the interval by a quarter of what it would be alone', () => {
  const { pace } = paced({}, COST);
  pace.learn({ freezeMs: 700, persistMs: 3_000 });
  expect(pace.learned).toEqual({ freezeMs: 400, persistMs: 1_500 });
  expect(pace.intervalMs).toBeCloseTo(70_000);
});

test("with a mean time between failures the interval is Daly's, unless that costs more than the share", () => {
  const daly = paced({ mtbfMs: 24 * HOUR }, COST).pace.intervalMs;
  expect(daly).toBeCloseTo(dalyInterval(500, 24 * HOUR) + 500);
  expect(daly).toBeGreaterThan(50_000);
  expect(paced({ mtbfMs: 60_000 }, COST).pace.intervalMs).toBe(50_000);
});

test("Daly's interval is the one that loses least, by a search over all of them", () => {
  // Expected run time of a unit of work with exponentially distributed failures (Daly's equation 20, without the restart).
  const lossOf = (work: number, cost: number, mtbf: number): number => (mtbf * Math.expm1((work + cost) / mtbf)) / work;
  for (const [cost, mtbf] of [
    [1, 1_000],
    [10, 1_000],
    [100, 1_000],
    [500, 86_400_000],
  ] as const) {
    let best = 0;
    for (let work = 1; work < mtbf * 3; work *= 1.001) if (best === 0 || lossOf(work, cost, mtbf) < lossOf(best, cost, mtbf)) best = work;
    expect(lossOf(dalyInterval(cost, mtbf), cost, mtbf)).toBeLessThan(lossOf(best, cost, mtbf) * 1.0005);
  }
  expect(dalyInterval(2_000, 1_000)).toBe(1_000);
});

test('before a deadline one more checkpoint is due in time to be durable, once', () => {
  const { clock, pace } = paced({ deadline: new ManualClock().now() + 60_000 }, { freezeMs: 1_000, persistMs: 4_000 });
  const end = clock.monotonic() + 60_000;
  expect(pace.due(clock.monotonic())).toBe(end - 15_000);
  expect(pace.due(end - 15_000)).toBe(end - 15_000 + pace.intervalMs);
});

test('a jump of the wall clock moves no deadline', () => {
  const { clock, pace } = paced({ deadline: new ManualClock().now() + 30_000 }, COST);
  const due = pace.due(clock.monotonic() + 10_000);
  clock.jumpWall(-HOUR);
  expect(pace.due(clock.monotonic() + 10_000)).toBe(due);
});

test('what an image says was learned counts only where it makes sense', () => {
  expect(parseLearned({ freezeMs: 1, persistMs: 2.5 })).toEqual({ freezeMs: 1, persistMs: 2.5 });
  expect(
    parseLearned(
      new Map([
        ['freezeMs', 1],
        ['persistMs', 2],
      ]),
    ),
  ).toEqual({ freezeMs: 1, persistMs: 2 });
  for (const wrong of [
    undefined,
    null,
    7,
    {},
    { freezeMs: -1, persistMs: 2 },
    { freezeMs: 1, persistMs: Number.NaN },
    { freezeMs: '1', persistMs: 2 },
  ])
    expect(parseLearned(wrong)).toBeUndefined();
});
