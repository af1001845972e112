/** Comparing two images reads what can differ, and nothing else: what is not read may even be damaged. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeMember } from '../../packages/sdk/src/codec/codec.js';
import type { BaseRecord, Extent } from '../../packages/sdk/src/image/contract.js';
import { type LazyImage, openLazily } from '../../packages/sdk/src/image/lazy.js';
import { changedRanges } from '../../packages/sdk/src/tools/changed-ranges.js';
import { diffOpened } from '../../packages/sdk/src/tools/diff-images.js';
import { head, imageOf, memorySource, noBases } from '../fixtures/memory-image.js';
import { inputOf, openState } from '../fixtures/state-image.js';

const MIB = 2 ** 20;

/** An image whose file is damaged where these extents of its buffers lie. */
async function damagedAt(state: Readonly<Record<string, unknown>>, damaged: (extent: number) => boolean): Promise<LazyImage> {
  const bytes = await imageOf(inputOf(encodeMember(new Map(Object.entries(state)))));
  const image = await openLazily(memorySource(bytes), noBases);
  for (const { extents } of image.manifest.buffers) {
    for (const [index, { place }] of extents.entries()) {
      if (place.at === 'own' && damaged(index)) bytes[place.offset] = (bytes[place.offset] ?? 0) ^ 1;
    }
  }
  return openLazily(memorySource(bytes), noBases);
}

function grid(step: number, changed: readonly number[] = []): { step: number; grid: Float64Array } {
  const values = Float64Array.from({ length: MIB }, (_, index) => index + 1);
  for (const index of changed) values[index] = 0.5;
  return { step, grid: values };
}

