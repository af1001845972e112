import { describe, expect, it } from 'vitest';
import type { BaseRecord, ByteSource, ImageInput, PagedBuffer, PageSource } from '../../packages/sdk/src/image/contract.js';
import { copyImage } from '../../packages/sdk/src/image/copy.js';
import { openLazily } from '../../packages/sdk/src/image/lazy.js';
import { readImage, readManifest } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { writeImage } from '../../packages/sdk/src/image/writer.js';
import { head, ID, imageOf, memorySink, memorySource, noBases, pattern } from '../fixtures/memory-image.js';

const PAGE = 4096;
const BASE = 'b'.repeat(32);
const MIDDLE = 'd'.repeat(32);
const LENGTH = 700 * PAGE + 1000;
const PAGES = 701;

async function recordOf(bytes: Uint8Array): Promise<BaseRecord> {
  const { manifest, manifestHash } = await readManifest(memorySource(bytes));
  const { id, epoch, generation } = manifest.image;
  return { id, epoch, generation, manifestHash };
}

function paged(state: Uint8Array, codes: readonly number[], sources: readonly Omit<PageSource, 'bytes'>[]): PagedBuffer {
  const map = Uint8Array.from(codes);
  const page = (index: number): Uint8Array => state.subarray(index * PAGE, Math.min((index + 1) * PAGE, LENGTH));
  const bytes = (code: number): number => codes.reduce((sum, found, index) => (found === code ? sum + page(index).length : sum), 0);
  const own = codes.flatMap((code, index) => (code === 1 ? [page(index)] : []));
  const used = sources.map((source, index) => ({ ...source, bytes: bytes(index + 2) }));
  return { member: 'main', kind: 'ArrayBuffer', length: LENGTH, map, sources: used, chunks: own };
}

interface Chain {
  readonly state: Uint8Array;
  readonly images: ReadonlyMap<string, Uint8Array>;
  readonly newest: Uint8Array;
}

/** A whole image, one with pages on it, and a newest that takes pages from both. */
async function chain(): Promise<Chain> {
  const state = pattern(LENGTH, 3);
  const base = await imageOf({ head: head(BASE, 5), buffers: [{ member: 'main', kind: 'ArrayBuffer', chunks: [state.slice()] }] });
  const first = await recordOf(base);
  const codes = Array.from({ length: PAGES }, (_, i) => (i % 7 === 0 ? 1 : 2));
  for (const [i, code] of codes.entries()) if (code === 1) state.set(pattern(Math.min(PAGE, LENGTH - i * PAGE), i + 100), i * PAGE);
  const middle = await imageOf({ head: head(MIDDLE, 6), buffers: [paged(state.slice(), codes, [{ base: 0, buffer: 0 }])], bases: [first] });
  const next = codes.map((code, i) => (i % 50 === 3 ? 0 : i % 11 === 5 || i === PAGES - 1 ? 1 : code === 1 ? 3 : 2));
  for (const [i, code] of next.entries()) {
    if (code === 0) state.fill(0, i * PAGE, (i + 1) * PAGE);
    if (code === 1) state.set(pattern(Math.min(PAGE, LENGTH - i * PAGE), i + 5000), i * PAGE);
  }
  const sources = [
    { base: 0, buffer: 0 },
    { base: 1, buffer: 0 },
  ];
  const bases = [first, await recordOf(middle)];
  const newest = await imageOf({ head: head(ID, 7), buffers: [paged(state, next, sources)], bases });
  return {
    state,
    images: new Map([
      [BASE, base],
      [MIDDLE, middle],
    ]),
    newest,
  };
}

function opener(images: ReadonlyMap<string, Uint8Array>): (base: BaseRecord) => Promise<ByteSource> {
  return async (base) => {
    const bytes = images.get(base.id);
    return bytes === undefined ? noBases(base) : memorySource(bytes, base.id);
  };
}

