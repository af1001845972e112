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
import { type Holding, pagePieces } from './page-pieces.js';
import { pagePlaces } from './page-places.js';
import { findHoldings, readPaged } from './paged.js';
import { damagedExtent, isWhole, type Piece, piecesOf, readPieces, Scratch, settle } from './pieces.js';
import { allocating, damageText, makeBuffer } from './reader.js';

/** Tells of an extent, or a run of pages, by its offset in the record, whether it is read; one that is not may stay zero. */
export type Wanted = (extent: Pick<Extent, 'length'>, offset: number) => boolean;

export interface LazyImage {
  readonly manifest: Manifest;
  readonly manifestHash: string;
  section(index: number, wanted?: Wanted): Promise<Uint8Array>;
  buffer(index: number, wanted?: Wanted): Promise<ArrayBufferLike>;
  /** Where the bytes of a buffer lie, from its beginning to its end; of one that is stored page by page without hashes. */
  placesOf(index: number): Promise<readonly Extent[]>;
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
  #holdings: Promise<readonly Holding[]> | undefined;

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

  async placesOf(index: number): Promise<readonly Extent[]> {
    const record = this.manifest.buffers[index];
    if (record === undefined) throw new RangeError(`buffer ${index} of ${this.manifest.buffers.length}`);
    return record.pages === undefined
      ? record.extents
      : pagePlaces(await this.#holdingsOf(this.manifest.sections.length + index), record.length);
  }

  async #read(index: number, memory: ArrayBufferLike, wanted: Wanted = () => true): Promise<void> {
    const { source } = this.#image;
    const record = this.#records[index];
    if (record === undefined) return;
    const pieces =
      record.paged === true
        ? (await this.#holdingsOf(index)).flatMap((holding) => [...pagePieces(holding)].filter((piece) => isWanted(piece, wanted)))
        : Array.from(piecesOf([record])).flatMap((piece) => partsOf(piece, wanted));
    const bases = pieces.some(({ base }) => base !== undefined) ? await this.#openBases() : undefined;
    const scratch = new Scratch();
    await readPieces(pieces, {
      sourceOf: ({ base }) => (base === undefined ? source : (bases?.images[base]?.source ?? source)),
      target: (piece) => (isWhole(piece) ? new Uint8Array(memory, piece.offset, piece.length) : scratch.take(piece.length)),
      done: (piece, bytes) => {
        const found = damagedExtent(piece, bytes);
        if (found !== undefined) throw corrupt(source.label, record.name, damageText(found));
        settle(piece, bytes, memory, source.label, record.name);
      },
      failed: (_, error) => {
        throw error;
      },
    });
  }

  #openBases(): Promise<Bases> {
    this.#bases ??= openBases(this.#image, this.#openBase);
    return this.#bases;
  }

  async #holdingsOf(index: number): Promise<readonly Holding[]> {
    const find = async (): Promise<readonly Holding[]> => findHoldings(this.#image, await readPaged(this.#image), await this.#openBases());
    this.#holdings ??= find();
    return (await this.#holdings).filter(({ record }) => record === index);
  }
}

function isWanted({ scatter: copies = [] }: Piece, wanted: Wanted): boolean {
  return copies.some(({ to, length }) => wanted({ length }, to));
}

/** The extents of a piece that are wanted, each a piece of its own (invariant 3). */
function partsOf(piece: Piece, wanted: Wanted): Piece[] {
  const { compressed } = piece;
  if (compressed !== undefined) return wanted(compressed, piece.offset) ? [piece] : [];
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
