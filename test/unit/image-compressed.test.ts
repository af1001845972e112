import { once } from 'node:events';
import { totalmem } from 'node:os';
import { createBrotliCompress } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { isAvailable } from '../../packages/sdk/src/image/compression.js';
import type { ByteSource, Extent } from '../../packages/sdk/src/image/contract.js';
import { copyImage } from '../../packages/sdk/src/image/copy.js';
import { openLazily } from '../../packages/sdk/src/image/lazy.js';
import { readImage, readManifest } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { writeImage } from '../../packages/sdk/src/image/writer.js';
import { sectionDetails } from '../../packages/sdk/src/tools/image-details.js';
import { goldenBytes } from '../compat/golden-files.js';
import { AVAILABLE, brotli, brotliImage, compressed, rows, type Stated } from '../fixtures/compressed.js';
import { assemble, head, imageOf, memorySink, memorySource, noBases, pattern, section } from '../fixtures/memory-image.js';

const MIB = 2 ** 20;

async function placesIn(image: Uint8Array): Promise<string[][]> {
  const { manifest } = await readManifest(memorySource(image));
  return manifest.sections.map(({ extents }) => extents.map(({ place }) => place.at));
}

async function codes(image: Uint8Array): Promise<(string | undefined)[]> {
  const codeOf = (error: { code?: string }): string | undefined => error.code;
  const source = (): ByteSource => memorySource(image);
  const copy = async (): Promise<void> => {
    const copied = await copyImage(source(), noBases);
    await writeImage(memorySink(), copied.input);
  };
  return [
    await readImage(source(), noBases).then(() => undefined, codeOf),
    await verifyImage(source(), noBases).then(([first]) => first?.code, codeOf),
    await openLazily(source(), noBases)
      .then((image) => image.section(0))
      .then(() => undefined, codeOf),
    await copy().then(() => undefined, codeOf),
  ];
}

function everywhere(code: string | undefined): (string | undefined)[] {
  return [code, code, code, code];
}

describe.each(AVAILABLE)('a section compressed with %s', (method) => {
  const text = rows(2 * MIB + 5000);
  const noise = pattern(MIB + 10);
  const sections = [
    section('text', [text.subarray(0, 7), text.subarray(7)]),
    section('noise', [noise]),
    section('zeros', [new Uint8Array(3 * MIB)]),
  ];

  it('takes less in the file and comes back the same; what gets no smaller, and zeros, are stored as always', async () => {
    const image = await imageOf({
      sections: compressed(sections, method),
      buffers: [{ member: 'main', kind: 'ArrayBuffer', chunks: [text] }],
    });
    const plain = await imageOf({ sections, buffers: [{ member: 'main', kind: 'ArrayBuffer', chunks: [text] }] });
    expect(plain.length - image.length).toBeGreaterThan(text.length / 2);
    const { sections: read } = await readImage(memorySource(image), noBases);
    for (const [index, bytes] of [text, noise, new Uint8Array(3 * MIB)].entries())
      expect(Buffer.compare(read[index] ?? noise, bytes)).toBe(0);
    expect(await placesIn(image)).toEqual([['compressed', 'compressed', 'compressed'], ['own', 'own'], ['zero']]);
    expect(await verifyImage(memorySource(image), noBases)).toEqual([]);
  });

  it('is read in parts by those who want some of it', async () => {
    const opened = await openLazily(memorySource(await imageOf({ sections: compressed(sections, method) })), noBases);
    const read = await opened.section(0, (_, offset) => offset === MIB);
    expect(Buffer.compare(read.subarray(MIB, 2 * MIB), text.subarray(MIB, 2 * MIB))).toBe(0);
    expect(read.subarray(0, MIB).every((byte) => byte === 0)).toBe(true);
  });

  it('goes into a copy as it is', async () => {
    const image = await imageOf({ sections: compressed(sections, method) });
    const sink = memorySink();
    const { input } = await copyImage(memorySource(image), noBases);
    await writeImage(sink, input);
    expect(Buffer.compare(sink.bytes(), image)).toBe(0);
  });

  it('is told with its bytes here and what they stand for', async () => {
    const { manifest } = await readManifest(memorySource(await imageOf({ sections: compressed(sections, method) })));
    const [first, second] = manifest.sections.map((one) => sectionDetails(one, manifest.buffers));
    const stored = manifest.sections[0]?.extents.reduce((sum, { place }) => sum + (place.at === 'compressed' ? place.stored : 0), 0);
    expect(first).toMatchObject({
      length: text.length,
      stored: { own: stored },
      compressed: { methods: [method], length: text.length, stored },
    });
    expect(second?.compressed).toBeUndefined();
  });
});