describe('an image that is stored page by page', () => {
  it('takes its pages from itself, from whole and from incremental bases, and zeros from nowhere', async () => {
    const { state, images, newest } = await chain();
    const { buffers, manifest } = await readImage(memorySource(newest), opener(images));
    expect(Buffer.compare(new Uint8Array(buffers[0] ?? new ArrayBuffer(0)), state)).toBe(0);
    expect(manifest.bases.map(({ id }) => id)).toEqual([BASE, MIDDLE]);
    expect(await verifyImage(memorySource(newest), opener(images))).toEqual([]);
    expect(newest.length).toBeLessThan(75 * PAGE);
  });

  it('is read lazily: whole, or only the pages that are wanted, and tells where they lie', async () => {
    const { state, images, newest } = await chain();
    const image = await openLazily(memorySource(newest), opener(images));
    expect(Buffer.compare(new Uint8Array(await image.buffer(0)), state)).toBe(0);
    const places = await image.placesOf(0);
    expect(places.reduce((sum, { length }) => sum + length, 0)).toBe(LENGTH);
    expect(places.filter(({ place }) => place.at === 'zero').map(({ length }) => length)).toEqual(Array.from({ length: 14 }, () => PAGE));
    let at = 0;
    const bytes = new Map<number | undefined, Uint8Array | undefined>([
      [undefined, newest],
      [0, images.get(BASE)],
      [1, images.get(MIDDLE)],
    ]);
    for (const { place, length } of places) {
      const source = place.at === 'zero' ? undefined : bytes.get(place.at === 'base' ? place.base : undefined);
      const found = place.at === 'zero' ? new Uint8Array(length) : source?.subarray(place.offset, place.offset + length);
      expect(Buffer.compare(found ?? new Uint8Array(), state.subarray(at, at + length))).toBe(0);
      at += length;
    }
    const from = 333 * PAGE;
    const some = new Uint8Array(await image.buffer(0, ({ length }, offset) => offset < from + PAGE && from < offset + length));
    expect(Buffer.compare(some.subarray(from, from + PAGE), state.subarray(from, from + PAGE))).toBe(0);
    expect(Buffer.compare(some, state)).not.toBe(0);
    await image.close();
  });

  it('is copied as one image that needs no base', async () => {
    const { state, images, newest } = await chain();
    const copied = await copyImage(memorySource(newest), opener(images));
    const sink = memorySink();
    await writeImage(sink, copied.input);
    await copied.close();
    const { buffers, manifest } = await readImage(memorySource(sink.bytes()), noBases);
    expect(manifest.bases).toEqual([]);
    expect(Buffer.compare(new Uint8Array(buffers[0] ?? new ArrayBuffer(0)), state)).toBe(0);
  });

  it('F23: is refused when any page of its own, of its map or of a base is damaged', async () => {
    const { images, newest } = await chain();
    for (const at of Array.from({ length: 40 }, (_, i) => Math.floor(((i + 0.5) * newest.length) / 40))) {
      const bytes = newest.slice();
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      await expect(readImage(memorySource(bytes), opener(images))).rejects.toThrow();
      expect(await verifyImage(memorySource(bytes), opener(images))).not.toEqual([]);
    }
    for (const id of [BASE, MIDDLE]) {
      const bytes = (images.get(id) ?? new Uint8Array()).slice();
      bytes[100 * PAGE] = (bytes[100 * PAGE] ?? 0) ^ 1;
      const open = opener(new Map([...images, [id, bytes]]));
      await expect(readImage(memorySource(newest), open)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
      expect(await verifyImage(memorySource(newest), open)).not.toEqual([]);
    }
  });

  it('F26: is refused when a base is missing', async () => {
    const { newest, images } = await chain();
    const open = opener(new Map([...images].slice(0, 1)));
    await expect(readImage(memorySource(newest), open)).rejects.toMatchObject({ code: 'ERR_CKPT_BASE_MISSING' });
    expect(await verifyImage(memorySource(newest), open)).toMatchObject([{ code: 'ERR_CKPT_BASE_MISSING' }]);
  });

  it('F31: is no image to a reader that knows no pages', async () => {
    const { newest } = await chain();
    expect(newest[16]).toBe(2);
  });

  it('F33: is refused when it names the same buffer of a base twice, or more pages than a base holds', async () => {
    const { state, images } = await chain();
    const base = await recordOf(images.get(BASE) ?? new Uint8Array());
    const half = Array.from({ length: PAGES }, (_, i) => (i < 300 ? 2 : 3));
    const twice: Partial<ImageInput> = {
      buffers: [
        paged(state, half, [
          { base: 0, buffer: 0 },
          { base: 0, buffer: 0 },
        ]),
      ],
      bases: [base],
    };
    await expect(readImage(memorySource(await imageOf(twice)), opener(images))).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
    const middle = await recordOf(images.get(MIDDLE) ?? new Uint8Array());
    const all = Array.from({ length: PAGES }, () => 2);
    const more = await imageOf({ buffers: [paged(state, all, [{ base: 0, buffer: 0 }])], bases: [middle] });
    await expect(readImage(memorySource(more), opener(images))).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_LIMIT' });
    const none = await imageOf({ buffers: [paged(state, all, [{ base: 0, buffer: 4 }])], bases: [base] });
    await expect(readImage(memorySource(none), opener(images))).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
  });
});
