/**
 * BLAKE3-256 over memory of any kind, and the test for zero.
 *
 * Invariants
 * 1. Memory is hashed where it lies; nothing is copied.
 */
import { Blake3Hasher, blake3 } from '@napi-rs/blake-hash';

const ZEROS = Buffer.alloc(2 ** 20);
const SMALL = 4096;
/** Begun anew for each hash: making one costs more. */
const hasher = new Blake3Hasher();

/** The native hash takes a Buffer; this is one over the same bytes. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function hash(bytes: Uint8Array): Uint8Array {
  return bytes.length < SMALL ? hashAnew([bytes]) : blake3(asBuffer(bytes));
}

/** Memory that native code hands out costs more than hashing so little, and more again when it is collected; text does not. */
function hashAnew(parts: readonly Uint8Array[]): Uint8Array {
  hasher.reset();
  for (const part of parts) hasher.update(asBuffer(part));
  return Buffer.from(hasher.digest('hex'), 'hex');
}

/** The hash of several runs of bytes, one after the other. */
export function hashParts(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return hash(only);
  return hashAnew(parts);
}

export function hex(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('hex');
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export function isZero(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0 && bytes.length > 0) return false;
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (!sameBytes(part, ZEROS.subarray(0, part.length))) return false;
  }
  return true;
}
