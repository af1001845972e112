/**
 * Moving bytes between open files and sources, whole and in pieces.
 *
 * Invariants
 * 1. Memory is bounded by a piece, however long the run of bytes is.
 * 2. Short reads and short writes are gone on with; a file that ends early is an error, never fewer bytes.
 */
import type { OpenFile } from '../base/ports.js';
import type { ByteSink, ByteSource } from '../image/contract.js';
import { TooFewBytes } from './failure.js';

const PIECE = 1024 * 1024;

/** Fills `target` from `position` on. */
export async function readWhole(file: OpenFile, target: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < target.byteLength; ) {
    const read = await file.read(target, done, target.byteLength - done, position + done);
    if (read === 0) throw new TooFewBytes(`that it ends at ${position + done}, before ${position + target.byteLength}`);
    done += read;
  }
}

/** Writes all of `bytes` at `position`. */
export async function writeWhole(file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const written = await file.write(bytes, done, bytes.byteLength - done, position + done);
    if (written === 0) throw new TooFewBytes('that the file system took no bytes');
    done += written;
  }
}

/** Hands the bytes [from, to) on in pieces; the memory of a piece is used again for the next. */
async function inPieces(
  from: number,
  to: number,
  read: (piece: Uint8Array, at: number) => Promise<void>,
  take: (piece: Uint8Array, at: number) => Promise<void>,
): Promise<void> {
  const memory = new Uint8Array(Math.min(PIECE, Math.max(0, to - from)));
  for (let at = from; at < to; at += memory.byteLength) {
    const piece = memory.subarray(0, Math.min(memory.byteLength, to - at));
    await read(piece, at);
    await take(piece, at);
  }
}

/** Copies the bytes [from, to) of an open file to a sink. `taken` sees each piece. */
export function copyOut(file: OpenFile, from: number, to: number, sink: ByteSink, taken: (piece: Uint8Array) => void): Promise<void> {
  return inPieces(
    from,
    to,
    (piece, at) => readWhole(file, piece, at),
    async (piece) => {
      taken(piece);
      await sink.write(piece);
    },
  );
}

/** Copies the bytes [from, to) of a source to the same place of an open file, moved by `shift`. */
export function copyIn(source: ByteSource, from: number, to: number, file: OpenFile, shift = 0): Promise<void> {
  return inPieces(
    from,
    to,
    (piece, at) => source.read(piece, at),
    (piece, at) => writeWhole(file, piece, at + shift),
  );
}

/** Where the first `length` bytes of a file and a source begin to differ; `length` when they do not. */
export async function firstDifference(file: OpenFile, source: ByteSource, length: number): Promise<number> {
  const ours = new Uint8Array(Math.min(PIECE, length));
  const theirs = new Uint8Array(ours.byteLength);
  for (let at = 0; at < length; at += ours.byteLength) {
    const own = ours.subarray(0, length - at);
    const other = theirs.subarray(0, length - at);
    await readWhole(file, own, at);
    await source.read(other, at);
    if (Buffer.compare(own, other) !== 0) return at + own.findIndex((byte, index) => byte !== other[index]);
  }
  return length;
}

/** A source read like an open file, for hashing. */
export function asReadable(source: ByteSource): Pick<OpenFile, 'read'> {
  return {
    read: async (target, offset, length, position) => {
      const size = Math.min(length, Math.max(0, source.size - position));
      if (size > 0) await source.read(target.subarray(offset, offset + size), position);
      return size;
    },
  };
}

/** The same without a turn of the event loop. */
export function writeWholeSync(file: OpenFile, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.byteLength; ) {
    const written = file.writeSync(bytes, done, bytes.byteLength - done, position + done);
    if (written === 0) throw new TooFewBytes('that the file system took no bytes');
    done += written;
  }
}
