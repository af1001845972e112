/**
 * Opening an image: header, trailer and manifest, each verified before the next is believed.
 *
 * Invariants
 * 1. The manifest's bytes are hashed before they are parsed.
 * 2. What is at the end is read at once, because a listing reads thousands of them.
 * 3. An image that is not the expected one is damaged: it was put in another's place.
 */
import type { ByteSource, ImageRef, Manifest } from './contract.js';
import { corrupt, incomplete } from './damage.js';
import { FEATURE, HEADER_BYTES, parseHeader, parseTrailer, TRAILER_BYTES, type Trailer } from './format.js';
import { hash, hex, sameBytes } from './integrity.js';
import { decodeManifest } from './manifest-read.js';

export interface OpenedImage {
  readonly source: ByteSource;
  readonly manifest: Manifest;
  readonly manifestHash: string;
  readonly trailer: Trailer;
}

/** Trailer and manifest of most images; all of a small one. */
const TAIL_BYTES: number = 16 * 2 ** 10;

/** @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT, _INCOMPLETE, _VERSION, _FEATURE, _LIMIT */
export async function openImage(source: ByteSource, expect?: ImageRef): Promise<OpenedImage> {
  const { label, size } = source;
  if (size < HEADER_BYTES) throw incomplete(label, 'header', `expected at least ${HEADER_BYTES} bytes, found ${size}`);
  const tail = new Uint8Array(Math.min(size, TAIL_BYTES));
  const tailOffset = size - tail.length;
  const header = new Uint8Array(HEADER_BYTES);
  if (tailOffset > 0) await source.read(header, 0);
  await source.read(tail, tailOffset);
  if (tailOffset === 0) header.set(tail.subarray(0, HEADER_BYTES));
  const { id, features } = parseHeader(header, label);
  if (size < HEADER_BYTES + TRAILER_BYTES) throw incomplete(label, 'trailer', `expected header and trailer, found ${size} bytes`);
  const trailer = parseTrailer(tail.subarray(-TRAILER_BYTES), header, size, label);
  const { manifestOffset, manifestLength } = trailer;
  const inTail = manifestOffset >= tailOffset;
  const bytes = inTail
    ? tail.subarray(manifestOffset - tailOffset, manifestOffset - tailOffset + manifestLength)
    : new Uint8Array(manifestLength);
  if (!inTail) await source.read(bytes, manifestOffset);
  const found = hash(bytes);
  if (!sameBytes(found, trailer.manifestHash)) throw corrupt(label, 'manifest', 'expected the hash that the trailer states, found another');
  const manifest = decodeManifest(bytes, label);
  if (manifest.image.id !== id) throw corrupt(label, 'manifest', `expected the header's id ${id}, found ${manifest.image.id}`);
  const paged = manifest.buffers.some(({ pages }) => pages !== undefined);
  if (paged !== ((features & FEATURE.pages) !== 0n))
    throw corrupt(label, 'manifest', `expected ${paged ? 'the feature bit of' : ''} buffers that are stored page by page, found none`);
  for (const { place } of manifest.sections.flatMap(({ extents }) => extents))
    if (place.at === 'compressed' && (features & FEATURE[place.method]) === 0n)
      throw corrupt(label, 'manifest', `expected the feature bit of ${place.method}, by which it is compressed, found none`);
  if (expect !== undefined) refuseOther(manifest, expect, label);
  return { source, manifest, manifestHash: hex(found), trailer };
}

function refuseOther({ image }: Manifest, expect: ImageRef, label: string): void {
  for (const key of ['id', 'epoch', 'generation'] as const) {
    if (image[key] === expect[key]) continue;
    throw corrupt(label, 'manifest', `expected ${key} ${expect[key]}, found ${image[key]}: another image was put in its place`);
  }
}
