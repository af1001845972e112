/**
 * Output exactly once, at random moments: a program that reads two files and writes four is killed with SIGKILL and started
 * again, over and over, until it ends; then it begins anew with other files and another store, until there were enough kills.
 *
 * Every program ends with the files of one that was never disturbed, byte for byte, and has read its inputs to the same place;
 * whatever was killed, each image in the store is whole, and no checkpoint failed.
 */
import { expect } from 'vitest';
import { type CounterRun, FAULT_PORTS, type Line } from '../fixtures/counter-program.js';
import { ScribePlace, undisturbedFiles } from '../fixtures/scribe-program.js';
import { type Seeded, seeded } from '../fixtures/seeded.js';
import { inspectStore } from '../fixtures/store-audit.js';

const PROGRAM = { SCRIBE_STEPS: 300, SCRIBE_WORK: 300, SCRIBE_EVERY: '60ms', SCRIBE_PATCH: 1 };

const MOMENTS = [
  'at some time',
  'at some step',
  'while it starts',
  'while files are put back',
  'before its first image',
  'around a commit',
  'around the opening of a late file',
  'in finish()',
] as const;
type Moment = (typeof MOMENTS)[number];

export interface FilesTally {
  kills: number;
  programs: number;
  /** Kills by the moment they were meant for. */
  readonly moments: Map<Moment, number>;
  /** Kills of a program that had no image yet, but had begun to write. */
  beforeFirstImage: number;
  /** Kills of a life that had files to put back and had not got through start(). */
  whilePuttingBack: number;
}

/** A kill around one of the operations on the file system that a start does. */
function faultIn(random: Seeded): Record<string, string> {
  const action = random.pick(['kill-before', 'kill-after']);
  const fault = { thread: 'main', ...random.pick([{}, { path: '/journal/' }, { path: '/files/' }, { path: '/tails/' }]), action };
  return { SCRIBE_PORTS: FAULT_PORTS, CKPT_FAULT: JSON.stringify({ ...fault, nth: 1 + random.whole(40) }) };
}

/** Calls `kill` at the moment, if it comes. */
function aim(run: CounterRun, moment: Moment, random: Seeded): void {
  let timer: NodeJS.Timeout | undefined;
  const killIn = (ms: number): void => {
    timer ??= setTimeout(() => run.signal('SIGKILL'), ms);
  };
  void run.ended.then(() => clearTimeout(timer));
  const delay = random.whole(6) - 1;
  const on = (nth: number, wanted: (line: Line) => boolean): void => {
    let countdown = nth;
    run.onLine((line) => {
      if (line === undefined || !wanted(line) || --countdown > 0) return;
      if (delay < 0) run.signal('SIGKILL');
      else killIn(delay);
    });
  };
  const aims: Record<Moment, () => void> = {
    'at some time': () => killIn(random.whole(1_500)),
    'while it starts': () => killIn(80 + random.whole(250)),
    'while files are put back': () => {}, // by a fault
    'at some step': () => on(1 + random.whole(200), (line) => line.step !== undefined),
    'before its first image': () => on(1 + random.whole(12), (line) => line.step !== undefined),
    'around a commit': () => on(1 + random.whole(6), (line) => line.captured !== undefined || line.committed !== undefined),
    'around the opening of a late file': () => on(1 + random.whole(2), (line) => line.opened !== undefined),
    'in finish()': () => on(1, (line) => line.finishing !== undefined),
  };
  aims[moment]();
}

/** One program from its first start to its end. */
async function oneProgram(tally: FilesTally, wanted: () => boolean, random: Seeded, seed: number): Promise<void> {
  const place = new ScribePlace(PROGRAM);
  const files = await undisturbedFiles(PROGRAM);
  let hasImage = false;
  try {
    for (let life = 1; ; life++) {
      const moment = wanted() ? random.pick(MOMENTS) : undefined;
      const run = place.start(moment === 'while files are put back' ? faultIn(random) : {});
      if (moment !== undefined) aim(run, moment, random);
      const ended = await run.ended;
      const context = `seed ${seed}, life ${life}, killed ${moment ?? 'never'}: ${JSON.stringify(ended.lines.at(-1))} ${ended.stderr}`;
      expect(
        ended.lines.flatMap(({ warned }) => (warned?.includes('ERR_CKPT_') ? warned : [])),
        context,
      ).toEqual([]);
      if (ended.signal === null) {
        expect(ended.code, context).toBe(0);
        expect(differing(place.files(), files), context).toEqual([]);
        tally.programs++;
        return;
      }
      expect(ended.signal, context).toBe('SIGKILL');
      tally.kills++;
      if (moment !== undefined) tally.moments.set(moment, (tally.moments.get(moment) ?? 0) + 1);
      if (ended.started === undefined && hasImage) tally.whilePuttingBack++;
      const { images } = await inspectStore(place.store);
      expect(
        images.filter(({ damages }) => damages.length > 0),
        context,
      ).toEqual([]);
      hasImage = images.length > 0;
      if (!hasImage && ended.lines.some((line) => line.step !== undefined)) tally.beforeFirstImage++;
    }
  } finally {
    await place.remove();
  }
}

/** Which files differ, and from where on. */
function differing(found: Readonly<Record<string, string>>, expected: Readonly<Record<string, string>>): string[] {
  const names = new Set([...Object.keys(found), ...Object.keys(expected)]);
  return [...names].flatMap((name) => {
    const [own, other] = [found[name], expected[name]];
    if (own === other) return [];
    if (own === undefined || other === undefined) return `${name}: ${own === undefined ? 'missing' : 'unexpected'}`;
    const at = [...own].findIndex((character, index) => character !== other[index]);
    return `${name}: ${own.length} bytes instead of ${other.length}, different from byte ${at < 0 ? own.length : at} on`;
  });
}

/** Kills programs until there were `kills`, in as many lanes side by side as there are seeds. */
export async function killScribes(kills: number, seeds: readonly number[]): Promise<FilesTally> {
  const tally: FilesTally = { kills: 0, programs: 0, moments: new Map(), beforeFirstImage: 0, whilePuttingBack: 0 };
  await undisturbedFiles(PROGRAM);
  const lane = async (seed: number): Promise<void> => {
    const random = seeded(seed);
    const wanted = (): boolean => tally.kills < kills;
    do await oneProgram(tally, wanted, random, seed);
    while (wanted());
  };
  await Promise.all(seeds.map(lane));
  return tally;
}
