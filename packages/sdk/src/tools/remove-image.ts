/**
 * Removing an image by hand.
 *
 * Invariant: an image is removed only as a whole, with its names, and only when nothing needs it; the store decides.
 */
import type { ImageRef } from '../image/contract.js';
import { openStore } from './open-store.js';
import { checkNameOrId } from './tool-options.js';

export interface RemovedImage extends ImageRef {
  /** The names that went with it. */
  readonly names: readonly string[];
  /** Bytes set free. */
  readonly size: number;
}

/**
 * Removes one image with its names. Damaged images can be removed too.
 * @param dir the store; undefined: CKPT_DIR, else ./ckpt
 * @param nameOrId a name, an id or at least six digits of one
 * @throws CheckpointError ERR_CKPT_NOT_FOUND, _PROTECTED (still needed), _NO_IMAGE (no store there), _IO
 */
export async function removeImage(dir: string | undefined, nameOrId: string): Promise<RemovedImage> {
  if (nameOrId === undefined) throw new TypeError('removeImage: nameOrId: expected a name or an id, got nothing');
  checkNameOrId(nameOrId, 'removeImage');
  const { store } = await openStore(dir, 'removeImage');
  const { id, epoch, generation, names, size } = await store.resolve(nameOrId);
  await store.remove({ id, epoch, generation });
  return { id, epoch, generation, names, size };
}
