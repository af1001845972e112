import { unlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Incremental } from '../../packages/sdk/src/checkpoint/incremental.js';
import type { Published } from '../../packages/sdk/src/store/contract.js';
import { IncrementalLife } from '../fixtures/incremental-life.js';
import { seeded } from '../fixtures/seeded.js';

const PAGE = 4096;
/** More than the most bases an image may have, several times. */
const GENERATIONS = Number(process.env['CKPT_TEST_GENERATIONS'] ?? 100);

function scribble(memory: ArrayBufferLike, pages: number, random: () => number): void {
  for (let i = 0; i < pages; i++) {
    const page = Math.floor(random() * (memory.byteLength / PAGE));
    const bytes = new Uint8Array(memory, page * PAGE, PAGE);
    if (random() < 0.1) bytes.fill(0);
    else bytes[Math.floor(random() * PAGE)] = 1 + Math.floor(random() * 255);
  }
}

function bytesOf(published: Published): { id: string; epoch: number; generation: number } {
  const { id, epoch, generation } = published.manifest.image;
  return { id, epoch, generation };
}

describe('incremental images', () => {
  it('restore every generation exactly over many generations, with at most 32 bases and at most four times what was written', async () => {
    const random = seeded(6).next;
    const life = await IncrementalLife.begin(new ArrayBuffer(2000 * PAGE));
    new Uint8Array(life.memory).fill(7);
    await life.checkpoint();
    let stored = 0;
    for (let generation = 2; generation <= GENERATIONS; generation++) {
      scribble(life.memory, 20, random);
      const published = await life.checkpoint();
      stored += published.size;
      expect(published.manifest.bases.length).toBeLessThanOrEqual(32);
      await life.prune();
      if (generation % 25 === 0) expect((await life.restore(bytesOf(published))).equals(Buffer.from(life.memory))).toBe(true);
    }
    expect(stored / ((GENERATIONS - 1) * 20 * PAGE)).toBeLessThan(4);
    const images = await life.store.images();
    expect(images.length).toBeLessThanOrEqual(40);
    for (const image of images.slice(-3)) await life.restore(image);
  }, 120_000);

  it('F63: what changed before a checkpoint that failed is in the next image', async () => {
    const random = seeded(7).next;
    const life = await IncrementalLife.begin(new SharedArrayBuffer(300 * PAGE));
    new Uint8Array(life.memory).fill(3);
    await life.checkpoint();
    scribble(life.memory, 10, random);
    const fault = new Error('no space');
    let fired = 0;
    const failed = life.checkpoint(() => {
      fired++;
      throw fault;
    });
    await expect(failed).rejects.toBe(fault);
    expect(fired).toBe(1);
    scribble(life.memory, 5, random);
    const published = await life.checkpoint();
    expect(published.manifest.bases).toHaveLength(1);
    expect((await life.restore(bytesOf(published))).equals(Buffer.from(life.memory))).toBe(true);
  });

  it('F68: a base that is gone while an image is written on it: not acknowledged, and the next image does without it', async () => {
    const random = seeded(8).next;
    const life = await IncrementalLife.begin(new ArrayBuffer(300 * PAGE));
    new Uint8Array(life.memory).fill(3);
    const { path } = await life.checkpoint();
    scribble(life.memory, 10, random);
    await expect(life.checkpoint(() => unlinkSync(path))).rejects.toMatchObject({ code: 'ERR_CKPT_BASE_MISSING' });
    const published = await life.checkpoint();
    expect(published.manifest.bases).toHaveLength(0);
    expect((await life.restore(bytesOf(published))).equals(Buffer.from(life.memory))).toBe(true);
  });

  it('F52, F68: bases are leased while images are built upon them, so that neither prune nor remove takes one', async () => {
    const random = seeded(9).next;
    const life = await IncrementalLife.begin(new ArrayBuffer(300 * PAGE));
    new Uint8Array(life.memory).fill(3);
    const first = bytesOf(await life.checkpoint());
    for (let i = 0; i < 4; i++) {
      scribble(life.memory, 3, random);
      await life.checkpoint(() => expect(life.store.remove(first)).rejects.toMatchObject({ code: 'ERR_CKPT_PROTECTED' }));
      expect((await life.prune()).map(({ id }) => id)).not.toContain(first.id);
    }
  });

  it('a writer that knows nothing of the images before writes all of the state', async () => {
    const life = await IncrementalLife.begin(new ArrayBuffer(300 * PAGE));
    new Uint8Array(life.memory).fill(3);
    await life.checkpoint();
    life.incremental = new Incremental(life.store);
    const published = await life.checkpoint();
    expect(published.manifest.bases).toHaveLength(0);
    expect((await life.restore(bytesOf(published))).equals(Buffer.from(life.memory))).toBe(true);
  });

  it('zero pages are stored nowhere', async () => {
    const life = await IncrementalLife.begin(new ArrayBuffer(1000 * PAGE));
    for (let page = 0; page < 1000; page += 50) new Uint8Array(life.memory)[page * PAGE + 5] = 1;
    const published = await life.checkpoint();
    expect(published.size).toBeLessThan(25 * PAGE);
    expect((await life.restore(bytesOf(published))).equals(Buffer.from(life.memory))).toBe(true);
  });
});
