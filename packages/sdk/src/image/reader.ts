/// <reference lib="es2024.arraybuffer" />
/// <reference lib="es2024.sharedmemory" />
/**
 * Reading an image whole: verified on the way into the memory that is handed out.
 *
 * Invariants
 * 1. Nothing is allocated before the manifest is verified and what it claims is backed by stored bytes or limits.
 *    What compressed extents stand for fits into the memory that there is.
 * 2. Every extent is read and hashed once; the first damage ends the reading and is named.
 * 3. Buffers come back as the kind they were; sections as plain bytes.
 */
import { totalmem } from 'node:os';
import { CheckpointError, messageOf } from '../base/errors.js';
import { arrange, type Gap, namedRecords } from './arrangement.js';
import { openBases } from './bases.js';
import type { BufferRecord, ByteSource, ImageContents, ImageRef, Manifest, OpenBase } from './contract.js';
import { corrupt } from './damage.js';
import { isZero } from './integrity.js';
import { type OpenedImage, openImage } from './open.js';
import { type Holding, pagePieces } from './page-pieces.js';
import { findHoldings, readPaged } from './paged.js';
import { damagedExtent, isWhole, type Piece, piecesOf, readPieces, Scratch, settle } from './pieces.js';

/**
 * @param expect what the image must be, when that is known from elsewhere
 * @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT, _INCOMPLETE, _VERSION, _FEATURE, _LIMIT
 */
export async function readManifest(source: ByteSource, expect?: ImageRef): Promise<{ manifest: Manifest; manifestHash: string }> {
  const image = await openImage(source, expect);
  arrange(image.manifest, image.trailer, source.label);
  return { manifest: image.manifest, manifestHash: image.manifestHash };
}

/**
 * `source` stays open; bases are closed.
 * @throws CheckpointError as readManifest, ERR_CKPT_BASE_MISSING, ERR_CKPT_MEMORY
 */
export async function readImage(source: ByteSource, openBase: OpenBase, expect?: ImageRef): Promise<ImageContents> {
  const image = await openImage(source, expect);
  const gaps = arrange(image.manifest, image.trailer, source.label);
  const bases = await openBases(image, openBase);
  try {
    for (const gap of gaps) await requireZero(source, gap);
    const holdings = await findHoldings(image, await readPaged(image), bases);
    requireMemory(image);
    const { sections, buffers } = allocate(image);
    const records = namedRecords(image.manifest);
    const memory: readonly ArrayBufferLike[] = [...sections.map((bytes) => bytes.buffer), ...buffers];
    const scratch = new Scratch();
    await readPieces(chain(piecesOf(records), holdings), {
      sourceOf: ({ base }) => (base === undefined ? source : (bases.images[base]?.source ?? source)),
      target: (piece) => {
        const target = memory[piece.record] ?? new ArrayBuffer(0);
        return isWhole(piece) ? new Uint8Array(target, piece.offset, piece.length) : scratch.take(piece.length);
      },
      done: (piece, bytes) => {
        const found = damagedExtent(piece, bytes);
        if (found !== undefined) throw corrupt(source.label, records[piece.record]?.name ?? '', damageText(found));
        settle(piece, bytes, memory[piece.record] ?? new ArrayBuffer(0), source.label, records[piece.record]?.name ?? '');
      },
      failed: (_, error) => {
        throw error;
      },
    });
    return { manifest: image.manifest, manifestHash: image.manifestHash, sections, buffers };
  } finally {
    await bases.close();
  }
}

/** All pieces: what is stored from beginning to end, then the pages of each image that holds some. */
export function* chain(pieces: Iterable<Piece>, holdings: readonly Holding[]): Generator<Piece> {
  yield* pieces;
  for (const holding of holdings) yield* pagePieces(holding);
}

export function damageText({ offset, length }: { readonly offset: number; readonly length: number }): string {
  return `bytes ${offset} to ${offset + length} differ from what was written`;
}

/** @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT when the gap holds anything but zeros */
export async function requireZero(source: ByteSource, { start, end }: Gap): Promise<void> {
  const bytes = new Uint8Array(end - start);
  await source.read(bytes, start);
  if (!isZero(bytes)) throw corrupt(source.label, 'padding', `expected zeros from ${start} to ${end}, found something else`);
}

/** Zeros take no memory before they are written to, and the rest is no more than the files; what is decompressed is filled at once. */
function requireMemory({ manifest, source }: OpenedImage): void {
  let needed = 0;
  for (const { place, length } of manifest.sections.flatMap(({ extents }) => extents)) if (place.at === 'compressed') needed += length;
  const limit = process.constrainedMemory();
  const there = limit === undefined || limit === 0 ? totalmem() : Math.min(limit, totalmem());
  if (needed <= there) return;
  const message = `read image ${source.label}: it is compressed and stands for ${needed} bytes, more than the ${there} bytes of memory that there are; read it on a larger machine`;
  throw new CheckpointError('ERR_CKPT_MEMORY', message, { path: source.label, phase: 'read' });
}

function allocate({ manifest, source }: OpenedImage): { sections: Uint8Array[]; buffers: ArrayBufferLike[] } {
  return allocating(source.label, () => ({
    sections: manifest.sections.map(({ length }) => new Uint8Array(length)),
    buffers: manifest.buffers.map(makeBuffer),
  }));
}

/** @throws CheckpointError ERR_CKPT_MEMORY */
export function allocating<T>(label: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = `read image ${label}: not enough memory for its sections and buffers (${messageOf(error)}); give the process more memory`;
    throw new CheckpointError('ERR_CKPT_MEMORY', message, { path: label, cause: error, phase: 'read' });
  }
}

export function makeBuffer({ kind, length, maxLength }: BufferRecord): ArrayBufferLike {
  const options = maxLength === undefined ? undefined : { maxByteLength: maxLength };
  return kind === 'ArrayBuffer' ? new ArrayBuffer(length, options) : new SharedArrayBuffer(length, options);
}
