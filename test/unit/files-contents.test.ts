/** Contents of tracked files in images. */
import { randomBytes } from 'node:crypto';
import { appendFileSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contentSections } from '../../packages/sdk/src/files/content-sections.js';
import type { FileOptions } from '../../packages/sdk/src/files/contract.js';
import { chooseBases } from '../../packages/sdk/src/store/choose-bases.js';
import {
  captured,
  checkpoint,
  enterFolder,
  expectContent,
  folder,
  leaveFolder,
  life,
  MIB,
  path,
  restored,
  watch,
} from '../fixtures/contents-life.js';

const ROOM_FOR_MANIFEST = 12_000;

beforeEach(enterFolder);
afterEach(leaveFolder);

describe('the content of a file that is written at its end', () => {
  it('costs what was appended, and is not read below that', async () => {
    writeFileSync(path, randomBytes(24 * MIB + 123));
    const of = await life();
    const first = await checkpoint(of, [captured(1)]);
    expect(first.size).toBeGreaterThan(24 * MIB);
    for (const appended of [3 * MIB, 500, 1]) {
      appendFileSync(path, randomBytes(appended));
      watch.bytes = 0;
      const next = await checkpoint(of, [captured(1)]);
      expect(next.size).toBeLessThan(appended + ROOM_FOR_MANIFEST);
      // The tail that proves the file, and what is new.
      expect(watch.bytes).toBeLessThanOrEqual(MIB + appended);
      await expectContent(of, next, readFileSync(path));
    }
    const { records } = await restored(of, of.parent ?? first);
    expect(records).toMatchObject([{ name: 'out', policy: 'contents', contents: 'file:out', size: statSync(path).size }]);
  });

  it('is as it was captured although the program writes on', async () => {
    writeFileSync(path, randomBytes(2 * MIB));
    const of = await life();
    const before = readFileSync(path);
    const file = captured(1);
    appendFileSync(path, 'later');
    await expectContent(of, await checkpoint(of, [file]), before);
  });

  it('is read and compared when another handle may have written it anew', async () => {
    writeFileSync(path, randomBytes(2 * MIB));
    const of = await life();
    await checkpoint(of, [captured(1)]);
    // Opened again with w: the same inode, longer than before, other bytes.
    truncateSync(path, 0);
    appendFileSync(path, randomBytes(3 * MIB));
    await expectContent(of, await checkpoint(of, [captured(2)]), readFileSync(path));
    appendFileSync(path, 'x');
    const known = await checkpoint(of, [captured(undefined)]);
    expect(known.size).toBeLessThan(ROOM_FOR_MANIFEST);
    await expectContent(of, known, readFileSync(path));
  });

  it('F63: after a checkpoint that failed, holds everything since the last commit', async () => {
    writeFileSync(path, randomBytes(2 * MIB));
    const of = await life();
    await checkpoint(of, [captured(1)]);
    appendFileSync(path, randomBytes(MIB));
    watch.onRead = () => Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
    await expect(checkpoint(of, [captured(1)])).rejects.toMatchObject({ code: 'ERR_CKPT_IO' });
    watch.onRead = async () => {};
    appendFileSync(path, randomBytes(10));
    await expectContent(of, await checkpoint(of, [captured(1)]), readFileSync(path));
    expect(readdirSync(join(folder, 'ckpt', 'leases'))).toEqual([]);
  });

  it('is built upon the image that the next life starts from', async () => {
    writeFileSync(path, randomBytes(5 * MIB));
    const first = await life();
    const source = await checkpoint(first, [captured(1)]);
    await first.incarnation.release();
    const second = await life(source);
    appendFileSync(path, 'more');
    // The number of a handle says nothing about another process's handle.
    const same = Buffer.from('changed by hand');
    const file = await open(path, 'r+');
    await file.write(same, 0, same.length, 10);
    await file.close();
    const next = await checkpoint(second, [captured(1)]);
    expect(next.size).toBeLessThan(MIB + ROOM_FOR_MANIFEST);
    await expectContent(second, next, readFileSync(path));
  });
});

