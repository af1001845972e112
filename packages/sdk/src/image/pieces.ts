/**
 * Reading the extents of an image in pieces, two reads in flight, each extent hashed once.
 *
 * Invariants
 * 1. A piece is at most PIECE_BYTES, from one source, contiguous there and in memory; or one compressed extent.
 * 2. When reading ends, by success or failure, no read is left in flight.
 */

import { type NamedRecord, storedBytes } from './arrangement.js';
import { decompress } from './compression.js';
import type { ByteSource, Extent, Method } from './contract.js';
import { hash, hex } from './integrity.js';

export const PIECE_BYTES: number = 4 * 2 ** 20;

export interface Piece {
  /** Position of the section or buffer among namedRecords. */
  readonly record: number;
  /** Index of the base, or undefined for the image itself. */
  readonly base: number | undefined;
  readonly position: number;
  /** Where in the section or buffer it belongs. */
  readonly offset: number;
  readonly length: number;
  readonly extents: readonly Extent[];
  /** What it becomes once it is hashed, when it is compressed. */
  readonly compressed?: { readonly method: Method; readonly length: number };
  /** What of it goes where in the buffer, when that is not simply all of it to `offset`. */
  readonly scatter?: readonly Copy[];
}

export interface Copy {
  /** Within the piece. */
  readonly from: number;
  /** Within the buffer. */
  readonly to: number;
  readonly length: number;
}

/** Whether the bytes of a piece can be read right to where they belong. */
export function isWhole({ scatter, length, compressed }: Piece): boolean {
  if (compressed !== undefined) return false;
  return scatter === undefined || (scatter.length === 1 && scatter[0]?.length === length);
}

export function* piecesOf(records: readonly NamedRecord[]): Generator<Piece> {
  for (const [record, { extents, paged }] of records.entries()) {
    if (paged === true) continue; // page-pieces.ts
    let offset = 0;
    let piece: (Piece & { length: number; extents: Extent[] }) | undefined;
    for (const extent of extents) {
      const { place, length } = extent;
      const base = place.at === 'base' ? place.base : undefined;
      const joins =
        piece !== undefined &&
        place.at !== 'zero' &&
        place.at !== 'compressed' &&
        piece.base === base &&
        place.offset === piece.position + piece.length &&
        piece.length + length <= PIECE_BYTES;
      if (piece !== undefined && joins) {
        piece.extents.push(extent);
        piece.length += length;
      } else {
        if (piece !== undefined) yield piece;
        piece = place.at === 'zero' ? undefined : { record, base, position: place.offset, offset, length, extents: [extent] };
        if (place.at === 'compressed') {
          const { stored, method, offset: position } = place;
          yield { record, base, position, offset, length: stored, extents: [extent], compressed: { method, length } };
          piece = undefined;
        }
      }
      offset += length;
    }
    if (piece !== undefined) yield piece;
  }
}

export interface PieceWork {
  readonly sourceOf: (piece: Piece) => ByteSource;
  /** Memory of `piece.length` bytes to read into; not used for anything else until `done`. */
  readonly target: (piece: Piece) => Uint8Array;
  readonly done: (piece: Piece, bytes: Uint8Array) => void;
  /** A read that rejected; throws to stop. */
  readonly failed: (piece: Piece, error: unknown) => void;
}

interface Flight {
  readonly piece: Piece;
  readonly bytes: Uint8Array;
  readonly read: Promise<{ readonly error?: unknown }>;
}

/** At most two targets are in use at a time. */
export async function readPieces(pieces: Iterable<Piece>, work: PieceWork): Promise<void> {
  let ahead: Flight | undefined;
  try {
    for (const piece of pieces) {
      const bytes = work.target(piece);
      const read = work.sourceOf(piece).read(bytes, piece.position);
      const flight: Flight = {
        piece,
        bytes,
        read: read.then(
          () => ({}),
          (error: unknown) => ({ error }),
        ),
      };
      const before = ahead;
      ahead = flight;
      if (before !== undefined) await land(before, work);
    }
    const last = ahead;
    ahead = undefined;
    if (last !== undefined) await land(last, work);
  } finally {
    await ahead?.read;
  }
}

async function land({ piece, bytes, read }: Flight, work: PieceWork): Promise<void> {
  const outcome = await read;
  if ('error' in outcome) work.failed(piece, outcome.error);
  else work.done(piece, bytes);
}

/** The first extent of a piece whose bytes are not those that were written. */
export function damagedExtent(piece: Piece, bytes: Uint8Array): { readonly offset: number; readonly length: number } | undefined {
  let at = 0;
  for (const extent of piece.extents) {
    const stored = storedBytes(extent);
    if (hex(hash(bytes.subarray(at, at + stored))) !== extent.hash) return { offset: piece.offset + at, length: extent.length };
    at += stored;
  }
  return undefined;
}

/** Puts a piece that was hashed to where it belongs, unless it was read right there. @throws CheckpointError as decompress */
export function settle(piece: Piece, bytes: Uint8Array, memory: ArrayBufferLike, label: string, name: string): void {
  const { compressed, scatter = [], offset } = piece;
  if (compressed !== undefined) decompress(compressed.method, bytes, new Uint8Array(memory, offset, compressed.length), label, name);
  else if (!isWhole(piece))
    // One typed array spans at most 4 GiB on some versions of Node: one a copy.
    for (const { from, to, length } of scatter) new Uint8Array(memory, to, length).set(bytes.subarray(from, from + length));
}

/** Memory for two pieces at a time, which is what readPieces has in use. */
export class Scratch {
  readonly #memory: Uint8Array[] = [];
  #turn = 0;

  take(length: number): Uint8Array {
    this.#turn = 1 - this.#turn;
    let memory = this.#memory[this.#turn];
    if (memory === undefined || memory.length < length) memory = new Uint8Array(length);
    this.#memory[this.#turn] = memory;
    return memory.subarray(0, length);
  }
}
