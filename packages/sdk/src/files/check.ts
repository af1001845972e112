/**
 * The check of a tracked file's bytes: which of them are hashed, and how.
 *
 * Invariants
 * 1. Memory is bounded: a range of any length is hashed in pieces.
 */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import type { OpenFile } from '../base/ports.js';
import type { FileFlags, HashedRange, Verification } from './contract.js';

const TAIL = 1024 * 1024;
const PIECE = 1024 * 1024;

/** The last 1 MiB before the end of what was written, or before a reader's position; or all of it. */
export function checkRangeOf(
  { flags, verify }: { readonly flags: FileFlags; readonly verify: Verification },
  position: number,
  size: number,
): { from: number; to: number } {
  if (verify === 'whole') return { from: 0, to: size };
  return tailRange(flags === 'r' ? Math.min(position, size) : size);
}

/** The last 1 MiB before `to`. */
export function tailRange(to: number): { from: number; to: number } {
  return { from: Math.max(0, to - TAIL), to };
}

/** The check of a file that is not looked at. */
export const NO_BYTES: HashedRange = Object.freeze({ from: 0, to: 0, hash: new Blake3Hasher().digestBuffer().toString('hex') });

/** BLAKE3-256 of the bytes [from, to), lower-case hex; of fewer when the file ends before. */
export async function hashRange(file: Pick<OpenFile, 'read'>, from: number, to: number): Promise<string> {
  const hasher = new Blake3Hasher();
  const piece = Buffer.allocUnsafe(Math.min(PIECE, Math.max(to - from, 0)));
  for (let at = from; at < to; ) {
    const read = await file.read(piece, 0, Math.min(piece.byteLength, to - at), at);
    if (read === 0) break;
    hasher.update(piece.subarray(0, read));
    at += read;
  }
  return hasher.digestBuffer().toString('hex');
}