describe('images that share extents', () => {
  it('are not read where these lie', async () => {
    // 8 extents; element 400,000 lies in the fourth.
    const a = await damagedAt({ sim: grid(1) }, (extent) => extent !== 3);
    const b = await damagedAt({ sim: grid(2, [400_000]) }, (extent) => extent !== 3);
    const { differences, bytes } = await diffOpened(a, b, 10);
    expect(differences).toMatchObject([
      { path: 'sim.step' },
      { path: 'sim.grid', elements: { of: MIB, changed: 1, first: 400_000, maxDelta: 400_000.5 } },
    ]);
    expect(bytes.unread).toBe(2 * 7 * MIB);
    expect(bytes.read).toBeLessThan(2.01 * MIB);
  });

  it('F23: are refused where what differs is damaged', async () => {
    const a = await damagedAt({ sim: grid(1) }, () => false);
    const b = await damagedAt({ sim: grid(1, [400_000]) }, (extent) => extent === 3);
    await expect(diffOpened(a, b, 10)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
  });

  it('are not read at all where nothing differs', async () => {
    const a = await damagedAt({ sim: grid(1), other: { x: 1 } }, () => true);
    const b = await damagedAt({ sim: grid(1), other: { x: 2 } }, () => true);
    const { differences, bytes } = await diffOpened(a, b, 10);
    expect(differences).toMatchObject([{ path: 'other.x' }]);
    expect(bytes.unread).toBeGreaterThan(16 * MIB);
  });

  it('memory that is compared with other memory than that at its place is read whole', async () => {
    const [one, other] = [new Float64Array(MIB).fill(1), new Float64Array(MIB).fill(2)];
    const a = await openState({ sim: { one, other, step: 1 } });
    const b = await openState({ sim: { other, one, step: 2 } });
    const { differences } = await diffOpened(a, b, 10);
    expect(differences.map(({ path, part }) => `${path} ${part}`)).toEqual(['sim.step value', 'sim order']);
    // At another offset the same memory shows other numbers.
    const counted = Float64Array.from({ length: MIB }, (_, index) => index);
    const shifted = (from: number): object => ({ part: counted.subarray(from, from + 10) });
    const moved = await diffOpened(await openState({ sim: shifted(0) }), await openState({ sim: shifted(5) }), 10);
    expect(moved.differences).toMatchObject([
      { path: 'sim.part', part: 'offset' },
      { path: 'sim.part', part: 'elements', elements: { changed: 10, maxDelta: 5 } },
    ]);
  });
});

describe('an image and its base', () => {
  const golden = (name: string): Uint8Array => readFileSync(join(import.meta.dirname, `../compat/golden/${name}.ckpt`));

  it('are compared only where the image does not take its bytes from the base', async () => {
    const a = await openLazily(memorySource(golden('base')), noBases);
    const based = await openLazily(memorySource(golden('incremental')), async () => memorySource(golden('base')));
    const { differences, bytes } = await diffOpened(a, based, 10);
    expect(differences).toMatchObject([{ mark: 'M', path: 'sim', part: 'elements', elements: { of: 8192, first: 4096 } }]);
    // 8192 in one extent of the base, of which the image keeps the first half; the section is nine bytes in each.
    expect(bytes).toEqual({ read: 8192 + 4096 + 2 * 9, unread: 4096 });
    expect((await diffOpened(based, based, 10)).bytes.read).toBe(0);
  });

  it('are compared by their pages', async () => {
    const names = ['pages-1-whole', 'pages-2-changed'];
    const bases = new Map(names.map((name, index) => [String(index + 1).repeat(32), golden(name)]));
    const open = (name: string): Promise<LazyImage> =>
      openLazily(memorySource(golden(name)), async ({ id }) => memorySource(bases.get(id) ?? new Uint8Array(), id));
    const [whole, changed, zeros] = [await open('pages-1-whole'), await open('pages-2-changed'), await open('pages-3-zeros')];
    // Pages 1 and 4, the last of 1000 bytes, were written again.
    const { differences } = await diffOpened(whole, changed, 10);
    expect(differences).toMatchObject([{ mark: 'M', path: 'sim', part: 'elements', elements: { of: 17_384, first: 4096 } }]);
    const places = await changed.placesOf(0);
    expect(places.map(({ place, length }) => [place.at, length])).toEqual([
      ['base', 4096],
      ['own', 4096],
      ['base', 8192],
      ['own', 1000],
    ]);
    expect(
      changedRanges(
        { image: whole, length: 17_384, extents: await whole.placesOf(0) },
        { image: changed, length: 17_384, extents: places },
      ),
    ).toEqual([
      { from: 4096, to: 8192 },
      { from: 16_384, to: 17_392 },
    ]);
    expect((await diffOpened(changed, zeros, 10)).differences).toMatchObject([{ elements: { first: 0 } }]);
    expect((await diffOpened(zeros, zeros, 10)).bytes.read).toBe(0);
  });
});

const HASH = (digit: string): string => digit.repeat(64);

describe('ranges that can differ', () => {
  const base: BaseRecord = { id: 'b'.repeat(32), epoch: 1, generation: 1, manifestHash: HASH('b') };
  const run = (extents: readonly Extent[], bases: readonly BaseRecord[] = [base]): Parameters<typeof changedRanges>[0] => ({
    image: { manifest: { ...head(), sections: [], buffers: [], bases }, manifestHash: HASH('1') },
    length: extents.reduce((sum, { length }) => sum + length, 0),
    extents,
  });
  const inBase = (offset: number, length: number, of = 0): Extent => ({ place: { at: 'base', base: of, offset }, length });
  const own = (offset: number, length: number, hash: string): Extent => ({ place: { at: 'own', offset }, length, hash: HASH(hash) });
  const zero = (length: number): Extent => ({ place: { at: 'zero' }, length });

  it.each<[string, readonly Extent[], readonly Extent[], readonly (readonly [number, number])[]]>([
    ['the same place of the same base', [inBase(64, 4096)], [inBase(64, 4096)], []],
    ['the same place, cut differently', [inBase(64, 4096)], [inBase(64, 1024), inBase(1088, 3072)], []],
    ['another place of the same base', [inBase(64, 4096)], [inBase(4160, 4096)], [[0, 4096]]],
    ['the same hash', [own(64, 4096, 'a')], [own(8192, 4096, 'a')], []],
    ['the same hash of another length', [own(64, 4096, 'a')], [own(64, 2048, 'a'), own(9000, 2048, 'c')], [[0, 4096]]],
    ['zeros, however cut', [zero(4096), zero(4096)], [zero(8192)], []],
    ['zeros and bytes', [zero(4096)], [own(64, 1024, 'a'), zero(3072)], [[0, 1024]]],
    ['the end of the longer', [zero(4096)], [zero(1000)], [[992, 4096]]],
    ['neighbours as one', [own(64, 1000, 'a'), own(1064, 1000, 'c')], [own(64, 1000, 'd'), own(1064, 1000, 'e')], [[0, 2000]]],
  ])('%s', (_, a, b, expected) => {
    const another = run(b);
    const ranges = changedRanges(run(a), { ...another, image: { ...another.image, manifestHash: HASH('2') } });
    expect(ranges.map(({ from, to }) => [from, to])).toEqual(expected);
  });

  it('the same place of two bases, and of one base with another content', () => {
    const others = [base, { ...base, manifestHash: HASH('c') }];
    expect(changedRanges(run([inBase(64, 4096)], others), run([inBase(64, 4096, 1)], others))).toHaveLength(1);
  });
});
