/** A store with very many images: what listing, opening and pruning it cost, counted in operations of the file system. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { someAtOnce } from '../../packages/sdk/src/base/at-once.js';
import type { ImageRef } from '../../packages/sdk/src/image/contract.js';
import { listImages } from '../../packages/sdk/src/images.js';
import type { Incarnation, Store } from '../../packages/sdk/src/store/contract.js';
import { openDirectoryStore } from '../../packages/sdk/src/store/directory.js';
import { imagePath, layout } from '../../packages/sdk/src/store/layout.js';
import { type Recording, recordingFileSystem } from '../faults/recording-file-system.js';
import { memorySink } from '../fixtures/memory-image.js';
import { begin, commit, refOf, silent, writing } from '../fixtures/store-lives.js';

const IMAGES = 300;
let dir: string;
let recording: Recording;
let store: Store;
let life: Incarnation;

/** Files as a commit leaves them, without the time that a commit takes. */
async function fill(from: number, to: number): Promise<ImageRef[]> {
  const refs: ImageRef[] = [];
  for (let generation = from; generation <= to; generation++) {
    const ref = refOf(life, generation);
    const sink = memorySink();
    await writing(ref, life.run.id)(sink);
    writeFileSync(imagePath(layout(dir), ref), sink.bytes(), { mode: 0o600 });
    refs.push(ref);
  }
  return refs;
}

function counted(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { name, path } of recording.operations)
    if (path.includes('/images/') || name === 'close' || name === 'read') counts[name] = (counts[name] ?? 0) + 1;
  recording.operations.length = 0;
  return counts;
}

beforeEach(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ckpt-many-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  dir = join(folder, 'ckpt');
  recording = recordingFileSystem();
  store = openDirectoryStore(dir, recording.ports);
  life = await begin(store);
  await commit(life, life.run.id, 1);
});

test('a listing shows all of them, newest first, and looks at each file once', async () => {
  await fill(2, IMAGES);
  recording.operations.length = 0;
  const { images, candidates } = await store.lineage();
  expect(images).toHaveLength(IMAGES);
  expect(candidates.map(({ generation }) => generation)).toEqual(images.map(({ generation }) => generation).reverse());
  expect(counted()['lstat']).toBe(IMAGES);
  const listed = await listImages(dir);
  expect(listed.map(({ generation }) => generation)).toEqual(Array.from({ length: IMAGES }, (_, at) => IMAGES - at));
  expect(listed.every(({ damage, lineage }) => damage === undefined && lineage)).toBe(true);
});

test('pruning reads each manifest once, in one piece, and the next time none', async () => {
  const refs = await fill(2, IMAGES);
  recording.operations.length = 0;
  expect(await store.prune({ keep: IMAGES }, life.epoch, silent)).toEqual([]);
  const first = counted();
  // The first image was written by this store, which knows it.
  expect(first).toMatchObject({ lstat: IMAGES, open: IMAGES - 1 });
  expect(first['read']).toBeLessThan(IMAGES + 10);
  expect(await store.prune({ keep: 10 }, life.epoch, silent)).toHaveLength(IMAGES - 10);
  const second = counted();
  expect(second).toMatchObject({ lstat: IMAGES, unlink: IMAGES - 10 });
  expect(second['open'] ?? 0).toBe(0);
  expect((await store.images()).map(({ id }) => id)).toEqual(refs.slice(-10).map(({ id }) => id));
});

test('some at once: bounded, results in order, the first failure after what was begun has ended, and nothing more begun', async () => {
  let running = 0;
  let most = 0;
  const order = Array.from({ length: 100 }, (_, at) => at);
  const slowly = async (at: number): Promise<number> => {
    most = Math.max(most, ++running);
    for (let turns = 0; turns < (at * 7) % 5; turns++) await new Promise((resolve) => setImmediate(resolve));
    running--;
    return at * 2;
  };
  expect(await someAtOnce(order, slowly)).toEqual(order.map((at) => at * 2));
  expect(most).toBe(16);
  let begun = 0;
  const failing = someAtOnce(order, async (at) => {
    begun++;
    await slowly(at);
    if (at === 20) throw new Error('twenty');
  });
  await expect(failing).rejects.toThrow('twenty');
  expect(running).toBe(0);
  expect(begun).toBeLessThan(60);
  expect(await someAtOnce([], slowly)).toEqual([]);
});
