/**
 * What images a store holds: one line each, told from file names, name entries and manifests.
 *
 * Invariants
 * 1. A damaged image is listed, with its damage; it never hides the others.
 * 2. Only trailer and manifest are read here: `damage` undefined does not mean that the sections are intact.
 */
import { someAtOnce } from '../base/at-once.js';
import { CheckpointError, type ErrorCode, isCheckpointError } from '../base/errors.js';
import type { Manifest } from '../image/contract.js';
import { readManifest } from '../image/reader.js';
import type { ImageEntry, Store } from '../store/contract.js';
import { type LineageView, openStore, viewLineage } from './open-store.js';

/** Why an image cannot be used, as far as its trailer and manifest tell. */
export interface ListedDamage {
  readonly code: ErrorCode;
  readonly message: string;
}

/** One image of a listing. What only the manifest tells is undefined when that is damaged. */
export interface ListedImage {
  /** 32 hex digits. */
  readonly id: string;
  /** The first of `names`, or undefined. */
  readonly name: string | undefined;
  readonly names: readonly string[];
  readonly generation: number;
  readonly epoch: number;
  readonly path: string;
  /** Size of the file, bytes. */
  readonly size: number;
  /** Whether a restart may choose it by itself; otherwise it is on a branch and reached by name or id only. */
  readonly lineage: boolean;
  /** Whether the newest incarnation started from it. */
  readonly source: boolean;
  /** What a lease on it is for, while its holder lives: the image is not deleted until it is released. */
  readonly leased: string | undefined;
  /** Wall time of the capture, ms since 1970. */
  readonly createdAt: number | undefined;
  /** Id of the image before it on its lineage. */
  readonly parent: string | undefined;
  readonly finished: boolean;
  /** What asked for it: `call`, `signal`, `timer`, `request-file`, `finish`. */
  readonly reason: string | undefined;
  readonly damage: ListedDamage | undefined;
}

export interface ReadEntry {
  readonly manifest: Manifest;
  readonly manifestHash: string;
}

/** Reads the manifest of an image; rejects with the code that tells what is wrong with it. */
export async function readEntry(store: Store, entry: ImageEntry): Promise<ReadEntry> {
  const source = await store.openImage(entry);
  try {
    return await readManifest(source, entry);
  } finally {
    await source.close();
  }
}

export function describeImage(entry: ImageEntry, view: LineageView, manifest: Manifest | undefined, damage?: ListedDamage): ListedImage {
  const image = manifest?.image;
  return {
    id: entry.id,
    name: entry.names[0],
    names: entry.names,
    generation: entry.generation,
    epoch: entry.epoch,
    path: entry.path,
    size: entry.size,
    lineage: view.ids.has(entry.id),
    source: view.source === entry.id,
    leased: view.leased.get(entry.id),
    createdAt: image?.createdAt,
    parent: image?.parent?.id,
    finished: image?.finished ?? false,
    reason: image?.reason,
    damage,
  };
}

/** Reads one entry for a listing; a failure becomes its damage (invariant 1). */
async function listEntry(store: Store, entry: ImageEntry, view: LineageView): Promise<ListedImage> {
  try {
    const { manifest } = await readEntry(store, entry);
    return describeImage(entry, view, manifest);
  } catch (error) {
    if (!isCheckpointError(error)) throw error;
    return describeImage(entry, view, undefined, { code: error.code, message: error.message });
  }
}

/**
 * Every image of a store, newest first (by epoch and generation, never by a clock).
 * @param dir the store; default CKPT_DIR, else ./ckpt
 * @throws CheckpointError ERR_CKPT_NO_IMAGE (no store there), _IMAGE_MISSING (images were acknowledged, and none is there),
 *   _STORE_UNUSABLE, _STORE_UNSAFE, _IO
 */
export async function listImages(dir?: string): Promise<ListedImage[]> {
  const { store } = await openStore(dir, 'listImages');
  const view = await viewLineage(store);
  const listed = await someAtOnce(view.lineage.images.toReversed(), (entry) => listEntry(store, entry, view));
  if (listed.length === 0 && view.lineage.acknowledged) throw imagesMissing(store);
  return listed;
}

function imagesMissing({ location }: Store): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_IMAGE_MISSING',
    `list ${location}: images were acknowledged in this store, but none is found; is it mounted and complete? A start is refused ` +
      'until they are put back, or the program begins anew with CKPT_RESTART=never',
    { path: location },
  );
}

/** The image meant by a name or id, or the newest: on the lineage if there is one, else of all. */
export async function chooseEntry(store: Store, view: LineageView, nameOrId: string | undefined): Promise<ImageEntry> {
  if (nameOrId !== undefined && nameOrId !== 'latest') return store.resolve(nameOrId);
  const newest = view.lineage.candidates[0] ?? view.lineage.images.at(-1);
  if (newest !== undefined) return newest;
  throw new CheckpointError(
    'ERR_CKPT_NO_IMAGE',
    `the store ${store.location} holds no image yet: make one with ckpt create or checkpoint()`,
  );
}