describe('what a compressed section claims', () => {
  const text = rows(50_000);

  it('is refused when another length, or no stream at all, comes out, although every hash is right', async () => {
    const stream = brotli(text);
    expect(await codes(brotliImage([{ stream, length: text.length }]))).toEqual(everywhere(undefined));
    const wrong: Stated[] = [
      { stream, length: text.length + 1 },
      { stream, length: text.length - 1 },
      { stream: stream.subarray(0, -5), length: text.length },
      { stream: pattern(500), length: text.length },
    ];
    for (const stated of wrong) expect(await codes(brotliImage([stated]))).toEqual(everywhere('ERR_CKPT_IMAGE_CORRUPT'));
  });

  it('F23: is hashed before it is decompressed', async () => {
    const bomb = brotliImage([{ stream: brotli(rows(1000)), length: 1000, hash: 'a'.repeat(64) }]);
    await expect(readImage(memorySource(bomb), noBases)).rejects.toThrow(/differ from what was written/);
    expect(await codes(bomb)).toEqual(everywhere('ERR_CKPT_IMAGE_CORRUPT'));
  });

  it('F31: needs the bit of its method at the beginning of the image, which an older reader refuses', async () => {
    const stream = brotli(text);
    expect(await codes(brotliImage([{ stream, length: text.length }], 0n))).toEqual(everywhere('ERR_CKPT_IMAGE_CORRUPT'));
    const image = await imageOf({ sections: compressed([section('s', [text])], 'brotli') });
    expect(image[16]).toBe(8);
  });

  it('is nothing that a buffer may be', async () => {
    const place = { at: 'compressed', offset: 64, stored: 10, method: 'brotli' } as const;
    const extent: Extent = { place, length: 4096, hash: 'a'.repeat(64) };
    const { manifest } = await readManifest(memorySource(brotliImage([{ stream: brotli(text), length: text.length }])));
    const image = assemble(
      { ...manifest, sections: [], buffers: [{ member: 'main', kind: 'ArrayBuffer', length: 4096, extents: [extent] }] },
      pattern(10),
      8n,
    );
    await expect(readManifest(memorySource(image))).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
  });

  it('needs a Node.js that can read it, or is refused with what to do, while its manifest can be read', async (context) => {
    if (isAvailable('zstd')) context.skip('this Node.js has zstd');
    const image = goldenBytes('zstd');
    expect((await readManifest(memorySource(image))).manifest.sections.length).toBeGreaterThan(0);
    expect(await codes(image)).toEqual(everywhere('ERR_CKPT_IMAGE_FEATURE'));
    await expect(readImage(memorySource(image), noBases)).rejects.toThrow(/zstd.*22\.15/);
    await expect(
      writeImage(memorySink(), { head: head(), sections: compressed([section('s', [text])], 'zstd'), buffers: [] }),
    ).rejects.toMatchObject({
      code: 'ERR_CKPT_IMAGE_FEATURE',
    });
  });
});

describe('F34: a decompression bomb', () => {
  it('F34: that goes on behind the length it states is stopped there, in bounded memory and time', async () => {
    const bomb = brotliImage([{ stream: await endless(512), length: MIB }]);
    expect(bomb.length).toBeLessThan(MIB);
    await codes(bomb); // all code is loaded
    const before = process.resourceUsage().maxRSS;
    const start = performance.now();
    for (let again = 0; again < 5; again++) expect(await codes(bomb)).toEqual(everywhere('ERR_CKPT_IMAGE_CORRUPT'));
    expect(performance.now() - start).toBeLessThan(5000);
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(100 * 1024);
  });

  it('F34: that states more than a reader accepts, or than there is memory, is refused before anything of it is read', async () => {
    const limit = 64 * 1024;
    expect(await codes(manySections(limit + 100))).toEqual(everywhere('ERR_CKPT_IMAGE_LIMIT'));
    const beyondMemory = Math.ceil(totalmem() / MIB) + 10;
    const image = manySections(beyondMemory);
    const code = beyondMemory > limit ? 'ERR_CKPT_IMAGE_LIMIT' : 'ERR_CKPT_MEMORY';
    const start = performance.now();
    await expect(readImage(memorySource(image), noBases)).rejects.toMatchObject({ code });
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

/** A stream of so many MiB. */
async function endless(mebibytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const stream = createBrotliCompress({ params: { 1: 1 } }).on('data', (part: Uint8Array) => parts.push(part));
  const chunk = Buffer.alloc(MIB, 'a');
  for (let left = mebibytes; left > 0; left--) if (!stream.write(chunk)) await once(stream, 'drain');
  stream.end();
  await once(stream, 'end');
  return Buffer.concat(parts);
}

/** Sections of 1 GiB whose extents are a few bytes for each MiB that they state. */
function manySections(mebibytes: number): Uint8Array {
  const stream = brotli(Buffer.alloc(MIB, 'a'));
  return brotliImage(Array.from({ length: mebibytes }, () => ({ stream, length: MIB })));
}
