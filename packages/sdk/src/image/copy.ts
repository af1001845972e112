/**
 * Reading an image in parts, verified on the way, so that it can be written again as one self-contained file.
 *
 * Invariants
 * 1. One extent at a time is in memory; each is hashed before it is handed out.
 * 2. Zeros that are stored nowhere stay so.
 */
import { arrange, type NamedRecord, namedRecords } from './arrangement.js';
import { openBases } from './bases.js';
import type { ByteSource, Extent, ImageInput, ImageRef, Manifest, OpenBase, StreamedBuffer, StreamedSection } from './contract.js';
import { corrupt } from './damage.js';
import { hash, hex } from './integrity.js';
import { openImage } from './open.js';
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
  const parts = (index: number): AsyncGenerator<Uint8Array | Extent> =>
    verifiedParts(records[index] ?? { name: '', extents: [] }, source.label, (base) =>
      base === undefined ? source : (bases.sources[base] ?? source),
    );
  const { sections, buffers, bases: _, ...head } = manifest;
  const input: ImageInput = {
    head,
    sections: sections.map(({ length, extents, ...section }, i): StreamedSection => ({ ...section, chunks: parts(i) })),
    buffers: buffers.map(({ extents, ...buffer }, i): StreamedBuffer => ({ ...buffer, chunks: parts(sections.length + i) })),
  };
  return { manifest, manifestHash, input, close: () => bases.close() };
}

async function* verifiedParts(
  { name, extents }: NamedRecord,
  label: string,
  sourceOf: (base: number | undefined) => ByteSource,
): AsyncGenerator<Uint8Array | Extent> {
  let offset = 0;
  for (const extent of extents) {
    const { place, length } = extent;
    if (place.at === 'zero') yield extent;
    else {
      const bytes = new Uint8Array(length);
      await sourceOf(place.at === 'base' ? place.base : undefined).read(bytes, place.offset);
      if (hex(hash(bytes)) !== extent.hash) throw corrupt(label, name, damageText({ offset, length }));
      yield bytes;
    }
    offset += length;
  }
}
