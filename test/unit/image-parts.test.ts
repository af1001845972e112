import { describe, expect, it } from 'vitest';
import type { BaseRecord, ByteSource, Extent, ImageInput, StreamedSection } from '../../packages/sdk/src/image/contract.js';
import { copyImage } from '../../packages/sdk/src/image/copy.js';
import { hash, hex } from '../../packages/sdk/src/image/integrity.js';
import { readImage, readManifest } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { writeImage } from '../../packages/sdk/src/image/writer.js';
import { head, imageOf, memorySink, memorySource, noBases, pattern, section } from '../fixtures/memory-image.js';

const MIB = 2 ** 20;
const BASE_ID = 'b'.repeat(32);
const BASE_DATA = pattern(MIB + 500, 5);

interface Base {
  readonly bytes: Uint8Array;
  readonly record: BaseRecord;
  readonly extents: readonly Extent[];
}

async function base(id = BASE_ID): Promise<Base> {
  const bytes = await imageOf({ head: head(id, 6), sections: [section('sim', [BASE_DATA])] });
  const { manifest, manifestHash } = await readManifest(memorySource(bytes));
  const extents = (manifest.sections[0]?.extents ?? []).map(
    ({ place, ...rest }): Extent => ({ ...rest, place: { at: 'base', base: 0, offset: place.at === 'own' ? place.offset : 0 } }),
  );
  return { bytes, record: { id, epoch: manifest.image.epoch, generation: 6, manifestHash }, extents };
}

function streamed(name: string, chunks: StreamedSection['chunks']): StreamedSection {
  return { ...section(name, []), chunks };
}

async function* each<T>(...parts: readonly T[]): AsyncGenerator<T> {
  for (const part of parts) yield part;
}

const ZEROS: Extent = { place: { at: 'zero' }, length: 3 * MIB };

describe('a section in parts', () => {
  it('is bytes, zeros and extents of bases in their order, and only the bytes are stored', async () => {
    const { bytes: baseBytes, record, extents } = await base();
    const own = pattern(2 * MIB + 77, 9);
    const [first, second] = extents;
    if (first === undefined || second === undefined) throw new Error('two extents were expected');
    const parts = [own.subarray(0, 10), first, own.subarray(10), ZEROS, second];
    const image = await imageOf({ sections: [streamed('file:a', each<Uint8Array | Extent>(...parts))], bases: [record] });
    expect(image.length).toBeLessThan(own.length + 2000);
    const openBase = async (): Promise<ByteSource> => memorySource(baseBytes);
    expect(await verifyImage(memorySource(image), openBase)).toEqual([]);
    const { sections, manifest } = await readImage(memorySource(image), openBase);
    const expected = [own.subarray(0, 10), BASE_DATA.subarray(0, MIB), own.subarray(10), new Uint8Array(3 * MIB), BASE_DATA.subarray(MIB)];
    expect(Buffer.compare(sections[0] ?? new Uint8Array(), Buffer.concat(expected))).toBe(0);
    const written = manifest.sections[0];
    expect(written?.length).toBe(own.length + BASE_DATA.length + 3 * MIB);
    const stored = written?.extents.filter(({ place }) => place.at !== 'zero').map(({ length }) => length);
    expect(Math.max(...(stored ?? []))).toBe(MIB);
  });

  it('names no base that nothing refers to, and keeps the others in order', async () => {
    const [a, b, c] = [await base('a'.repeat(32)), await base(), await base('c'.repeat(32))];
    const [first] = b.extents;
    if (first === undefined) throw new Error('an extent was expected');
    const last: Extent = { ...first, place: { at: 'base', base: 2, offset: first.place.at === 'base' ? first.place.offset : 0 } };
    const bases = [a.record, b.record, c.record];
    const image = await imageOf({ sections: [streamed('file:a', [last, pattern(10)])], bases });
    const { manifest } = await readManifest(memorySource(image));
    expect(manifest.bases).toEqual([c.record]);
    expect(manifest.sections[0]?.extents[0]?.place).toMatchObject({ at: 'base', base: 0 });
    expect(await verifyImage(memorySource(image), async () => memorySource(c.bytes))).toEqual([]);
  });

  it('is in memory for one extent at a time, however long it is', async () => {
    let held = 0;
    let most = 0;
    async function* long(): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < 64; count++) {
        held++;
        yield pattern(MIB / 4, count + 1);
      }
    }
    const sink = {
      write: async (chunk: Uint8Array) => {
        most = Math.max(most, held);
        if (chunk.length >= MIB / 4) held--;
      },
    };
    const written = await writeImage(sink, { head: head(), sections: [streamed('file:a', long())], buffers: [] });
    expect(written.manifest.sections[0]?.length).toBe(16 * MIB);
    expect(most).toBeLessThanOrEqual(4);
  });

  it('refuses parts that a reader would refuse, and ends a stream that it has begun', async () => {
    const [good] = (await base()).extents;
    if (good === undefined) throw new Error('an extent was expected');
    const wrong: Extent[] = [
      { ...good, place: { at: 'own', offset: 64 } },
      { ...good, place: { at: 'base', base: 1, offset: 64 } },
      { ...good, length: MIB + 1 },
      { place: { at: 'zero' }, length: 0 },
      { place: good.place, length: 5 },
    ];
    for (const part of wrong) {
      let ended = false;
      const stream = async function* (): AsyncGenerator<Uint8Array | Extent> {
        try {
          yield part;
        } finally {
          ended = true;
        }
      };
      await expect(imageOf({ sections: [streamed('x', stream())], bases: [(await base()).record] })).rejects.toThrow(TypeError);
      expect(ended).toBe(true);
    }
  });

  it('refuses a buffer that is not as long as it was announced', async () => {
    const buffer = { member: 'main', kind: 'ArrayBuffer', length: 9, chunks: [pattern(8)] } as const;
    await expect(imageOf({ buffers: [buffer] })).rejects.toThrow(TypeError);
  });
});

