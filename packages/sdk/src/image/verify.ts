/**
 * Checking an image without keeping it: all damages, in bounded memory.
 *
 * Invariants
 * 1. A damage does not end the check unless nothing after it can be understood.
 * 2. At most two pieces are in memory at a time, and what one extent was compressed from.
 * 3. A newer version, an unknown feature or a failing disk is no damage: it is thrown.
 */
import { type CheckpointError, isCheckpointError } from '../base/errors.js';
import { arrange, namedRecords } from './arrangement.js';
import { openBases } from './bases.js';
import type { ByteSource, Damage, ImageRef, OpenBase } from './contract.js';
import { corrupt } from './damage.js';
import { type OpenedImage, openImage } from './open.js';
import type { Holding, PagedRecord } from './page-pieces.js';
import { findHoldings, readPaged } from './paged.js';
import { damagedExtent, type Piece, piecesOf, readPieces, Scratch, settle } from './pieces.js';
import { chain, damageText, requireZero } from './reader.js';

type Progress = (done: number, total: number) => void;

/** @param onProgress bytes of extents checked so far, and in all */
export async function verifyImage(source: ByteSource, openBase: OpenBase, onProgress?: Progress, expect?: ImageRef): Promise<Damage[]> {
  const damages = new Damages();
  await damages.during(async () => {
    const image = await openImage(source, expect);
    const gaps = arrange(image.manifest, image.trailer, source.label);
    for (const gap of gaps) await damages.during(() => requireZero(source, gap));
    await checkExtents(image, openBase, damages, onProgress);
  });
  return damages.found;
}

async function checkExtents(image: OpenedImage, openBase: OpenBase, damages: Damages, onProgress: Progress | undefined): Promise<void> {
  const { source } = image;
  const records = namedRecords(image.manifest);
  const bases = await openBases(image, openBase).catch((error: unknown) => {
    damages.add(error);
    return undefined;
  });
  const pieces: Piece[] = [];
  const paged: PagedRecord[] = [];
  await damages.during(async () => void paged.push(...(await readPaged(image))));
  const holdings: Holding[] = [];
  await damages.during(async () => void holdings.push(...(await findHoldings(image, paged, bases))));
  // Without its bases the image's own bytes are still checked.
  for (const piece of chain(piecesOf(records), holdings)) if (piece.base === undefined || bases !== undefined) pieces.push(piece);
  const total = pieces.reduce((sum, { length }) => sum + length, 0);
  let done = 0;
  const step = (piece: Piece): void => {
    done += piece.length;
    onProgress?.(done, total);
  };
  const scratch = new Scratch();
  try {
    await readPieces(pieces, {
      sourceOf: ({ base }) => (base === undefined ? source : (bases?.images[base]?.source ?? source)),
      target: ({ length }) => scratch.take(length),
      done: (piece, bytes) => {
        const found = damagedExtent(piece, bytes);
        const name = records[piece.record]?.name ?? '';
        if (found !== undefined) damages.add(corrupt(source.label, name, damageText(found)));
        else if (piece.compressed !== undefined) damages.try(() => tryOut(piece, bytes, source.label, name));
        step(piece);
      },
      failed: (piece, error) => {
        damages.add(error);
        step(piece);
      },
    });
  } finally {
    await bases?.close();
  }
}

/** Its bytes are those that were written; whether they are what a reader takes shows only when they are decompressed. */
function tryOut(piece: Piece, bytes: Uint8Array, label: string, name: string): void {
  settle({ ...piece, offset: 0 }, bytes, new ArrayBuffer(piece.compressed?.length ?? 0), label, name);
}

const CODES: readonly Damage['code'][] = [
  'ERR_CKPT_IMAGE_CORRUPT',
  'ERR_CKPT_IMAGE_INCOMPLETE',
  'ERR_CKPT_BASE_MISSING',
  'ERR_CKPT_IMAGE_LIMIT',
];

class Damages {
  readonly found: Damage[] = [];

  /** Keeps a damage, once for each part of the image; throws what is none (invariant 3). */
  add(error: unknown): void {
    const code = isCheckpointError(error) ? CODES.find((known) => known === error.code) : undefined;
    if (code === undefined) throw error;
    // `code` is found only for a CheckpointError.
    const { message, context } = error as CheckpointError;
    const section = context.section ?? (code === 'ERR_CKPT_BASE_MISSING' ? `base ${context.image ?? ''}` : 'manifest');
    if (!this.found.some((known) => known.section === section && known.code === code)) this.found.push({ section, code, message });
  }

  try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.add(error);
    }
  }

  async during(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.add(error);
    }
  }
}
