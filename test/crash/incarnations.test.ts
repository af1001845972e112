/**
 * Several lives of one program: at once, one after another, stopped and woken, in containers, from other images than the
 * newest. Whatever happens between them, the last one ends with the output of an undisturbed program.
 */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadPorts } from '../../packages/sdk/src/base/system-ports.js';
import type { ImageEntry } from '../../packages/sdk/src/store/contract.js';
import { openDirectoryStore } from '../../packages/sdk/src/store/directory.js';
import {
  type Acknowledged,
  CounterPlace,
  type CounterRun,
  type Ended,
  FAULT_PORTS,
  undisturbedOutput,
} from '../fixtures/counter-program.js';
import { moveOwnerAway } from '../fixtures/owner-away.js';
import { inspectStore, storeLeftovers } from '../fixtures/store-audit.js';
import { needRoot, needTool } from '../fixtures/tools.js';

const HASTY_CLOCK = new URL('../faults/hasty-clock.mjs', import.meta.url).href;
/** Images at the steps 2, 4, 6, … */
const PROGRAM = { COUNTER_STEPS: 10, COUNTER_CHECKPOINT_EACH: 2, COUNTER_FIELD: 64, COUNTER_KEEP: 9 };
const NAMED = { COUNTER_NAMES: '2:two' };

function newPlace(): CounterPlace {
  const place = new CounterPlace(PROGRAM);
  onTestFinished(() => place.remove());
  return place;
}

/** A life that waits at that step. */
async function heldAt(place: CounterPlace, step: number, more: Record<string, string> = {}): Promise<CounterRun> {
  const run = place.start({ COUNTER_HOLD_AT: step, ...more });
  await run.hear('held');
  return run;
}

/** A life that was killed at that step. */
async function killedAt(place: CounterPlace, step: number, more: Record<string, string> = {}): Promise<Ended> {
  return (await heldAt(place, step, more)).kill();
}

async function assertEndsWell(place: CounterPlace, ended: Ended): Promise<void> {
  const output = await undisturbedOutput(PROGRAM);
  expect({ code: ended.code, output: place.output(), stderr: ended.stderr }).toEqual({ code: 0, output, stderr: expect.any(String) });
  expect(storeLeftovers(place.store)).toEqual([]);
}

/** The last acknowledged image that had this state. */
function imageAt(place: CounterPlace, step: number): Acknowledged {
  const image = place.acknowledged().findLast((line) => line.step === step);
  if (image === undefined) throw new Error(`no image of step ${step}`);
  return image;
}

async function resolved(place: CounterPlace, name: string): Promise<ImageEntry> {
  return openDirectoryStore(place.store, await loadPorts(undefined)).resolve(name);
}

async function stopped(run: CounterRun): Promise<void> {
  await vi.waitFor(() => expect(readFileSync(`/proc/${run.pid}/stat`, 'utf8')).toMatch(/\) T /), { timeout: 20_000, interval: 5 });
}

/** Claims as soon as the recorded owner has been silent for a minute of a hasty clock. */
const PATIENT = { COUNTER_PORTS: HASTY_CLOCK, COUNTER_LOCK_WAIT: '10m' };

