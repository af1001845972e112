import { describe, expect, it } from 'vitest';
import type { BaseRecord, ByteSource, Extent, Manifest } from '../../packages/sdk/src/image/contract.js';
import { hash, hex } from '../../packages/sdk/src/image/integrity.js';
import { readImage, readManifest } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { assemble, head, imageOf, memorySource, noBases, pattern, section } from '../fixtures/memory-image.js';

const BASE_ID = 'b'.repeat(32);
const BASE_DATA = pattern(512, 5);
const OWN = pattern(128, 9);

async function baseImage(): Promise<{ bytes: Uint8Array; record: BaseRecord }> {
  const bytes = await imageOf({ head: { ...head(BASE_ID, 6) }, sections: [section('sim', [BASE_DATA])] });
  const { manifest, manifestHash } = await readManifest(memorySource(bytes));
  return { bytes, record: { id: BASE_ID, epoch: manifest.image.epoch, generation: 6, manifestHash } };
}

function fromBase(start: number, end: number, base = 0): Extent {
  return { place: { at: 'base', base, offset: 64 + start }, length: end - start, hash: hex(hash(BASE_DATA.subarray(start, end))) };
}

function incremental(bases: readonly BaseRecord[], extents: readonly Extent[]): Uint8Array {
  const length = extents.reduce((sum, extent) => sum + extent.length, 0);
  const sections: Manifest['sections'] = [
    { member: 'main', name: 'sim', kind: 'state', version: 1, encoding: 'tree-1', length, extents, buffers: [] },
  ];
  return assemble({ ...head(), sections, buffers: [], bases }, OWN);
}

const OWN_EXTENT: Extent = { place: { at: 'own', offset: 64 }, length: 128, hash: hex(hash(OWN)) };

describe('an incremental image', () => {
  it('takes its extents from itself, from bases and from zeros', async () => {
    const base = await baseImage();
    const bytes = incremental([base.record], [fromBase(0, 100), OWN_EXTENT, { place: { at: 'zero' }, length: 16 }, fromBase(100, 500)]);
    const opened: (ByteSource & { closed: boolean })[] = [];
    const openBase = async (): Promise<ByteSource> => {
      const source = memorySource(base.bytes, 'base');
      opened.push(source);
      return source;
    };
    const contents = await readImage(memorySource(bytes), openBase);
    const expected = Buffer.concat([BASE_DATA.subarray(0, 100), OWN, new Uint8Array(16), BASE_DATA.subarray(100, 500)]);
    expect(Buffer.compare(contents.sections[0] ?? new Uint8Array(), expected)).toBe(0);
    expect(await verifyImage(memorySource(bytes), openBase)).toEqual([]);
    expect(opened.map(({ closed }) => closed)).toEqual([true, true]);
  });

  it('F26: is refused when a base is missing; its own bytes are checked all the same', async () => {
    const { record } = await baseImage();
    const bytes = incremental([record], [fromBase(0, 100), OWN_EXTENT]);
    await expect(readImage(memorySource(bytes), noBases)).rejects.toMatchObject({ code: 'ERR_CKPT_BASE_MISSING' });
    bytes[70] = (bytes[70] ?? 0) ^ 1;
    const codes = (await verifyImage(memorySource(bytes), noBases)).map(({ code }) => code);
    expect(codes).toEqual(['ERR_CKPT_BASE_MISSING', 'ERR_CKPT_IMAGE_CORRUPT']);
  });

  it('F27: is refused on a base that is not the one it was written on', async () => {
    const { bytes: baseBytes, record } = await baseImage();
    const other = await imageOf({ head: head(BASE_ID, 6), sections: [section('sim', [BASE_DATA]), section('more', [OWN])] });
    const bytes = incremental([record], [fromBase(0, 100), OWN_EXTENT]);
    const elsewhere = await imageOf({ head: head('c'.repeat(32), 6), sections: [section('sim', [BASE_DATA])] });
    for (const wrong of [other, elsewhere, baseBytes.subarray(0, 300)]) {
      const code = expect.stringMatching(/^ERR_CKPT_IMAGE_(CORRUPT|INCOMPLETE)$/);
      const source = memorySource(wrong);
      await expect(readImage(memorySource(bytes), async () => source)).rejects.toMatchObject({
        code,
        context: { section: `base ${BASE_ID}` },
      });
      expect(source.closed).toBe(true);
      expect(await verifyImage(memorySource(bytes), async () => memorySource(wrong))).toMatchObject([{ code }]);
    }
  });

  it('F23: is refused when bytes of a base are damaged', async () => {
    const base = await baseImage();
    base.bytes[80] = (base.bytes[80] ?? 0) ^ 4;
    const bytes = incremental([base.record], [fromBase(0, 100), OWN_EXTENT]);
    const openBase = async (): Promise<ByteSource> => memorySource(base.bytes);
    await expect(readImage(memorySource(bytes), openBase)).rejects.toMatchObject({
      code: 'ERR_CKPT_IMAGE_CORRUPT',
      context: { section: 'sim' },
    });
    expect(await verifyImage(memorySource(bytes), openBase)).toMatchObject([{ section: 'sim' }]);
  });

  it('F33: is refused when it takes more from a base than the base has, or what is not its data', async () => {
    const base = await baseImage();
    const openBase = async (): Promise<ByteSource> => memorySource(base.bytes);
    const times = Math.ceil(base.bytes.length / 512) + 1;
    const often = incremental([base.record], [OWN_EXTENT, ...Array.from({ length: times }, () => fromBase(0, 512))]);
    await expect(readImage(memorySource(often), openBase)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_LIMIT' });
    const beyond = incremental(
      [base.record],
      [OWN_EXTENT, { place: { at: 'base', base: 0, offset: 500 }, length: 200, hash: '0'.repeat(64) }],
    );
    await expect(readImage(memorySource(beyond), openBase)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
    const headerOf = incremental(
      [base.record],
      [OWN_EXTENT, { place: { at: 'base', base: 0, offset: 8 }, length: 8, hash: '0'.repeat(64) }],
    );
    await expect(readImage(memorySource(headerOf), openBase)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
    const unknown = incremental([base.record], [OWN_EXTENT, fromBase(0, 8, 1)]);
    await expect(readImage(memorySource(unknown), openBase)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
  });

  it('F33: is refused with more than 32 bases', async () => {
    const bases = Array.from({ length: 33 }, (_, i) => ({
      id: i.toString(16).padStart(32, '0'),
      epoch: 1,
      generation: i,
      manifestHash: '0'.repeat(64),
    }));
    await expect(readManifest(memorySource(incremental(bases, [OWN_EXTENT])))).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_LIMIT' });
    expect((await readManifest(memorySource(incremental(bases.slice(1), [OWN_EXTENT])))).manifest.bases).toHaveLength(32);
  });
});
