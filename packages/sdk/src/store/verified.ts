/**
 * Reads the manifest of an image file, verified, and remembers what the store needs of it.
 *
 * Invariants
 * 1. What is remembered was read from a verified manifest of the file with that id and size.
 */
import { type ErrorCode, isCheckpointError } from '../base/errors.js';
import type { BaseRecord, ByteSource, ImageRef, WrittenImage } from '../image/contract.js';
import { readManifest } from '../image/reader.js';
import type { KnownImage, StoreContext } from './context.js';
import { quietly, storeError } from './failure.js';
import type { ImageFile } from './lineage.js';
import { openSource } from './source.js';

function remember(store: StoreContext, ref: ImageRef, size: number, names: readonly string[], bases: readonly BaseRecord[]): KnownImage {
  const known = { size, names, bases };
  store.known.set(ref.id, known);
  return known;
}

/** @throws ERR_CKPT_IMAGE_*, ERR_CKPT_IO; ERR_CKPT_STORE_GONE when the file is not there */
export async function knowImage(store: StoreContext, file: ImageFile): Promise<KnownImage> {
  const known = store.known.get(file.id);
  if (known !== undefined && known.size === file.size) return known;
  return reading(store, file.path, async (source) => {
    const { manifest } = await readManifest(source, { id: file.id, epoch: file.epoch, generation: file.generation });
    return remember(store, file, file.size, manifest.image.names, manifest.bases);
  });
}

/** Reads a just written file back and holds it against what its writer meant to write. */
export async function verifyWritten(store: StoreContext, path: string, ref: ImageRef, written: WrittenImage): Promise<void> {
  await reading(store, path, async (source) => {
    const { manifest, manifestHash } = await readManifest(source, ref);
    if (manifestHash !== written.manifestHash || source.size !== written.size) {
      const attempt = { operation: 'verify', path, phase: 'persist' } as const;
      throw storeError(
        'ERR_CKPT_IO',
        attempt,
        `manifest ${written.manifestHash} in ${written.size} bytes`,
        `${manifestHash} in ${source.size}`,
      );
    }
    remember(store, ref, source.size, manifest.image.names, manifest.bases);
  });
}

const DAMAGED: readonly ErrorCode[] = ['ERR_CKPT_IMAGE_CORRUPT', 'ERR_CKPT_IMAGE_INCOMPLETE', 'ERR_CKPT_STORE_UNSAFE'];

/** Whether a base is there with the manifest that pins it; its extents are not read. @throws ERR_CKPT_IO when it cannot be told */
export async function lookAtBase(
  store: StoreContext,
  path: string,
  base: BaseRecord,
): Promise<'it' | 'nothing' | 'another or a damaged one'> {
  try {
    const { manifestHash } = await reading(store, path, (source) => readManifest(source, base));
    return manifestHash === base.manifestHash ? 'it' : 'another or a damaged one';
  } catch (cause) {
    if (isCheckpointError(cause, 'ERR_CKPT_STORE_GONE')) return 'nothing';
    if (isCheckpointError(cause) && DAMAGED.includes(cause.code)) return 'another or a damaged one';
    throw cause;
  }
}

async function reading<T>(store: StoreContext, path: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  const source = await openSource(store.fs, path);
  if (source === undefined)
    throw storeError('ERR_CKPT_STORE_GONE', { operation: 'read', path, phase: 'read' }, 'the image file', 'nothing');
  try {
    return await use(source);
  } finally {
    await quietly(() => source.close());
  }
}
