/**
 * One image opened for reading, wherever it lies: in a store, by name or id, or in a file of its own.
 *
 * Invariants
 * 1. Nothing is created; a file that needs bases is read only as far as it needs none.
 */
import { loadPorts } from '../base/system-ports.js';
import { type LazyImage, openLazily } from '../image/lazy.js';
import { isImageFile, noBase, openImageFile } from './image-file.js';
import { chooseEntry } from './inventory.js';
import { openStore, viewLineage } from './open-store.js';
import { checkNameOrId } from './tool-options.js';
import { baseOpener } from './verify-images.js';

/** @throws CheckpointError ERR_CKPT_NOT_FOUND, _NO_IMAGE, _STORE_UNSAFE, _IMAGE_CORRUPT and its kin, _IO */
export async function openAnyImage(image: string | undefined, dir: string | undefined, call: string): Promise<LazyImage> {
  checkNameOrId(image, call);
  const { fileSystem } = await loadPorts(undefined);
  if (image !== undefined && (await isImageFile(image, fileSystem))) return openLazily(await openImageFile(image, fileSystem), noBase);
  const { store } = await openStore(dir, call);
  const entry = await chooseEntry(store, await viewLineage(store), image);
  return openLazily(await store.openImage(entry), baseOpener(store), entry);
}
