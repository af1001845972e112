import { pack, unpack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import type { Extent, Manifest } from '../../packages/sdk/src/image/contract.js';
import { hash, hex } from '../../packages/sdk/src/image/integrity.js';
import { encodeManifest } from '../../packages/sdk/src/image/manifest-write.js';
import { readImage, readManifest } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { assemble, assembleRaw, head, ID, memorySource, noBases, pattern } from '../fixtures/memory-image.js';

const DATA = pattern(256);

function own(offset: number, length: number, hashed: Uint8Array = DATA.subarray(offset - 64, offset - 64 + length)): Extent {
  return { place: { at: 'own', offset }, length, hash: hex(hash(hashed)) };
}

function manifest(more: Partial<Manifest> = {}): Manifest {
  return { ...head(), sections: [], buffers: [], bases: [], ...more };
}

function record(name: string, extents: readonly Extent[], more: Partial<Manifest['sections'][number]> = {}): Manifest['sections'][number] {
  const length = extents.reduce((sum, extent) => sum + extent.length, 0);
  return { member: 'main', name, kind: 'state', version: 1, encoding: 'tree-1', length, extents, buffers: [], ...more };
}

const WHOLE = [record('a', [own(64, 256)])];

/** The code with which both readers refuse; they must agree. */
async function refusal(bytes: Uint8Array): Promise<string | undefined> {
  const read = await readImage(memorySource(bytes), noBases).then(
    () => undefined,
    (error: { code?: string }) => error.code ?? String(error),
  );
  const verified = await verifyImage(memorySource(bytes), noBases).then(
    (damages) => damages[0]?.code,
    (error: { code?: string }) => error.code ?? String(error),
  );
  expect(verified).toBe(read);
  return read;
}

/** Recomputes the header's checksum after a change, as a newer writer would have written it. */
function withHeader(bytes: Uint8Array, change: (view: DataView) => void): Uint8Array {
  const made = bytes.slice();
  change(new DataView(made.buffer));
  made.set(hash(made.subarray(0, 48)).subarray(0, 16), 48);
  return made;
}

describe('a reader of images', () => {
  it('reads what a sound manifest of another writer says', async () => {
    expect(await refusal(assemble(manifest({ sections: WHOLE }), DATA))).toBeUndefined();
  });

  it('F30: refuses a newer format as such, not as damage', async () => {
    const bytes = withHeader(assemble(manifest({ sections: WHOLE }), DATA), (view) => view.setUint16(8, 2, true));
    expect(await refusal(bytes)).toBe('ERR_CKPT_IMAGE_VERSION');
    // Whatever else a newer version changes.
    expect(await refusal(bytes.slice(0, 64))).toBe('ERR_CKPT_IMAGE_VERSION');
  });

  it('F31: refuses an unknown required feature, naming it', async () => {
    const bytes = withHeader(assemble(manifest()), (view) => view.setBigUint64(16, 16n, true));
    expect(await refusal(bytes)).toBe('ERR_CKPT_IMAGE_FEATURE');
    await expect(readManifest(memorySource(bytes))).rejects.toThrow('0x10');
  });

  it.each([
    ['reserved bytes of the header in use', (view: DataView) => view.setUint8(40, 1)],
    ['version 0', (view: DataView) => view.setUint16(8, 0, true)],
    ['another header length', (view: DataView) => view.setUint32(12, 128, true)],
  ])('F23: refuses %s', async (_, change) => {
    expect(await refusal(withHeader(assemble(manifest()), change))).toBe('ERR_CKPT_IMAGE_CORRUPT');
  });

  it.each<[string, Partial<Manifest>]>([
    ['the same section of a member', { sections: [record('a', [own(64, 128)]), record('a', [own(192, 128)])] }],
    [
      'the same member',
      {
        sections: WHOLE,
        members: [
          { name: 'main', kind: 'program' },
          { name: 'main', kind: 'worker' },
        ],
      },
    ],
    ['the same name of the image', { sections: WHOLE, image: { ...head().image, names: ['x', 'x'] } }],
    ['the same tracked file', { sections: WHOLE, files: [1, 2].map(() => ({ member: 'main', name: 'log', path: '/log' })) }],
    [
      'the same base',
      { sections: WHOLE, bases: [1, 2].map(() => ({ id: 'b'.repeat(32), epoch: 1, generation: 1, manifestHash: '0'.repeat(64) })) },
    ],
    ['itself as base', { sections: WHOLE, bases: [{ id: ID, epoch: 1, generation: 1, manifestHash: '0'.repeat(64) }] }],
  ])('F37: refuses %s twice', async (_, more) => {
    expect(await refusal(assemble(manifest(more), DATA))).toBe('ERR_CKPT_IMAGE_CORRUPT');
  });

  it('F37: refuses a key of the manifest that is there twice', async () => {
    const bytes = Buffer.from(pack({ padding: 0 }));
    const twice = Buffer.concat([Buffer.of(0x82), bytes.subarray(-9), bytes.subarray(-9)]);
    expect(await refusal(assembleRaw(ID, new Uint8Array(), twice))).toBe('ERR_CKPT_IMAGE_CORRUPT');
  });

  it('lets the same section name stand for two members', async () => {
    const sections = [record('a', [own(64, 128)]), record('a', [own(192, 128)], { member: 'solver' })];
    expect(await refusal(assemble(manifest({ sections }), DATA))).toBeUndefined();
  });

  it.each<[string, Partial<Manifest>]>([
    ['overlap', { sections: [record('a', [own(64, 200)]), record('b', [own(200, 120)])] }],
    ['are one and the same bytes', { sections: [record('a', [own(64, 256)]), record('b', [own(64, 256)])] }],
    [
      'lie in the header',
      { sections: [record('a', [own(0, 64, DATA.subarray(0, 64))]), ...WHOLE.map((whole) => ({ ...whole, name: 'b' }))] },
    ],
    ['lie beyond the file', { sections: [...WHOLE, record('b', [own(2 ** 40, 16, DATA.subarray(0, 16))])] }],
    ['lie over the manifest', { sections: [record('a', [own(64, 264, pattern(264))])] }],
    ['do not add up', { sections: [record('a', [own(64, 256)], { length: 255 })] }],
    ['leave bytes uncovered that are not zero', { sections: [record('a', [own(64, 200)])] }],
    ['are of a buffer that is not there', { sections: [record('a', [own(64, 256)], { buffers: [0] })] }],
  ])('F33: refuses extents that %s', async (_, more) => {
    expect(await refusal(assemble(manifest(more), DATA))).toBe('ERR_CKPT_IMAGE_CORRUPT');
  });

  it('F33: refuses a hole of a page and more, even when it is zero', async () => {
    const data = new Uint8Array(256 + 4096);
    data.set(DATA);
    expect(await refusal(assemble(manifest({ sections: WHOLE }), data))).toBe('ERR_CKPT_IMAGE_CORRUPT');
  });

  const zero = (length: number): Extent => ({ place: { at: 'zero' }, length });
  const buffer = (extents: readonly Extent[], more = {}): Manifest['buffers'][number] => ({
    member: 'main',
    kind: 'ArrayBuffer',
    length: extents.reduce((sum, extent) => sum + extent.length, 0),
    extents,
    ...more,
  });

  it.each<[string, Partial<Manifest>, string]>([
    ['a buffer of 65 GiB of zeros', { buffers: [buffer([zero(65 * 2 ** 30)])] }, 'ERR_CKPT_IMAGE_LIMIT'],
    ['many buffers of zeros', { buffers: Array.from({ length: 100 }, () => buffer([zero(2 ** 30)])) }, 'ERR_CKPT_IMAGE_LIMIT'],
    ['a length of 2^53-1', { buffers: [buffer([zero(2 ** 53 - 1)])] }, 'ERR_CKPT_IMAGE_LIMIT'],
    ['a section of 2 GiB', { sections: [record('a', [zero(2 ** 31)])] }, 'ERR_CKPT_IMAGE_LIMIT'],
    ['a maximal length below the length', { buffers: [buffer([zero(100)], { maxLength: 99 })] }, 'ERR_CKPT_IMAGE_CORRUPT'],
    ['a maximal length that no machine has', { buffers: [buffer([zero(8)], { maxLength: 2 ** 53 - 1 })] }, 'ERR_CKPT_MEMORY'],
    ['a path in the place of a name', { image: { ...head().image, names: ['../../x'] } }, 'ERR_CKPT_IMAGE_CORRUPT'],
  ])('F33: refuses %s before it allocates', async (_, more, code) => {
    const bytes = assemble(manifest(more));
    const read = await readImage(memorySource(bytes), noBases).then(
      () => undefined,
      (error: { code?: string }) => error.code ?? String(error),
    );
    expect(read).toBe(code);
  });

  it('F33: refuses manifests that are deep, endless or not msgpack at all', async () => {
    const deep = new Uint8Array(1_000_001).fill(0x91);
    deep[1_000_000] = 0xc0;
    expect(await refusal(assembleRaw(ID, new Uint8Array(), deep))).toBe('ERR_CKPT_IMAGE_LIMIT');
    expect(await refusal(assembleRaw(ID, new Uint8Array(), Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)))).toBe('ERR_CKPT_IMAGE_CORRUPT');
    expect(await refusal(assembleRaw(ID, new Uint8Array(), Uint8Array.of(0xc1)))).toBe('ERR_CKPT_IMAGE_CORRUPT');
    expect(await refusal(assembleRaw(ID, new Uint8Array(), Uint8Array.of()))).toBe('ERR_CKPT_IMAGE_CORRUPT');
    expect(await refusal(assembleRaw(ID, new Uint8Array(), Uint8Array.of(0xd4, 1, 1)))).toBe('ERR_CKPT_IMAGE_CORRUPT');
  });

  it('F33: refuses a manifest that claims more than 64 MiB before it reads it', async () => {
    const bytes = new Uint8Array(assembleRaw(ID, new Uint8Array(), Uint8Array.of(0x80)));
    const view = new DataView(bytes.buffer, bytes.length - 128);
    view.setBigUint64(24, 2n ** 62n, true);
    bytes.set(hash(Buffer.concat([bytes.subarray(0, 64), bytes.subarray(-128, -32)])), bytes.length - 32);
    expect(await refusal(bytes)).toBe('ERR_CKPT_IMAGE_LIMIT');
  });

  it.each(['image', 'run', 'producer', 'provenance', 'members', 'files', 'sections', 'buffers', 'bases'])(
    'F33: refuses a manifest whose %s has the wrong type or is missing',
    async (key) => {
      const { [key]: right, ...others } = unpack(encodeManifest(manifest()));
      const withValue = (value: object): Uint8Array => assembleRaw(ID, new Uint8Array(), pack({ ...others, ...value }));
      expect(await refusal(withValue({ [key]: right }))).toBeUndefined();
      for (const wrong of [{ [key]: 7 }, { [key]: 'x' }, { [key]: null }, {}, { [key]: [7] }]) {
        expect(await refusal(withValue(wrong))).toBe('ERR_CKPT_IMAGE_CORRUPT');
      }
    },
  );

  it('F33: refuses what is said to be left out of a section when it is not told as it must be', async () => {
    const imageWith = (dropped: unknown): Uint8Array => {
      const one = { ...record('a', [own(64, 256)]), dropped } as Manifest['sections'][number]; // wrong on purpose
      return assemble(manifest({ sections: [one] }), DATA);
    };
    const place = { path: 'a.f', what: 'a function' };
    expect(await refusal(imageWith({ count: 3, first: [place, place] }))).toBeUndefined();
    const wrong = [
      7,
      [],
      {},
      { count: 1 },
      { first: [] },
      { count: 1, first: [place, place] },
      { count: -1, first: [] },
      { count: 1, first: [{ path: 1 }] },
    ];
    for (const dropped of wrong) expect(await refusal(imageWith(dropped))).toBe('ERR_CKPT_IMAGE_CORRUPT');
  });

  it('ignores keys that it does not know', async () => {
    const newer = { ...manifest({ sections: WHOLE }), novelty: { deep: [1, 2] } };
    expect(await refusal(assemble(newer, DATA))).toBeUndefined();
  });
});