describe('a second life beside the first', () => {
  it('F49: is refused after lockWait with ERR_CKPT_LOCKED, has touched nothing, and the first goes on', async () => {
    const place = newPlace();
    const first = await heldAt(place, 3);
    const traced = place.traced();
    const before = performance.now();
    const second = await place.run({ COUNTER_LOCK_WAIT: '700ms' });
    expect(performance.now() - before).toBeGreaterThan(700);
    expect({ code: second.code, refused: second.refused }).toMatchObject({ code: 1, refused: { code: 'ERR_CKPT_LOCKED', phase: 'open' } });
    expect(second.refused?.message).toContain(String(first.pid));
    expect(place.traced()).toEqual(traced);
    first.goOn();
    await assertEndsWell(place, await first.ended);
  });

  it('F49: of four that start at once, one gets the store', async () => {
    const place = newPlace();
    const lives = [1, 2, 3, 4].map(() => place.start({ COUNTER_HOLD_AT: 3 }));
    const outcomes = await Promise.all(
      lives.map((life) => Promise.race([life.hear('held').then(() => 'held'), life.hear('refused').then((told) => told.code)])),
    );
    expect(outcomes.toSorted()).toEqual(['ERR_CKPT_LOCKED', 'ERR_CKPT_LOCKED', 'ERR_CKPT_LOCKED', 'held']);
    const winner = lives[outcomes.indexOf('held')];
    winner?.goOn();
    if (winner !== undefined) await assertEndsWell(place, await winner.ended);
  });

  it('F49: that waits goes on from the newest image as soon as the first is killed', async () => {
    const place = newPlace();
    const first = await heldAt(place, 5);
    const second = place.start({ COUNTER_LOCK_WAIT: '30s', COUNTER_EVENTS: 1 });
    await vi.waitFor(() => expect(statSync(join(place.store, 'epochs')).isDirectory()).toBe(true));
    await first.kill();
    const ended = await second.ended;
    expect(ended.started).toMatchObject({ restarted: true, image: imageAt(place, 4).id, incarnation: 2 });
    await assertEndsWell(place, ended);
  });

  it('CKPT_TAKE_OVER=1 ends the first, running or stopped, and goes on from its newest image', async () => {
    for (const state of ['running', 'stopped']) {
      const place = newPlace();
      const first = await heldAt(place, 5);
      if (state === 'stopped') first.signal('SIGSTOP');
      const second = await place.run({ CKPT_TAKE_OVER: '1' });
      expect((await first.ended).signal).toBe('SIGKILL');
      expect(second.started).toMatchObject({ restarted: true, generation: 2 });
      await assertEndsWell(place, second);
    }
  });
});

describe('a stopped life whose store was claimed by another', () => {
  it('F50: is fenced when it wakes: its next checkpoint throws ERR_CKPT_FENCED, and it leaves no image', async () => {
    const place = newPlace();
    const first = await heldAt(place, 4);
    first.signal('SIGSTOP');
    moveOwnerAway(place.store, 1);
    const second = await heldAt(place, 7, PATIENT);
    expect(await second.hear('started')).toMatchObject({ image: imageAt(place, 4).id, incarnation: 2 });
    const images = readdirSync(join(place.store, 'images'));
    first.signal('SIGCONT');
    first.goOn();
    const ended = await first.ended;
    expect({ code: ended.code, refused: ended.refused?.code }).toEqual({ code: 1, refused: 'ERR_CKPT_FENCED' });
    expect(readdirSync(join(place.store, 'images'))).toEqual(images);
    second.goOn();
    await assertEndsWell(place, await second.ended);
  });

  it('F50: at a plain safepoint, with no checkpoint due, ERR_CKPT_FENCED is thrown as well', async () => {
    const place = newPlace();
    const endless = { COUNTER_STEPS: '1000000000', COUNTER_CHECKPOINT_EACH: '1000000000', COUNTER_NAMES: '4:four' };
    const first = await heldAt(place, 5, endless);
    first.signal('SIGSTOP');
    moveOwnerAway(place.store, 1);
    const second = await heldAt(place, 7, PATIENT);
    first.signal('SIGCONT');
    first.goOn();
    const ended = await first.ended;
    expect({ code: ended.code, refused: ended.refused?.code }).toEqual({ code: 1, refused: 'ERR_CKPT_FENCED' });
    await second.kill();
    await assertEndsWell(place, await place.run());
  });

  it.each([
    ['before its image has a name in images/', { thread: 'helper', op: 'link', path: '/images/', nth: 2, action: 'stop-before' }],
    [
      'between its image and the acknowledgement',
      { thread: 'helper', op: 'fsync-directory', path: '/images', nth: 2, action: 'stop-before' },
    ],
  ])('F50: stopped %s, its image is not acknowledged and never chosen', async (_where, fault) => {
    const place = newPlace();
    const first = place.start({ COUNTER_PORTS: FAULT_PORTS, CKPT_FAULT: JSON.stringify(fault) });
    await stopped(first);
    expect(place.fired()).toHaveLength(1);
    moveOwnerAway(place.store, 1);
    const visible = (await inspectStore(place.store)).lineage[0];
    const second = await heldAt(place, 7, PATIENT);
    // What was linked before the claim may be gone on from; what comes later may not.
    expect(await second.hear('started')).toMatchObject({ image: visible?.id });
    first.signal('SIGCONT');
    const ended = await first.ended;
    expect({ code: ended.code, refused: ended.refused?.code }).toEqual({ code: 1, refused: 'ERR_CKPT_FENCED' });
    expect(place.acknowledged().filter(({ epoch }) => epoch === 1)).toHaveLength(1);
    await second.kill();
    const third = await place.run();
    expect(third.started?.image).toBe(place.acknowledged().findLast(({ epoch }) => epoch === 2)?.id);
    await assertEndsWell(place, third);
  });

  it.each([
    ['before', { op: 'link', path: '/names/' }],
    ['after', { op: 'fsync-directory', path: '/names/two' }],
  ])(
    'F71: stopped %s it gave a name, it moves none when it wakes: the name stays with the image that its successor chose',
    async (_when, at) => {
      const place = newPlace();
      await killedAt(place, 3, NAMED);
      const older = await resolved(place, 'two');
      const fault = JSON.stringify({ thread: 'helper', action: 'stop-before', ...at });
      const zombie = place.start({ CKPT_RESTART: 'two', ...NAMED, COUNTER_PORTS: FAULT_PORTS, CKPT_FAULT: fault });
      await stopped(zombie);
      moveOwnerAway(place.store, 2);
      const next = await heldAt(place, 3, PATIENT);
      const { image } = await next.hear('started');
      expect(image).not.toBe(older.id);
      expect((await resolved(place, 'two')).id).toBe(image);
      zombie.signal('SIGCONT');
      expect((await zombie.ended).refused?.code).toBe('ERR_CKPT_FENCED');
      expect((await resolved(place, 'two')).id).toBe(image);
      next.goOn();
      await assertEndsWell(place, await next.ended);
    },
  );

  it('F71: its name that has moved on to an image of its successor stays there', async () => {
    const place = newPlace();
    const fault = JSON.stringify({ thread: 'helper', op: 'link', path: '/names/', action: 'stop-before' });
    const zombie = place.start({ ...NAMED, COUNTER_PORTS: FAULT_PORTS, CKPT_FAULT: fault });
    await stopped(zombie);
    moveOwnerAway(place.store, 1);
    const next = await heldAt(place, 3, { ...PATIENT, ...NAMED });
    const own = place.acknowledged().find(({ epoch, name }) => epoch === 2 && name === 'two');
    zombie.signal('SIGCONT');
    expect((await zombie.ended).refused?.code).toBe('ERR_CKPT_FENCED');
    expect((await resolved(place, 'two')).id).toBe(own?.id);
    next.goOn();
    await assertEndsWell(place, await next.ended);
  });
});

