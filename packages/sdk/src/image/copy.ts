/**
 * Reading an image in parts, verified on the way, so that it can be written again as one self-contained file.
 *
 * Invariants
 * 1. One extent at a time is in memory, or a window of a buffer that is stored page by page; each extent is hashed before
 *    anything of it is handed out.
 * 2. Zeros that are stored nowhere stay so; what is compressed stays as it is, once it was seen to be what it says.
 */
import { arrange, type NamedRecord, namedRecords } from './arrangement.js';
import { openBases } from './bases.js';
import { decompress } from './compression.js';
import type { ByteSource, ImageInput, ImageRef, Manifest, OpenBase, Part, StreamedBuffer, StreamedSection } from './contract.js';
import { corrupt } from './damage.js';
import { PAGE } from './format.js';
import { hash, hex } from './integrity.js';
import { METHODS } from './manifest-extents.js';
import { openImage } from './open.js';
import { pageCount } from './page-map.js';
import { type Holding, pagePieces } from './page-pieces.js';
import { findHoldings, readPaged } from './paged.js';
import { damagedExtent } from './pieces.js';
import { damageText } from './reader.js';

/** An image opened to be copied. */
export interface CopiedImage {
  readonly manifest: Manifest;
  readonly manifestHash: string;
  /** All of it, to be written once; nothing in it refers to a base. */
  readonly input: ImageInput;
  /** Closes the bases; the image's own source stays open. */
  close(): Promise<void>;
}

/** @throws CheckpointError as readManifest, ERR_CKPT_BASE_MISSING; damage of the bytes is thrown by the parts of `input` */
export async function copyImage(source: ByteSource, openBase: OpenBase, expect?: ImageRef): Promise<CopiedImage> {
  const image = await openImage(source, expect);
  const { manifest, manifestHash } = image;
  arrange(manifest, image.trailer, source.label);
  const bases = await openBases(image, openBase);
  const records = namedRecords(manifest);
  const sourceOf = (base: number | undefined): ByteSource => (base === undefined ? source : (bases.images[base]?.source ?? source));
  const holdings = await findHoldings(image, await readPaged(image), bases).catch(async (error: unknown) => {
    await bases.close();
    throw error;
  });
  const parts = (index: number): AsyncGenerator<Part> => verifiedParts(records[index] ?? { name: '', extents: [] }, source.label, sourceOf);
  const { sections, buffers, bases: _, ...head } = manifest;
  const places = sections.flatMap(({ extents }) => extents.map(({ place }) => place));
  const input: ImageInput = {
    head,
    methods: METHODS.filter((method) => places.some((place) => place.at === 'compressed' && place.method === method)),
    sections: sections.map(({ length, extents, ...section }, i): StreamedSection => ({ ...section, chunks: parts(i) })),
    buffers: buffers.map(({ extents, pages, ...buffer }, i): StreamedBuffer => {
      const own = holdings.filter(({ record }) => record === sections.length + i);
      return {
        ...buffer,
        chunks: pages === undefined ? parts(sections.length + i) : pageParts(own, buffer.length, source.label, sourceOf),
      };
    }),
  };
  return { manifest, manifestHash, input, close: () => bases.close() };
}

async function* verifiedParts(
  { name, extents }: NamedRecord,
  label: string,
  sourceOf: (base: number | undefined) => ByteSource,
): AsyncGenerator<Part> {
  let offset = 0;
  for (const extent of extents) {
    const { place, length } = extent;
    if (place.at === 'zero') yield extent;
    else if (place.at === 'compressed') {
      const { method } = place;
      const compressed = new Uint8Array(place.stored);
      await sourceOf(undefined).read(compressed, place.offset);
      if (hex(hash(compressed)) !== extent.hash) throw corrupt(label, name, damageText({ offset, length }));
      decompress(method, compressed, new Uint8Array(length), label, name);
      yield { compressed, method, length };
    } else {
      const bytes = new Uint8Array(length);
      await sourceOf(place.at === 'base' ? place.base : undefined).read(bytes, place.offset);
      if (hex(hash(bytes)) !== extent.hash) throw corrupt(label, name, damageText({ offset, length }));
      yield bytes;
    }
    offset += length;
  }
}

/** Pages of one window lie near each other in each image that holds some, so each is read nearly once. */
const WINDOW_PAGES = (16 * 2 ** 20) / PAGE;

async function* pageParts(
  holdings: readonly Holding[],
  length: number,
  label: string,
  sourceOf: (base: number | undefined) => ByteSource,
): AsyncGenerator<Uint8Array> {
  const pages = pageCount(length);
  for (let from = 0; from < pages; from += WINDOW_PAGES) {
    const to = Math.min(from + WINDOW_PAGES, pages);
    const start = from * PAGE;
    const window = new Uint8Array(Math.min(to * PAGE, length) - start);
    for (const holding of holdings) {
      for (const piece of pagePieces(holding, [from, to])) {
        const bytes = new Uint8Array(piece.length);
        await sourceOf(piece.base).read(bytes, piece.position);
        const found = damagedExtent(piece, bytes);
        if (found !== undefined) throw corrupt(label, holding.name, damageText(found));
        for (const copy of piece.scatter ?? []) window.set(bytes.subarray(copy.from, copy.from + copy.length), copy.to - start);
      }
    }
    yield window;
  }
}