describe('the content of a file that is changed in place', () => {
  const inPlace: FileOptions = { flags: 'r+' };

  it('costs the extents that changed, and lets its handle go before the image is committed', async () => {
    writeFileSync(path, randomBytes(8 * MIB));
    const of = await life();
    await checkpoint(of, [captured(1, inPlace)], { bulk: 8192 });
    expect(of.copied).toBe(1);
    const file = await open(path, 'r+');
    for (const at of [10, 5 * MIB + 3]) await file.write(Buffer.from('changed'), 0, 7, at);
    await file.close();
    const next = await checkpoint(of, [captured(1, inPlace)]);
    expect(of.copied).toBe(2);
    expect(next.size).toBeLessThan(2 * MIB + ROOM_FOR_MANIFEST);
    await expectContent(of, next, readFileSync(path));
    const unchanged = await checkpoint(of, [captured(1, inPlace)]);
    expect(unchanged.size).toBeLessThan(ROOM_FOR_MANIFEST);
    truncateSync(path, 3 * MIB + 9);
    await expectContent(of, await checkpoint(of, [captured(1, inPlace)]), readFileSync(path));
  });

  it('is copied before those of others, and says nothing when there is none', async () => {
    const other = join(folder, 'log.txt');
    writeFileSync(other, randomBytes(3 * MIB));
    writeFileSync(path, randomBytes(MIB));
    const of = await life();
    let read = 0;
    watch.onRead = async () => {
      if (of.copied === 0) read = watch.bytes;
    };
    await checkpoint(of, [captured(1, {}, other, 'log'), captured(2, inPlace)]);
    // Both tails for the checks, then the file that is held back.
    expect(read).toBeLessThanOrEqual(3 * MIB);
    of.copied = 0;
    await checkpoint(of, [captured(1, {}, other, 'log')]);
    expect(of.copied).toBe(0);
  });

  it('F41: ends the checkpoint when it was replaced or cut meanwhile', async () => {
    writeFileSync(path, randomBytes(3 * MIB));
    const of = await life();
    const file = captured(1, inPlace);
    let cut = false;
    watch.onRead = async () => {
      if (watch.bytes >= 2 * MIB && !cut) truncateSync(path, MIB);
      cut ||= watch.bytes >= 2 * MIB;
    };
    await expect(checkpoint(of, [file])).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_CHANGED' });
    expect(cut).toBe(true);
    rmSync(path);
    writeFileSync(path, 'another');
    await expect(checkpoint(of, [file])).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_CHANGED' });
    expect(readdirSync(join(folder, 'ckpt', 'images'))).toEqual([]);
    expect(readdirSync(join(folder, 'ckpt', 'tmp'))).toEqual([]);
  });
});

describe('the bases of contents', () => {
  it('stay within their number however many checkpoints there are, and what they cost on the disk is bounded', async () => {
    writeFileSync(path, randomBytes(4 * MIB));
    const of = await life();
    await checkpoint(of, [captured(1)]);
    let appended = 0;
    let stored = 0;
    for (let round = 0; round < 48; round++) {
      const more = 20_000 + round;
      appendFileSync(path, randomBytes(more));
      appended += more;
      const image = await checkpoint(of, [captured(1)]);
      stored += image.size - ROOM_FOR_MANIFEST;
      await of.store.prune({ keep: 1 }, of.incarnation.epoch);
      if (round % 16 === 15) {
        await expectContent(of, image, readFileSync(path));
        expect((await restored(of, image)).bases).toBeLessThanOrEqual(32);
      }
    }
    expect(stored).toBeLessThan(5 * appended);
    const onDisk = (await of.store.images()).reduce((sum, { size }) => sum + size, 0);
    expect(onDisk).toBeLessThan(2 * statSync(path).size + MIB);
  });

  it('are not kept for the sake of a small part of them', async () => {
    writeFileSync(path, randomBytes(20_000));
    const of = await life();
    for (let round = 0; round < 5; round++) {
      appendFileSync(path, randomBytes(1000));
      await checkpoint(of, [captured(1)], { bulk: 2 * MIB });
      await of.store.prune({ keep: 1 }, of.incarnation.epoch);
    }
    expect(await of.store.images()).toHaveLength(1);
    await expectContent(of, of.parent ?? { id: '', epoch: 0, generation: 0 }, readFileSync(path));
  });

  it('are the most used ones, and together waste no more than is allowed', () => {
    const record = (generation: number) => ({ id: String(generation), epoch: 1, generation, manifestHash: '' });
    const many = Array.from({ length: 40 }, (_, index) => ({ record: record(index), live: 100 + index, size: 200 }));
    const chosen = chooseBases(many, 1_000_000);
    expect(chosen).toHaveLength(32);
    expect(Math.min(...chosen.map(({ generation }) => generation))).toBe(8);
    const wasteful = [
      { record: record(1), live: 900, size: 1000 },
      { record: record(2), live: 900, size: 2000 },
      { record: record(3), live: 10, size: 1000 },
      { record: record(4), live: 500, size: 0 },
    ];
    expect(chooseBases(wasteful, 300).map(({ generation }) => generation)).toEqual([1]);
    expect(chooseBases(wasteful, 5000).map(({ generation }) => generation)).toEqual([1, 2]);
  });

  it('F68: are leased while an image is written on them', async () => {
    writeFileSync(path, randomBytes(3 * MIB));
    const of = await life();
    const first = await checkpoint(of, [captured(1)]);
    appendFileSync(path, randomBytes(2 * MIB));
    let refused: unknown;
    watch.onRead = async () => {
      watch.onRead = async () => {
        watch.onRead = async () => {};
        refused = await of.store.remove(first).catch((error: unknown) => error);
      };
    };
    const next = await checkpoint(of, [captured(1)]);
    expect(refused).toMatchObject({ code: 'ERR_CKPT_PROTECTED' });
    await expectContent(of, next, readFileSync(path));
    expect(readdirSync(join(folder, 'ckpt', 'leases'))).toEqual([]);
  });

  it('F68: an image whose base went or was damaged while it was written is not acknowledged, and the next does without', async () => {
    for (const harm of ['removed', 'damaged'] as const) {
      writeFileSync(path, randomBytes(3 * MIB));
      const of = await life();
      const first = await checkpoint(of, [captured(1)]);
      appendFileSync(path, randomBytes(MIB));
      const file = readdirSync(join(folder, 'ckpt', 'images')).find((name) => name.includes(first.id)) ?? '';
      const base = join(folder, 'ckpt', 'images', file);
      let done = false;
      let reads = 0;
      watch.onRead = async () => {
        // The first read is the check of the file, before anything is leased.
        if (++reads < 2 || done) return;
        done = true;
        if (harm === 'removed') rmSync(base);
        else truncateSync(base, statSync(base).size - 1);
      };
      await expect(checkpoint(of, [captured(1)])).rejects.toMatchObject({ code: 'ERR_CKPT_BASE_MISSING' });
      expect(done).toBe(true);
      const there = readdirSync(join(folder, 'ckpt', 'images')).filter((name) => name !== file);
      expect(there).toEqual([]);
      expect(readdirSync(join(folder, 'ckpt', 'tmp'))).toEqual([]);
      const next = await checkpoint(of, [captured(1)]);
      expect(next.size).toBeGreaterThan(4 * MIB);
      await expectContent(of, next, readFileSync(path));
      await of.incarnation.release();
      rmSync(join(folder, 'ckpt'), { recursive: true });
    }
  });

  it('F68: one that was pruned or damaged before is written again', async () => {
    writeFileSync(path, randomBytes(2 * MIB));
    const of = await life();
    const first = await checkpoint(of, [captured(1)]);
    rmSync(join(folder, 'ckpt', 'images', readdirSync(join(folder, 'ckpt', 'images'))[0] ?? ''));
    expect(await of.store.images()).not.toContainEqual(expect.objectContaining({ id: first.id }));
    appendFileSync(path, 'x');
    const second = await checkpoint(of, [captured(1)]);
    expect(second.size).toBeGreaterThan(2 * MIB);
    const file = join(folder, 'ckpt', 'images', readdirSync(join(folder, 'ckpt', 'images'))[0] ?? '');
    truncateSync(file, 1000);
    appendFileSync(path, 'y');
    const third = await checkpoint(of, [captured(1)]);
    await expectContent(of, third, readFileSync(path));
    expect((await restored(of, third)).bases).toBe(0);
  });
});

