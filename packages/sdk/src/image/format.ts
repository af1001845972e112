/**
 * The fixed parts of an image, normative in docs/image-format.md: header, trailer, sizes and limits.
 *
 * Invariants
 * 1. The header's layout and checksum are the same in every version, so that a newer image is told from a damaged one.
 * 2. All numbers are little-endian; what is reserved is zero and is checked to be.
 */
import { CheckpointError } from '../base/errors.js';
import { corrupt, incomplete } from './damage.js';
import { hash, hashParts, sameBytes } from './integrity.js';

const FORMAT_VERSION = 1;
/** Bits of the header that a reader must know. */
export const FEATURE = {
  /** Some section has `numbers`. */
  numbers: 1n,
  /** Some buffer is stored page by page. */
  pages: 2n,
  /** Extents of sections may be compressed with zstd. */
  zstd: 4n,
  /** Extents of sections may be compressed with brotli. */
  brotli: 8n,
} as const;
const KNOWN_FEATURES: bigint = FEATURE.numbers | FEATURE.pages | FEATURE.zstd | FEATURE.brotli;
export const HEADER_BYTES = 64;
export const TRAILER_BYTES = 128;
/** Most bytes of an extent that is stored. */
export const EXTENT_BYTES: number = 2 ** 20;
/** Buffers of this size and more begin at a multiple of it. */
export const PAGE = 4096;
export const ALIGNMENT = 8;
export const MAX_MANIFEST_BYTES: number = 64 * 2 ** 20;
export const MAX_BASES = 32;
/** Most bytes of an image, all records together, that it may stand for without storing them: zeros, and what compression saved. */
export const MAX_UNSTORED_BYTES: number = 64 * 2 ** 30;

const HEADER_MAGIC = Uint8Array.of(0x89, 0x43, 0x4b, 0x50, 0x54, 0x0d, 0x0a, 0x1a);
const TRAILER_MAGIC = Uint8Array.of(0x89, 0x43, 0x4b, 0x50, 0x54, 0x45, 0x4e, 0x44);
const CHECKED_HEADER = 48;
const CHECKED_TRAILER = 96;

export interface Trailer {
  readonly manifestOffset: number;
  readonly manifestLength: number;
  readonly fileLength: number;
  readonly manifestHash: Uint8Array;
}

export function makeHeader(id: string, features = 0n): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(HEADER_MAGIC);
  view.setUint16(8, FORMAT_VERSION, true);
  view.setUint32(12, HEADER_BYTES, true);
  view.setBigUint64(16, features, true);
  bytes.set(Buffer.from(id, 'hex'), 24);
  bytes.set(hash(bytes.subarray(0, CHECKED_HEADER)).subarray(0, HEADER_BYTES - CHECKED_HEADER), CHECKED_HEADER);
  return bytes;
}

/**
 * @returns the image's id and the features that it requires, all of them known
 * @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT, ERR_CKPT_IMAGE_VERSION, ERR_CKPT_IMAGE_FEATURE
 */
export function parseHeader(bytes: Uint8Array, label: string): { readonly id: string; readonly features: bigint } {
  if (!sameBytes(bytes.subarray(0, 8), HEADER_MAGIC)) throw corrupt(label, 'header', 'expected the magic bytes of an image, found others');
  const checksum = hash(bytes.subarray(0, CHECKED_HEADER)).subarray(0, HEADER_BYTES - CHECKED_HEADER);
  if (!sameBytes(bytes.subarray(CHECKED_HEADER, HEADER_BYTES), checksum)) {
    throw corrupt(label, 'header', 'expected the checksum that it states, found another');
  }
  const view = viewOf(bytes);
  const version = view.getUint16(8, true);
  if (version > FORMAT_VERSION) {
    const message = `read image ${label}: expected format ${FORMAT_VERSION} or older, found ${version}; use a newer version of ckpt`;
    throw new CheckpointError('ERR_CKPT_IMAGE_VERSION', message, { path: label, section: 'header' });
  }
  const features = view.getBigUint64(16, true);
  const unknown = features & ~KNOWN_FEATURES;
  if (unknown !== 0n) {
    const message = `read image ${label}: it requires features 0x${unknown.toString(16)}, unknown to this version; use a newer version of ckpt`;
    throw new CheckpointError('ERR_CKPT_IMAGE_FEATURE', message, { path: label, section: 'header' });
  }
  const clean = version === FORMAT_VERSION && view.getUint16(10, true) === 0 && view.getUint32(12, true) === HEADER_BYTES;
  if (!clean || view.getBigUint64(40, true) !== 0n) throw corrupt(label, 'header', 'expected the fixed fields of format 1, found others');
  return { id: Buffer.from(bytes.subarray(24, 40)).toString('hex'), features };
}

