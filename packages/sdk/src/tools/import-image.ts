/**
 * Taking an exported image into a store.
 *
 * Invariants
 * 1. The file is checked whole before anything is made, and each byte again on its way into the store.
 * 2. It goes into an empty directory or into the store of its own run, and nowhere else.
 */
import { resolve } from 'node:path';
import { CheckpointError, isCheckpointError, systemCode } from '../base/errors.js';
import type { FileSystem, Ports } from '../base/ports.js';
import { loadPorts } from '../base/system-ports.js';
import type { ByteSource, ImageRef, Manifest } from '../image/contract.js';
import { copyImage } from '../image/copy.js';
import { writeImage } from '../image/writer.js';
import type { AdoptRequest, Store } from '../store/contract.js';
import { openDirectoryStore } from '../store/directory.js';
import { storeFailure } from '../store/failure.js';
import { FOLDERS } from '../store/layout.js';
import { isAlive } from '../store/owner.js';

import { assertWanted, checkImageFile, noBase, openImageFile } from './image-file.js';
import { type ProgramOwner, storeDirectory } from './open-store.js';
import { checkPath, type ImportSettings, parseImportOptions } from './tool-options.js';
import { verifyEntry } from './verify-images.js';

/** Longer than a heartbeat must stand still. */
const SILENCE_MS = 70_000;

export interface ImportOptions {
  /** The store, which is made if need be; default CKPT_DIR, else ./ckpt. */
  readonly dir?: string;
  /** How long to wait for a program that still owns the store, ms; default 10,000. */
  readonly waitMs?: number;
  /** Told once when there is such a program. */
  readonly onWaiting?: (owner: ProgramOwner) => void;
  readonly onWarning?: (message: string) => void;
  readonly signal?: AbortSignal;
}

export interface ImportedImage extends ImageRef {
  readonly names: readonly string[];
  /** Path of the image in the store. */
  readonly path: string;
  /** Absolute path of the store. */
  readonly store: string;
  readonly app: string;
  /** The store had it already; nothing was changed. */
  readonly already: boolean;
}

/**
 * Checks an exported image and takes it into a store; the next start there continues from it.
 * @param file the exported image
 * @throws TypeError for a bad option; CheckpointError ERR_CKPT_NOT_FOUND (no such file), _IMAGE_CORRUPT and its kin,
 *   _BASE_MISSING (no export), _WRONG_RUN, _WRONG_APP, _STORE_UNUSABLE (a directory of something else), _LOCKED,
 *   _NO_SPACE, _IO, _ABORTED
 */
export async function importImage(file: string, options: ImportOptions = {}): Promise<ImportedImage> {
  checkPath(file, 'importImage', 'file');
  const settings = parseImportOptions(options, 'importImage');
  const root = storeDirectory(settings.dir, 'importImage');
  const ports = await loadPorts(undefined);
  return importInto(resolve(file), root, ports, { ...settings, takeOver: false }, options);
}

/** As importImage, with everything parsed. */
export async function importInto(
  file: string,
  root: string,
  ports: Ports,
  { waitMs, takeOver, signal }: Pick<ImportSettings, 'waitMs' | 'signal'> & { readonly takeOver: boolean },
  { onWaiting, onWarning }: Pick<ImportOptions, 'onWaiting' | 'onWarning'>,
): Promise<ImportedImage> {
  const source = await openImageFile(file, ports.fileSystem);
  try {
    const manifest = await checkImageFile(source, signal);
    const { id, epoch, generation, names } = manifest.image;
    const store = openDirectoryStore(root, ports);
    await assertTarget(store, ports.fileSystem, manifest);
    await assertWhole(store, manifest.image);
    const request = adoption(source, manifest, signal);
    const { path, already } = await store.adopt(request, {
      waitMs: (await mayLive(store)) ? waitMs : Math.max(waitMs, SILENCE_MS),
      takeOver,
      warn: (message) => onWarning?.(message),
      onWaiting: ({ owner: { pid, host } }) => onWaiting?.({ pid, host }),
    });
    return { id, epoch, generation, names, path, store: store.location, app: manifest.run.app.name, already };
  } finally {
    await source.close();
  }
}

function adoption(source: ByteSource, manifest: Manifest, signal: AbortSignal | undefined): AdoptRequest {
  const { image, run, provenance } = manifest;
  const { id, epoch, generation, names, parent, createdAt } = image;
  const { host, pid, startedAt } = provenance;
  return {
    ref: { id, epoch, generation },
    names,
    run,
    parent,
    createdAt,
    life: { host, pid, startedAt },
    write: async (sink) => {
      const copied = await copyImage(source, noBase, image);
      return writeImage(
        {
          write: async (chunk) => {
            assertWanted(signal);
            await sink.write(chunk);
          },
        },
        copied.input,
      );
    },
  };
}

/** Nothing there, or what an import that was killed early has left. */
async function isEmpty(fs: FileSystem, root: string): Promise<boolean> {
  try {
    const folders: readonly string[] = FOLDERS;
    return (await fs.readdir(root)).every((entry) => folders.includes(entry));
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return true;
    throw storeFailure(cause, { operation: 'use', path: root, phase: 'open' });
  }
}

/** Whether the owner is known to live. One that cannot be looked at is watched for as long as that takes. */
async function mayLive(store: Store): Promise<boolean> {
  const owner = await ifStore(() => store.owner());
  return owner !== undefined && isAlive(owner.record.owner);
}

/** Undefined where there is no store. */
async function ifStore<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (isCheckpointError(error, 'ERR_CKPT_NO_IMAGE') || isCheckpointError(error, 'ERR_CKPT_STORE_GONE')) return undefined;
    throw error;
  }
}

/** Invariant 2. @throws CheckpointError ERR_CKPT_WRONG_RUN, _WRONG_APP, _STORE_UNUSABLE */
export async function assertTarget(store: Store, fs: FileSystem, { run }: Manifest): Promise<void> {
  if (await isEmpty(fs, store.location)) return;
  const found = await ifStore(() => store.inspect());
  if (found?.id === run.id) return;
  const expected = `cannot import into ${store.location}: expected an empty directory or the store of run ${run.id} (${run.app.name})`;
  if (found === undefined) {
    throw new CheckpointError('ERR_CKPT_STORE_UNUSABLE', `${expected}, found other files; name another directory (--dir)`, {
      path: store.location,
      phase: 'open',
    });
  }
  const code = found.app.name === run.app.name ? 'ERR_CKPT_WRONG_RUN' : 'ERR_CKPT_WRONG_APP';
  throw new CheckpointError(code, `${expected}, found that of run ${found.id} (${found.app.name}); name another directory (--dir)`, {
    path: store.location,
    phase: 'open',
  });
}

/** An image that is there already must be whole: nobody is told that it is there when it cannot be used. */
async function assertWhole(store: Store, { id, generation }: ImageRef): Promise<void> {
  const there = (await ifStore(() => store.images()))?.find((entry) => entry.id === id);
  if (there === undefined) return;
  const [damage] = await verifyEntry(store, there, () => {});
  if (damage === undefined) return;
  throw new CheckpointError(
    damage.code,
    `cannot import the image ${id} (generation ${generation}): expected nothing of it in the store, or all of it, found it damaged: ${damage.message}; ` +
      `remove it first (ckpt remove ${id.slice(0, 8)})`,
    { image: id, path: there.path, section: damage.section, phase: 'open' },
  );
}
