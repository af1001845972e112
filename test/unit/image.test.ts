import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import type { BufferInput, ImageInput } from '../../packages/sdk/src/image/contract.js';
import { readImage, readManifest } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { writeImage } from '../../packages/sdk/src/image/writer.js';
import { openSource } from '../../packages/sdk/src/store/source.js';
import { head, ID, imageOf, memorySink, memorySource, noBases, pattern, section } from '../fixtures/memory-image.js';

const MIB = 2 ** 20;

function buffer(chunks: readonly Uint8Array[], more: Partial<BufferInput> = {}): BufferInput {
  return { member: 'main', kind: 'ArrayBuffer', chunks, ...more };
}

async function readBack(bytes: Uint8Array): ReturnType<typeof readImage> {
  return readImage(memorySource(bytes), noBases);
}

describe('an image', () => {
  it('comes back as it was written: head, sections, buffers of every kind', async () => {
    const input: ImageInput = {
      head: head(),
      sections: [section('sim', [pattern(10), pattern(5)], [0, 1]), section('empty', [])],
      buffers: [
        buffer([pattern(5000)]),
        buffer([pattern(100)], { kind: 'SharedArrayBuffer' }),
        buffer([pattern(64)], { maxLength: 256 }),
        buffer([pattern(64)], { kind: 'SharedArrayBuffer', maxLength: 128 }),
        buffer([]),
      ],
    };
    const sink = memorySink();
    const written = await writeImage(sink, input);
    expect(sink.writes).toBe(1);
    expect(sink.bytes().length).toBe(written.size);
    const contents = await readBack(sink.bytes());
    expect(contents.manifest).toEqual(written.manifest);
    expect(contents.manifestHash).toBe(written.manifestHash);
    const { sections, buffers, bases, ...rest } = contents.manifest;
    expect(rest).toEqual(input.head);
    expect(bases).toEqual([]);
    expect(sections.map(({ name, length }) => [name, length])).toEqual([
      ['sim', 15],
      ['empty', 0],
    ]);
    expect(Buffer.from(contents.sections[0] ?? [])).toEqual(Buffer.concat([pattern(10), pattern(5)]));
    expect(contents.buffers.map((memory) => [memory.constructor.name, memory.byteLength, Reflect.get(memory, 'maxByteLength')])).toEqual([
      ['ArrayBuffer', 5000, 5000],
      ['SharedArrayBuffer', 100, 100],
      ['ArrayBuffer', 64, 256],
      ['SharedArrayBuffer', 64, 128],
      ['ArrayBuffer', 0, 0],
    ]);
    expect(buffers.map(({ maxLength }) => maxLength)).toEqual([undefined, undefined, 256, 128, undefined]);
    expect(Buffer.from(contents.buffers[0] ?? new ArrayBuffer(0))).toEqual(Buffer.from(pattern(5000)));
    expect(await verifyImage(memorySource(sink.bytes()), noBases, undefined, head().image)).toEqual([]);
  });

  it('begins bulk buffers at multiples of 4096 and everything else at multiples of 8', async () => {
    const bytes = await imageOf({
      sections: [section('a', [pattern(3)]), section('b', [pattern(9)])],
      buffers: [buffer([pattern(9000)]), buffer([pattern(5)]), buffer([pattern(4096)])],
    });
    const { manifest } = await readManifest(memorySource(bytes));
    const starts = [...manifest.sections, ...manifest.buffers].map(({ extents: [first] }) =>
      first?.place.at === 'own' ? first.place.offset : undefined,
    );
    expect(starts).toEqual([64, 72, 4096, 13096, 16384]);
  });

  it('cuts extents at 1 MiB across chunk borders, and reads them back whatever the chunks were', async () => {
    const whole = pattern(3 * MIB + 777);
    const chunks = [whole.subarray(0, 100), whole.subarray(100, 2 * MIB + 1), whole.subarray(2 * MIB + 1)];
    const bytes = await imageOf({ sections: [section('one', [whole]), section('many', chunks)], buffers: [buffer(chunks)] });
    const contents = await readBack(bytes);
    const hashes = (i: number): (string | undefined)[] | undefined => contents.manifest.sections[i]?.extents.map(({ hash }) => hash);
    expect(hashes(0)).toHaveLength(4);
    expect(hashes(1)).toEqual(hashes(0));
    for (const got of [...contents.sections, new Uint8Array(contents.buffers[0] ?? new ArrayBuffer(0))])
      expect(Buffer.compare(got, whole)).toBe(0);
  });

  it('stores nothing for extents that are all zero', async () => {
    const mixed = new Uint8Array(6 * MIB);
    mixed.set(pattern(1000), 2 * MIB + 5);
    const bytes = await imageOf({ buffers: [buffer([mixed]), buffer([new Uint8Array(8 * MIB), new Uint8Array(3)])] });
    expect(bytes.length).toBeLessThan(MIB + 8192);
    const contents = await readBack(bytes);
    expect(contents.manifest.buffers.map(({ extents }) => extents.map(({ place, length }) => [place.at, length]))).toEqual([
      [
        ['zero', 2 * MIB],
        ['own', MIB],
        ['zero', 3 * MIB],
      ],
      [['zero', 8 * MIB + 3]],
    ]);
    expect(Buffer.compare(new Uint8Array(contents.buffers[0] ?? new ArrayBuffer(0)), mixed)).toBe(0);
  });

  it('does not change or keep what it is given, and takes shared and resizable memory', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(300_000));
    shared.set(pattern(300_000));
    const resizable = new Uint8Array(new ArrayBuffer(5000, { maxByteLength: 6000 }), 8, 4096);
    resizable.set(pattern(4096));
    const contents = await readBack(await imageOf({ buffers: [buffer([shared]), buffer([resizable])] }));
    expect(contents.buffers.map((memory) => Buffer.compare(new Uint8Array(memory), pattern(memory.byteLength)))).toEqual([0, 0]);
    expect(Buffer.compare(shared, pattern(300_000))).toBe(0);
  });

  it('is written to and read from a real file, into every kind of memory', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ckpt-image-'));
    try {
      const path = join(folder, 'image.ckpt');
      const file = await open(path, 'wx');
      const whole = pattern(9 * MIB + 5);
      const kinds: Partial<BufferInput>[] = [
        {},
        { kind: 'SharedArrayBuffer' },
        { maxLength: 10 * MIB },
        { kind: 'SharedArrayBuffer', maxLength: 10 * MIB },
      ];
      await writeImage(
        { write: async (chunk) => void (await file.write(chunk)) },
        { head: head(), sections: [], buffers: kinds.map((kind) => buffer([whole], kind)) },
      );
      await file.close();
      const source = await openSource(systemFileSystem, path);
      if (source === undefined) throw new Error('the image is not there');
      const contents = await readImage(source, noBases);
      expect(contents.buffers.map((memory) => Buffer.compare(new Uint8Array(memory), whole))).toEqual([0, 0, 0, 0]);
      const steps: [number, number][] = [];
      expect(await verifyImage(source, noBases, (done, total) => steps.push([done, total]))).toEqual([]);
      expect(steps.at(-1)).toEqual([4 * whole.length, 4 * whole.length]);
      await source.close();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('keeps integers beyond 32 bits, fractions and open fields of the manifest', async () => {
    const made = head();
    const files = [{ member: 'main', name: 'log', path: '/w/log', size: 2 ** 53 - 1, more: { deep: [1, null, 'x'], constructor: 5 } }];
    const input = {
      ...made,
      files,
      image: { ...made.image, clockMs: 0.1 + 0.2, createdAt: 2 ** 45 + 1, parent: { id: 'a'.repeat(32), epoch: 2, generation: 6 } },
    };
    const { manifest } = await readManifest(memorySource(await imageOf({ head: input })), made.image);
    expect(manifest.files).toEqual(files);
    expect(manifest.image).toEqual(input.image);
    expect(manifest.provenance.openFiles[0]?.position).toBe(5_000_000_000);
  });

  it('F35: keys such as __proto__ in open fields of the manifest are inert own data', async () => {
    const member = JSON.parse('{"name":"main","kind":"program","__proto__":{"polluted":true},"constructor":{"prototype":1}}');
    const { manifest } = await readManifest(memorySource(await imageOf({ head: { ...head(), members: [member] } })));
    const [back] = manifest.members;
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
    expect(Reflect.get(back ?? {}, 'polluted')).toBeUndefined();
  });

  it('names the damaged section, and verify finds all damages', async () => {
    const bytes = await imageOf({
      sections: [section('sim', [pattern(100)], [0]), section('rng', [pattern(50)])],
      buffers: [buffer([pattern(5000)])],
    });
    for (const at of [70, 170, 4100]) bytes[at] = (bytes[at] ?? 0) ^ 1;
    await expect(readBack(bytes)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT', context: { section: 'sim', path: 'memory' } });
    const damages = await verifyImage(memorySource(bytes), noBases);
    expect(damages.map((damage) => [damage.section, damage.code])).toEqual([
      ['sim', 'ERR_CKPT_IMAGE_CORRUPT'],
      ['rng', 'ERR_CKPT_IMAGE_CORRUPT'],
      ['sim (buffer 0)', 'ERR_CKPT_IMAGE_CORRUPT'],
    ]);
  });

  it('F27: is refused in the place of another image', async () => {
    const bytes = await imageOf();
    for (const expected of [
      { ...head().image, id: 'e'.repeat(32) },
      { ...head().image, epoch: 4 },
      { ...head().image, generation: 8 },
    ]) {
      await expect(readImage(memorySource(bytes), noBases, expected)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
      await expect(readManifest(memorySource(bytes), expected)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
      expect(await verifyImage(memorySource(bytes), noBases, undefined, expected)).toMatchObject([{ code: 'ERR_CKPT_IMAGE_CORRUPT' }]);
    }
    expect((await readManifest(memorySource(bytes), head().image)).manifest.image.id).toBe(ID);
  });

  it('F27: is refused when chunks were swapped inside it or taken from another image', async () => {
    const two = (a: number, b: number): Promise<Uint8Array> =>
      imageOf({ sections: [section('a', [pattern(64, a)]), section('b', [pattern(64, b)])] });
    const swapped = await two(1, 2);
    swapped.set(pattern(64, 2), 64);
    swapped.set(pattern(64, 1), 128);
    await expect(readBack(swapped)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
    const foreign = await two(1, 2);
    foreign.set((await two(9, 2)).subarray(64, 128), 64);
    await expect(readBack(foreign)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
    const tail = await imageOf({ head: head('b'.repeat(32)), sections: [section('a', [pattern(64, 1)]), section('b', [pattern(64, 2)])] });
    const mixed = Buffer.concat([swapped.subarray(0, 64), tail.subarray(64)]);
    await expect(readBack(mixed)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
  });

  it('passes on what the sink and the source reject with', async () => {
    const full = new Error('full');
    await expect(writeImage({ write: () => Promise.reject(full) }, { head: head(), sections: [], buffers: [] })).rejects.toBe(full);
    const bytes = await imageOf({ sections: [section('a', [pattern(64)]), section('b', [pattern(5 * MIB)])] });
    const source = {
      ...memorySource(bytes),
      read: (target: Uint8Array, at: number) => (at === 64 ? Promise.reject(full) : memorySource(bytes).read(target, at)),
    };
    await expect(readImage(source, noBases)).rejects.toBe(full);
    await expect(verifyImage(source, noBases)).rejects.toBe(full);
  });

  it('F17: is refused at writing when the head holds what a manifest cannot', async () => {
    const member = { name: 'main', kind: 'program' as const, run: () => 1 };
    await expect(imageOf({ head: { ...head(), members: [member] } })).rejects.toThrow(TypeError);
  });
});