describe('a store whose owner is gone', () => {
  it('F51: by a crash: the next start claims it at once', async () => {
    const place = newPlace();
    await killedAt(place, 5);
    const next = await place.run({ COUNTER_LOCK_WAIT: '0ms' });
    expect(next.started).toMatchObject({ restarted: true, image: imageAt(place, 4).id });
    await assertEndsWell(place, next);
  });

  it('F51: with the whole machine: it is claimed once the heartbeat has stood still', async () => {
    const place = newPlace();
    await killedAt(place, 5);
    moveOwnerAway(place.store, 1);
    expect((await place.run({ COUNTER_LOCK_WAIT: '200ms' })).refused?.code).toBe('ERR_CKPT_LOCKED');
    const next = await place.run(PATIENT);
    expect(next.started).toMatchObject({ restarted: true, image: imageAt(place, 4).id });
    await assertEndsWell(place, next);
  });

  it('F79: as pid 1 of a container: the next pid 1 neither takes itself for it, nor is locked out for ever', async (context) => {
    needRoot(context);
    needTool(context, 'unshare');
    const container = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];
    const place = newPlace();
    const first = place.start({ COUNTER_HOLD_AT: 5 }, container);
    await first.hear('held');
    // Alive in its container, it is waited for.
    expect((await place.run({ COUNTER_LOCK_WAIT: '200ms' }, container)).refused?.code).toBe('ERR_CKPT_LOCKED');
    await first.kill();
    const next = await place.run(PATIENT, container);
    expect(next.started).toMatchObject({ restarted: true, image: imageAt(place, 4).id });
    await assertEndsWell(place, next);
  });
});

