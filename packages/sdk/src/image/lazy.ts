/**
 * Reading single sections and buffers of an image: only their extents are read, each verified.
 *
 * Invariants
 * 1. Nothing but header, trailer and manifest is read before a section or buffer is asked for; a base is opened then too.
 * 2. What is handed out was hashed; a damage is thrown with the name of the section.
 * 3. A part of a record is read by whole extents, so that each can be verified.
 */
import { arrange, type NamedRecord, namedRecords } from './arrangement.js';
import { type Bases, openBases } from './bases.js';
import type { ByteSource, Extent, ImageRef, Manifest, OpenBase } from './contract.js';
import { corrupt } from './damage.js';
import { type OpenedImage, openImage } from './open.js';
import { damagedExtent, type Piece, piecesOf, readPieces } from './pieces.js';
import { allocating, damageText, makeBuffer } from './reader.js';

/** Tells of an extent, by its offset in the record, whether it is read; one that is not stays zero. */
export type Wanted = (extent: Extent, offset: number) => boolean;

export interface LazyImage {
  readonly manifest: Manifest;
  readonly manifestHash: string;
  section(index: number, wanted?: Wanted): Promise<Uint8Array>;
  buffer(index: number, wanted?: Wanted): Promise<ArrayBufferLike>;
  /** Closes the image and its bases. */
  close(): Promise<void>;
}

/**
 * @param source closed by the result, or at once when this rejects
 * @throws CheckpointError as readManifest
 */
export async function openLazily(source: ByteSource, openBase: OpenBase, expect?: ImageRef): Promise<LazyImage> {
  try {
    const image = await openImage(source, expect);
    arrange(image.manifest, image.trailer, source.label);
    return new Lazy(image, openBase);
  } catch (error) {
    await source.close();
    throw error;
  }
}

class Lazy implements LazyImage {
  readonly manifest: Manifest;
  readonly manifestHash: string;
  readonly #image: OpenedImage;
  readonly #openBase: OpenBase;
  readonly #records: readonly NamedRecord[];
  #bases: Promise<Bases> | undefined;

  constructor(image: OpenedImage, openBase: OpenBase) {
    this.#image = image;
    this.#openBase = openBase;
    this.manifest = image.manifest;
    this.manifestHash = image.manifestHash;
    this.#records = namedRecords(image.manifest);
  }

  async section(index: number, wanted?: Wanted): Promise<Uint8Array> {
    const record = this.manifest.sections[index];
    if (record === undefined) throw new RangeError(`section ${index} of ${this.manifest.sections.length}`);
    const bytes = allocating(this.#image.source.label, () => new Uint8Array(record.length));
    await this.#read(index, bytes.buffer, wanted);
    return bytes;
  }

  async buffer(index: number, wanted?: Wanted): Promise<ArrayBufferLike> {
    const record = this.manifest.buffers[index];
    if (record === undefined) throw new RangeError(`buffer ${index} of ${this.manifest.buffers.length}`);
    const memory = allocating(this.#image.source.label, () => makeBuffer(record));
    await this.#read(this.manifest.sections.length + index, memory, wanted);
    return memory;
  }

  async close(): Promise<void> {
    const bases = await this.#bases?.catch(() => undefined);
    await bases?.close();
    await this.#image.source.close();
  }

  async #read(index: number, memory: ArrayBufferLike, wanted: Wanted | undefined): Promise<void> {
    const { source } = this.#image;
    const record = this.#records[index];
    if (record === undefined) return;
    const pieces = Array.from(piecesOf([record])).flatMap((piece) => (wanted === undefined ? [piece] : partsOf(piece, wanted)));
    if (pieces.some(({ base }) => base !== undefined)) this.#bases ??= openBases(this.#image, this.#openBase);
    const bases = await this.#bases;
    await readPieces(pieces, {
      sourceOf: ({ base }) => (base === undefined ? source : (bases?.sources[base] ?? source)),
      target: ({ offset, length }) => new Uint8Array(memory, offset, length),
      done: (piece, bytes) => {
        const found = damagedExtent(piece, bytes);
        if (found !== undefined) throw corrupt(source.label, record.name, damageText(found));
      },
      failed: (_, error) => {
        throw error;
      },
    });
  }
}

/** The extents of a piece that are wanted, each a piece of its own (invariant 3). */
function partsOf(piece: Piece, wanted: Wanted): Piece[] {
  const parts: Piece[] = [];
  let at = 0;
  for (const extent of piece.extents) {
    const offset = piece.offset + at;
    if (wanted(extent, offset)) {
      parts.push({ ...piece, position: piece.position + at, offset, length: extent.length, extents: [extent] });
    }
    at += extent.length;
  }
  return parts;
}
