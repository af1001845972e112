/**
 * Image files outside a store: found, opened and checked.
 *
 * Invariants
 * 1. A file that somebody hands over is checked whole, every byte of it, before anything is made from it.
 * 2. Only a self-contained image is taken: one that needs bases is refused, with the remedy.
 */
import { sep } from 'node:path';
import { CheckpointError, systemCode } from '../base/errors.js';
import type { FileSystem } from '../base/ports.js';
import type { ByteSource, Manifest, OpenBase } from '../image/contract.js';
import { readManifest } from '../image/reader.js';
import { verifyImage } from '../image/verify.js';
import { storeFailure } from '../store/failure.js';
import { openSource } from '../store/source.js';

const SUFFIX = '.ckpt';

/** Whether `image` means a file and no image of a store: it has a path separator, or ends in .ckpt and such a file is there. */
export async function isImageFile(image: string, fs: FileSystem): Promise<boolean> {
  if (image.includes(sep) || image.includes('/')) return true;
  return image.endsWith(SUFFIX) && (await fs.realpath(image).catch(() => undefined)) !== undefined;
}

/** @throws CheckpointError ERR_CKPT_NOT_FOUND, _STORE_UNSAFE for anything but a regular file, _IO */
export async function openImageFile(path: string, fs: FileSystem): Promise<ByteSource> {
  const real = await fs.realpath(path).catch((cause: unknown) => {
    if (systemCode(cause) === 'ENOENT' || systemCode(cause) === 'ENOTDIR') return undefined;
    throw storeFailure(cause, { operation: 'open', path, phase: 'read' });
  });
  const source = real === undefined ? undefined : await openSource(fs, real);
  if (source !== undefined) return source;
  throw new CheckpointError('ERR_CKPT_NOT_FOUND', `cannot read the image file ${path}: expected a file, found nothing; look at the path`, {
    path,
    phase: 'read',
  });
}

/** Invariants 1, 2. @throws CheckpointError with the code of the first damage, ERR_CKPT_BASE_MISSING */
export async function checkImageFile(source: ByteSource, signal: AbortSignal | undefined): Promise<Manifest> {
  const { manifest } = await readManifest(source);
  const [base] = manifest.bases;
  if (base !== undefined) throw needsBase(source, base.id);
  const [damage] = await verifyImage(source, noBase, () => assertWanted(signal));
  if (damage === undefined) return manifest;
  throw new CheckpointError(damage.code, damage.message, { path: source.label, section: damage.section, phase: 'read' });
}

export const noBase: OpenBase = async (base) => {
  throw new CheckpointError('ERR_CKPT_BASE_MISSING', `base ${base.id} is not in the file`, { image: base.id, phase: 'read' });
};

function needsBase({ label }: ByteSource, base: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_BASE_MISSING',
    `cannot use the image file ${label}: expected everything in it, found that it needs the image ${base}; make one with ckpt export, where that image is`,
    { path: label, image: base, phase: 'read' },
  );
}

/** @throws CheckpointError ERR_CKPT_ABORTED */
export function assertWanted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new CheckpointError('ERR_CKPT_ABORTED', 'ended by the caller; nothing was made', { cause: signal.reason });
}