describe('a restart from an older image', () => {
  it('F62: killed before its first own image, stays on that lineage', async () => {
    const place = newPlace();
    await killedAt(place, 7, NAMED);
    expect(imageAt(place, 6).generation).toBeGreaterThan(imageAt(place, 2).generation);
    const two = (await resolved(place, 'two')).id;
    const second = await killedAt(place, 3, { CKPT_RESTART: 'two' });
    expect(second.started).toMatchObject({ image: two, step: 2 });
    const third = await place.run();
    expect(third.started).toMatchObject({ image: two, step: 2 });
    await assertEndsWell(place, third);
  });

  it('F62: from its first own image on, the abandoned branch is reached by id only', async () => {
    const place = newPlace();
    await killedAt(place, 7, NAMED);
    const abandoned = imageAt(place, 6);
    await killedAt(place, 5, { CKPT_RESTART: 'two' });
    const own = imageAt(place, 4);
    expect(own.epoch).toBe(2);
    expect((await killedAt(place, 5)).started).toMatchObject({ image: own.id, step: 4 });
    const back = await place.run({ CKPT_RESTART: abandoned.id });
    expect(back.started).toMatchObject({ image: abandoned.id, step: 6 });
    await assertEndsWell(place, back);
  });

  it('F70: the checkpoint of that name is taken again, and the name moves', async () => {
    const place = newPlace();
    await killedAt(place, 3, NAMED);
    const before = await resolved(place, 'two');
    const next = await place.run({ CKPT_RESTART: 'two', ...NAMED });
    expect(next.started).toMatchObject({ image: before.id, step: 2 });
    await assertEndsWell(place, next);
    const after = await resolved(place, 'two');
    expect(after).toMatchObject({ epoch: 2 });
    expect(after.generation).toBeGreaterThan(before.generation);
  });

  it('F71: an image whose name entry a kill left out has its name at the next start', async () => {
    const place = newPlace();
    const killed = await place.runWithFault({ thread: 'helper', op: 'link', path: '/names/', action: 'kill-before' }, NAMED);
    expect({ signal: killed.signal, fired: place.fired().length }).toEqual({ signal: 'SIGKILL', fired: 1 });
    expect(readdirSync(join(place.store, 'names'))).toEqual(['two']);
    expect(readdirSync(join(place.store, 'names', 'two'))).toEqual([]);
    const newest = (await inspectStore(place.store)).lineage[0];
    const next = await place.run({ CKPT_RESTART: 'two' });
    expect(next.started).toMatchObject({ image: newest?.id, step: 2 });
    await assertEndsWell(place, next);
  });

  it('F72: that failed and was undone does not change what the next start takes', async () => {
    const place = newPlace();
    await killedAt(place, 7, NAMED);
    const newest = imageAt(place, 6);
    const failed = await place.run({ CKPT_RESTART: 'two', COUNTER_AT_RESTART: 'throw' });
    expect({ code: failed.code, refused: failed.refused?.code }).toEqual({ code: 1, refused: 'ERR_CKPT_HANDLER' });
    const next = await place.run();
    expect(next.started).toMatchObject({ image: newest.id, step: 6 });
    await assertEndsWell(place, next);
  });
});

describe('a store without its images', () => {
  it('F73: is refused, whether the folder is empty or gone, and begun anew only when that is asked for', async () => {
    const place = newPlace();
    await killedAt(place, 5);
    const images = join(place.store, 'images');
    for (const file of readdirSync(images)) rmSync(join(images, file));
    place.forget('trace');
    expect((await place.run()).refused?.code).toBe('ERR_CKPT_IMAGE_MISSING');
    rmSync(images, { recursive: true });
    expect((await place.run()).refused?.code).toBe('ERR_CKPT_IMAGE_MISSING');
    expect({ traced: place.traced(), output: place.output() }).toEqual({ traced: [], output: '' });
    const anew = await place.run({ CKPT_RESTART: 'never' });
    expect(anew.started).toMatchObject({ restarted: false, step: 0 });
    await assertEndsWell(place, anew);
  });
});

describe('a finished program', () => {
  it('F78: started again and finished again writes no image, touches no file and ends with 0', async () => {
    const place = newPlace();
    await assertEndsWell(place, await place.run());
    const files = (): string[] =>
      readdirSync(place.store, { recursive: true, encoding: 'utf8' }).filter((path) => !path.startsWith('epochs'));
    const [before, written] = [files(), statSync(join(place.folder, 'out')).mtimeMs];
    const acknowledged = place.acknowledged();
    for (const incarnation of [2, 3]) {
      const again = await place.run();
      expect(again.started).toMatchObject({ restarted: true, finished: true, incarnation, step: 10 });
      await assertEndsWell(place, again);
    }
    expect({ files: files(), acknowledged: place.acknowledged() }).toEqual({ files: before, acknowledged });
    expect(statSync(join(place.folder, 'out')).mtimeMs).toBe(written);
  });
});
