/**
 * Opening an image: header, trailer and manifest, each verified before the next is believed.
 *
 * Invariants
 * 1. The manifest's bytes are hashed before they are parsed.
 * 2. An image that is not the expected one is damaged: it was put in another's place.
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

/** @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT, _INCOMPLETE, _VERSION, _FEATURE, _LIMIT */
export async function openImage(source: ByteSource, expect?: ImageRef): Promise<OpenedImage> {
  const { label, size } = source;
  const header = new Uint8Array(HEADER_BYTES);
  if (size < HEADER_BYTES) throw incomplete(label, 'header', `expected at least ${HEADER_BYTES} bytes, found ${size}`);
  await source.read(header, 0);
  const { id, features } = parseHeader(header, label);
  if (size < HEADER_BYTES + TRAILER_BYTES) throw incomplete(label, 'trailer', `expected header and trailer, found ${size} bytes`);
  const trailerBytes = new Uint8Array(TRAILER_BYTES);
  await source.read(trailerBytes, size - TRAILER_BYTES);
  const trailer = parseTrailer(trailerBytes, header, size, label);
  const bytes = new Uint8Array(trailer.manifestLength);
  await source.read(bytes, trailer.manifestOffset);
  const found = hash(bytes);
  if (!sameBytes(found, trailer.manifestHash)) throw corrupt(label, 'manifest', 'expected the hash that the trailer states, found another');
  const manifest = decodeManifest(bytes, label);
  if (manifest.image.id !== id) throw corrupt(label, 'manifest', `expected the header's id ${id}, found ${manifest.image.id}`);
  const paged = manifest.buffers.some(({ pages }) => pages !== undefined);
  if (paged !== ((features & FEATURE.pages) !== 0n))
    throw corrupt(label, 'manifest', `expected ${paged ? 'the feature bit of' : ''} buffers that are stored page by page, found none`);
  if (expect !== undefined) refuseOther(manifest, expect, label);
  return { source, manifest, manifestHash: hex(found), trailer };
}

function refuseOther({ image }: Manifest, expect: ImageRef, label: string): void {
  for (const key of ['id', 'epoch', 'generation'] as const) {
    if (image[key] === expect[key]) continue;
    throw corrupt(label, 'manifest', `expected ${key} ${expect[key]}, found ${image[key]}: another image was put in its place`);
  }
}