describe('a copy of an image', () => {
  async function incremental(): Promise<{ image: Uint8Array; baseBytes: Uint8Array }> {
    const { bytes: baseBytes, record, extents } = await base();
    const buffer = { member: 'main', kind: 'SharedArrayBuffer', maxLength: 9000, chunks: [pattern(5000, 3), new Uint8Array(10)] } as const;
    const input: Partial<ImageInput> = {
      sections: [streamed('sim', [...extents, pattern(100)]), streamed('more', [ZEROS])],
      buffers: [buffer],
      bases: [record],
    };
    return { image: await imageOf(input), baseBytes };
  }

  it('is the same image with everything in it', async () => {
    const { image, baseBytes } = await incremental();
    const openBase = async (): Promise<ByteSource> => memorySource(baseBytes);
    const original = await readImage(memorySource(image), openBase);
    const sink = memorySink();
    const copied = await copyImage(memorySource(image), openBase);
    await writeImage(sink, copied.input);
    await copied.close();
    expect(await verifyImage(memorySource(sink.bytes()), noBases)).toEqual([]);
    const copy = await readImage(memorySource(sink.bytes()), noBases);
    expect(copy.manifest.bases).toEqual([]);
    expect(copy.sections.map((bytes) => hex(hash(bytes)))).toEqual(original.sections.map((bytes) => hex(hash(bytes))));
    expect(copy.buffers).toEqual(original.buffers);
    const { sections: _, buffers: __, bases: ___, ...rest } = original.manifest;
    expect(copy.manifest).toMatchObject(rest);
    expect(sink.bytes().length).toBeLessThan(BASE_DATA.length + 12_000);
  });

  it('F23: stops at bytes that are not as they were written, in the image and in its base', async () => {
    for (const which of ['image', 'baseBytes'] as const) {
      const made = await incremental();
      const damaged = made[which];
      damaged[100] = (damaged[100] ?? 0) ^ 1;
      const copied = await copyImage(memorySource(made.image), async () => memorySource(made.baseBytes));
      await expect(writeImage(memorySink(), copied.input)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
    }
  });
});
