/**
 * Checking images whole: every byte of them and of their bases.
 *
 * Invariants
 * 1. Each image is checked on its own; damage in one does not end the check of the others.
 * 2. A damage always names the part that is damaged.
 */
import { CheckpointError, type ErrorCode, isCheckpointError } from '../base/errors.js';
import type { OpenBase } from '../image/contract.js';
import { verifyImage as verifyBytes } from '../image/verify.js';
import type { ImageEntry, Store } from '../store/contract.js';
import { openStore } from './open-store.js';
import { checkNameOrId, checkVerifyOptions } from './tool-options.js';

/** One thing found wrong. */
export interface FoundDamage {
  /** The damaged part: a section's or buffer's name, `header`, `manifest`, … */
  readonly section: string;
  readonly code: ErrorCode;
  readonly message: string;
}

export interface VerifiedImage {
  readonly id: string;
  readonly names: readonly string[];
  readonly generation: number;
  readonly epoch: number;
  readonly path: string;
  /** Size of the file, bytes. */
  readonly size: number;
  /** Empty when every byte is as it was written. */
  readonly damages: readonly FoundDamage[];
}

export interface VerifyProgress {
  /** Id of the image under way. */
  readonly image: string;
  /** Position of the image among those to be checked, from 0, and their number. */
  readonly index: number;
  readonly count: number;
  /** Bytes of this image checked so far, and in all. */
  readonly done: number;
  readonly total: number;
}

export interface VerifyOptions {
  readonly onProgress?: (progress: VerifyProgress) => void;
  /** Ends the check, at the next piece. */
  readonly signal?: AbortSignal;
}

/** Opens a base of an image of the same store; every way in which it is not there has one code. */
export function baseOpener(store: Store): OpenBase {
  return async (base) => {
    try {
      return await store.openImage(base);
    } catch (cause) {
      if (!isCheckpointError(cause, 'ERR_CKPT_NOT_FOUND')) throw cause;
      throw new CheckpointError(
        'ERR_CKPT_BASE_MISSING',
        `base ${base.id} (generation ${base.generation}) is not in the store ${store.location}`,
        {
          cause,
          image: base.id,
        },
      );
    }
  };
}

/** Checks one image; a refusal of the whole image (version, feature) is told as a damage of its manifest. */
export async function verifyEntry(
  store: Store,
  entry: ImageEntry,
  onProgress: (done: number, total: number) => void,
): Promise<FoundDamage[]> {
  try {
    const source = await store.openImage(entry);
    try {
      return await verifyBytes(source, baseOpener(store), onProgress, entry);
    } finally {
      await source.close();
    }
  } catch (error) {
    if (!isCheckpointError(error) || error.code === 'ERR_CKPT_ABORTED') throw error;
    return [{ section: error.context.section ?? 'manifest', code: error.code, message: error.message }];
  }
}

/**
 * Checks images whole, oldest first, with bounded memory.
 * @param dir the store; default CKPT_DIR, else ./ckpt
 * @param nameOrId a name, an id or at least six digits of one; default: every image of the store
 * @throws CheckpointError ERR_CKPT_NOT_FOUND, _NO_IMAGE (no store there), _ABORTED, _IO. Damage is a result, not an error.
 */
export async function verifyImage(dir?: string, nameOrId?: string, options: VerifyOptions = {}): Promise<VerifiedImage[]> {
  checkNameOrId(nameOrId, 'verifyImage');
  checkVerifyOptions(options, 'verifyImage');
  const { store } = await openStore(dir, 'verifyImage');
  const entries = nameOrId === undefined ? await store.images() : [await store.resolve(nameOrId)];
  const verified: VerifiedImage[] = [];
  for (const [index, entry] of entries.entries()) {
    const count = entries.length;
    assertWanted(options.signal, index, count);
    const damages = await verifyEntry(store, entry, (done, total) => {
      assertWanted(options.signal, index, count);
      options.onProgress?.({ image: entry.id, index, count, done, total });
    });
    const { id, names, generation, epoch, path, size } = entry;
    verified.push({ id, names, generation, epoch, path, size, damages });
  }
  return verified;
}

function assertWanted(signal: AbortSignal | undefined, index: number, count: number): void {
  if (signal?.aborted !== true) return;
  throw new CheckpointError('ERR_CKPT_ABORTED', `verify was ended by the caller at image ${index + 1} of ${count}`, {
    cause: signal.reason,
  });
}
