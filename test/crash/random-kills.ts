/**
 * The promise, at random moments: a program is killed with SIGKILL and started again, over and over, until it ends; then it
 * begins anew with another store, until there were enough kills.
 *
 * After every kill, with nobody at work on the store:
 *   1. every image in it is whole, and no acknowledged one is missing but for retention;
 *   2. the next start goes on from the newest acknowledged image or a newer one;
 * and every program ends with the output of one that was never disturbed, and leaves nothing lying about.
 */
import { expect } from 'vitest';
import { CounterPlace, type CounterRun, type Ended, type Line, undisturbedOutput } from '../fixtures/counter-program.js';
import { type Seeded, seeded } from '../fixtures/seeded.js';
import { brokenPromises, inspectStore, storeLeftovers } from '../fixtures/store-audit.js';

const KEEP = 3;
const PROGRAM = {
  COUNTER_STEPS: 400,
  COUNTER_WORK: 30_000,
  COUNTER_FIELD: 2_048,
  COUNTER_EVERY: '30ms',
  COUNTER_CHECKPOINT_EACH: 60,
  COUNTER_NAMES: '90:first,250:second',
  COUNTER_KEEP: KEEP,
  COUNTER_EVENTS: 1,
};

const MOMENTS = [
  'at some time',
  'at some time',
  'while it starts',
  'at some step',
  'around a commit',
  'around a commit',
  'while it prunes',
  'in finish()',
] as const;
type Moment = (typeof MOMENTS)[number];

export interface Tally {
  kills: number;
  programs: number;
  /** Kills by the moment they were meant for. */
  readonly moments: Map<Moment, number>;
  /** Kills of a life that had not got to start() yet. */
  beforeStart: number;
  /** Kills with an image in the store that nobody had acknowledged to the program. */
  unacknowledged: number;
}

/** Calls `kill` at the moment, if it comes. */
function aim(run: CounterRun, moment: Moment, random: Seeded): void {
  let timer: NodeJS.Timeout | undefined;
  const killIn = (ms: number): void => {
    timer ??= setTimeout(() => run.signal('SIGKILL'), ms);
  };
  void run.ended.then(() => clearTimeout(timer));
  let countdown = 1 + random.whole(moment === 'at some step' ? 90 : 3);
  const delay = random.whole(5) - 1;
  const on = (wanted: (line: Line) => boolean): void =>
    run.onLine((line) => {
      if (line === undefined || !wanted(line) || --countdown > 0) return;
      if (delay < 0) run.signal('SIGKILL');
      else killIn(delay);
    });
  switch (moment) {
    case 'at some time':
      killIn(random.whole(1_200));
      break;
    case 'while it starts':
      killIn(random.whole(350));
      break;
    case 'at some step':
      on((line) => line.step !== undefined);
      break;
    case 'around a commit':
      on((line) => line.captured !== undefined || line.committed !== undefined);
      break;
    case 'while it prunes':
      on((line) => line.pruned !== undefined || line.committed !== undefined);
      break;
    case 'in finish()':
      countdown = 1;
      on((line) => line.finishing !== undefined);
      break;
  }
}

function assertGoesOn({ started }: Ended, newest: number, context: string): void {
  if (started === undefined || newest === 0) return;
  expect(started.generation ?? 0, `${context}: goes on from generation`).toBeGreaterThanOrEqual(newest);
}

/** One program from its first start to its end. @returns kills of it */
async function oneProgram(tally: Tally, wanted: () => boolean, random: Seeded, seed: number): Promise<void> {
  const place = new CounterPlace(PROGRAM);
  const output = await undisturbedOutput(PROGRAM);
  try {
    for (let life = 1; ; life++) {
      const newest = place.acknowledged().at(-1)?.generation ?? 0;
      const run = place.start();
      const moment = wanted() ? random.pick(MOMENTS) : undefined;
      if (moment !== undefined) aim(run, moment, random);
      const ended = await run.ended;
      const context = `seed ${seed}, life ${life}, killed ${moment ?? 'never'}: ${JSON.stringify(ended.lines.at(-1))} ${ended.stderr}`;
      assertGoesOn(ended, newest, context);
      const found = await inspectStore(place.store);
      const acknowledged = place.acknowledged();
      expect(brokenPromises(found, acknowledged, KEEP), context).toEqual([]);
      if (ended.signal === null) {
        expect({ code: ended.code, output: place.output() }, context).toEqual({ code: 0, output });
        expect(storeLeftovers(place.store), context).toEqual([]);
        tally.programs++;
        return;
      }
      expect(ended.signal, context).toBe('SIGKILL');
      tally.kills++;
      if (moment !== undefined) tally.moments.set(moment, (tally.moments.get(moment) ?? 0) + 1);
      if (ended.started === undefined) tally.beforeStart++;
      if ((found.lineage[0]?.generation ?? 0) > (acknowledged.at(-1)?.generation ?? 0)) tally.unacknowledged++;
    }
  } finally {
    await place.remove();
  }
}

/** Kills programs until there were `kills`, in as many lanes side by side as there are seeds. */
export async function killAtRandom(kills: number, seeds: readonly number[]): Promise<Tally> {
  const tally: Tally = { kills: 0, programs: 0, moments: new Map(), beforeStart: 0, unacknowledged: 0 };
  await undisturbedOutput(PROGRAM);
  const lane = async (seed: number): Promise<void> => {
    const random = seeded(seed);
    const wanted = (): boolean => tally.kills < kills;
    do await oneProgram(tally, wanted, random, seed);
    while (wanted());
  };
  await Promise.all(seeds.map(lane));
  return tally;
}
