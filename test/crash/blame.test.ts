/**
 * F38: an image is blamed only for what it is. Decoding it or a restore function that throws, in two starts, marks it; kills,
 * handlers and the system's errors never do.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type Acknowledged, CounterPlace, type Ended, FAULT_PORTS, undisturbedOutput } from '../fixtures/counter-program.js';
import { withManifest } from '../fixtures/rewritten-image.js';
import { storeLeftovers } from '../fixtures/store-audit.js';

const PROGRAM = { COUNTER_STEPS: 10, COUNTER_CHECKPOINT_EACH: 2, COUNTER_FIELD: 64, COUNTER_KEEP: 9 };

let place: CounterPlace;
let older: Acknowledged;
let newest: Acknowledged;

beforeEach(async () => {
  place = new CounterPlace(PROGRAM);
  const started = place;
  onTestFinished(() => started.remove());
  expect((await place.run({ COUNTER_CLOSE_AT: 5 })).code).toBe(0);
  const [first, second] = place.acknowledged();
  if (first === undefined || second === undefined) throw new Error('two images were expected');
  [older, newest] = [first, second];
});

async function assertEndsWell(ended: Ended): Promise<void> {
  expect({ code: ended.code, output: place.output() }, ended.stderr).toEqual({ code: 0, output: await undisturbedOutput(PROGRAM) });
  expect(storeLeftovers(place.store)).toEqual([]);
}

/** The newest image has been marked: it is passed over, loudly. */
async function assertPassedOver(more: Record<string, string> = {}): Promise<void> {
  const ended = await place.run(more);
  expect(ended.started?.image).toBe(older.id);
  expect(ended.stderr.split('\n').find((line) => line.includes('passed over'))).toContain(newest.id);
  await assertEndsWell(ended);
}

/** Nobody has blamed anything, and the newest image is gone on from. */
async function assertNotBlamed(): Promise<void> {
  expect(readdirSync(join(place.store, 'journal'))).toEqual([]);
  const ended = await place.run();
  expect(ended.started?.image).toBe(newest.id);
  await assertEndsWell(ended);
}

describe('an image', () => {
  it('F38: whose restore function throws in two starts is marked, and passed over from the third on', async () => {
    const refusing = { COUNTER_REFUSE_CHAIN: String(newest.chain) };
    for (const _ of [1, 2])
      expect((await place.run(refusing)).refused).toMatchObject({ code: 'ERR_CKPT_RESTORE', phase: 'apply', image: newest.id });
    await assertPassedOver(refusing);
  });

  it('F38: whose restore function throws once, and then no more, is gone on from', async () => {
    expect((await place.run({ COUNTER_REFUSE_CHAIN: String(newest.chain) })).refused?.code).toBe('ERR_CKPT_RESTORE');
    const ended = await place.run();
    expect(ended.started?.image).toBe(newest.id);
    await assertEndsWell(ended);
  });

  it('F38: that cannot be decoded in two starts is marked, and passed over from the third on', async () => {
    const path = join(place.store, 'images', newest.path.slice(newest.path.lastIndexOf('/') + 1));
    const unknown = await withManifest(readFileSync(path), (manifest) => ({
      ...manifest,
      sections: manifest.sections.map((section) => (section.name === 'tally' ? { ...section, encoding: 'tree-99' } : section)),
    }));
    writeFileSync(path, unknown);
    for (const _ of [1, 2]) expect((await place.run()).refused).toMatchObject({ code: 'ERR_CKPT_DECODE', phase: 'read' });
    await assertPassedOver();
  });

  it('F38: during whose restore the program is killed, however often, is not blamed', async () => {
    for (const where of ['restore', 'atRestart', 'restore']) expect((await place.run({ COUNTER_DIE_IN: where })).signal).toBe('SIGKILL');
    await assertNotBlamed();
  });

  it('F38: whose atRestart handler fails, however often, is not blamed', async () => {
    for (const _ of [1, 2, 3]) expect((await place.run({ COUNTER_AT_RESTART: 'throw' })).refused?.code).toBe('ERR_CKPT_HANDLER');
    await assertNotBlamed();
  });

  it.each(['EMFILE', 'EACCES'])(
    'F38: that the system does not let us read (%s), however often, is not blamed and not passed over',
    async (errno) => {
      const fault = { thread: 'main', op: 'open', path: newest.id, times: 9, action: `errno:${errno}` };
      for (const _ of [1, 2, 3]) {
        const refused = await place.run({ COUNTER_PORTS: FAULT_PORTS, CKPT_FAULT: JSON.stringify(fault) });
        expect({ code: refused.code, refused: refused.refused }).toMatchObject({ code: 1, refused: { code: 'ERR_CKPT_IO', cause: errno } });
      }
      expect(place.fired().length).toBeGreaterThanOrEqual(3);
      await assertNotBlamed();
    },
  );

  it('F38: on a bad sector (EIO) is passed over for this start, and is not blamed', async () => {
    const fault = { thread: 'main', op: 'read', path: newest.id, times: 9, action: 'errno:EIO' };
    const ended = await place.run({ COUNTER_PORTS: FAULT_PORTS, CKPT_FAULT: JSON.stringify(fault) });
    expect(place.fired().length).toBeGreaterThan(0);
    expect(readdirSync(join(place.store, 'journal'))).toEqual([]);
    expect(ended.started?.image).toBe(older.id);
    await assertEndsWell(ended);
  });
});