export function makeTrailer(header: Uint8Array, trailer: Trailer): Uint8Array {
  const bytes = new Uint8Array(TRAILER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(TRAILER_MAGIC);
  view.setUint16(8, FORMAT_VERSION, true);
  view.setUint32(12, TRAILER_BYTES, true);
  view.setBigUint64(16, BigInt(trailer.manifestOffset), true);
  view.setBigUint64(24, BigInt(trailer.manifestLength), true);
  view.setBigUint64(32, BigInt(trailer.fileLength), true);
  bytes.set(header.subarray(24, 40), 40);
  bytes.set(trailer.manifestHash, 64);
  bytes.set(hashParts([header, bytes.subarray(0, CHECKED_TRAILER)]), CHECKED_TRAILER);
  return bytes;
}

/** @throws CheckpointError ERR_CKPT_IMAGE_INCOMPLETE, ERR_CKPT_IMAGE_CORRUPT, ERR_CKPT_IMAGE_LIMIT */
export function parseTrailer(bytes: Uint8Array, header: Uint8Array, size: number, label: string): Trailer {
  if (!sameBytes(bytes.subarray(0, 8), TRAILER_MAGIC)) {
    throw incomplete(label, 'trailer', 'expected a trailer at its end, found none: it was cut, added to, or never completed');
  }
  const checksum = hashParts([header, bytes.subarray(0, CHECKED_TRAILER)]);
  if (!sameBytes(bytes.subarray(CHECKED_TRAILER, TRAILER_BYTES), checksum)) {
    throw corrupt(label, 'trailer', 'expected the checksum that it states over header and trailer, found another');
  }
  const view = viewOf(bytes);
  const clean = view.getUint16(8, true) === FORMAT_VERSION && view.getUint16(10, true) === 0 && view.getUint32(12, true) === TRAILER_BYTES;
  const sameId = sameBytes(bytes.subarray(40, 56), header.subarray(24, 40));
  if (!clean || !sameId || view.getBigUint64(56, true) !== 0n)
    throw corrupt(label, 'trailer', 'expected the fixed fields of format 1, found others');
  const [manifestOffset, manifestLength, fileLength] = [16, 24, 32].map((at) => Number(view.getBigUint64(at, true)));
  if (manifestOffset === undefined || manifestLength === undefined || fileLength === undefined)
    throw new Error('trailer: three numbers were read');
  if (fileLength > size) throw incomplete(label, 'trailer', `expected ${fileLength} bytes, found ${size}`);
  if (fileLength < size) throw corrupt(label, 'trailer', `expected ${fileLength} bytes, found ${size}`);
  checkManifestPlace(manifestOffset, manifestLength, size, label);
  return { manifestOffset, manifestLength, fileLength, manifestHash: bytes.slice(64, 96) };
}

function checkManifestPlace(offset: number, length: number, size: number, label: string): void {
  if (length > MAX_MANIFEST_BYTES) {
    const message = `read image ${label}: its manifest states ${length} bytes, more than the ${MAX_MANIFEST_BYTES} a reader accepts`;
    throw new CheckpointError('ERR_CKPT_IMAGE_LIMIT', message, { path: label, section: 'manifest' });
  }
  const end = offset + length;
  const fits = offset >= HEADER_BYTES && offset % ALIGNMENT === 0 && roundUp(end, ALIGNMENT) === size - TRAILER_BYTES;
  if (!fits)
    throw corrupt(label, 'trailer', `expected the manifest right before the trailer, found it stated at ${offset} with ${length} bytes`);
}

export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