describe('the content of a file that the program has not declared', () => {
  it('goes from image to image, although the file is gone', async () => {
    writeFileSync(path, randomBytes(3 * MIB));
    const content = readFileSync(path);
    const first = await life();
    const source = await checkpoint(first, [captured(1)]);
    await first.incarnation.release();
    const { records } = await restored(first, source);
    rmSync(path);
    const of = await life(source);
    for (const bulk of [0, 64 * MIB, 0]) {
      const next = await checkpoint(of, [], { carried: records, bulk });
      await expectContent(of, next, content);
      expect((await restored(of, next)).records).toEqual(records);
    }
  });

  it('ends the checkpoint when it is nowhere', async () => {
    writeFileSync(path, 'x');
    const of = await life();
    const source = await checkpoint(of, [captured(1, { policy: 'append' })]);
    const { records } = await restored(of, source);
    const claimed = records.map((record) => ({ ...record, contents: 'file:out' }));
    await expect(checkpoint(of, [], { carried: claimed })).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
  });
});

describe('large and small contents', () => {
  it('an empty file has an empty content, and zeros are not stored', async () => {
    writeFileSync(path, '');
    const of = await life();
    await expectContent(of, await checkpoint(of, [captured(1)]), Buffer.alloc(0));
    truncateSync(path, 9 * MIB + 5);
    const image = await checkpoint(of, [captured(1)]);
    expect(image.size).toBeLessThan(ROOM_FOR_MANIFEST);
    await expectContent(of, image, Buffer.alloc(9 * MIB + 5));
  });

  it('beyond 1 GiB it goes on in further sections', () => {
    const GIB = 1024 * MIB;
    expect(contentSections('a', 2.5 * GIB)).toEqual([
      { name: 'file:a', from: 0, to: GIB },
      { name: 'file+1:a', from: GIB, to: 2 * GIB },
      { name: 'file+2:a', from: 2 * GIB, to: 2.5 * GIB },
    ]);
  });
});
