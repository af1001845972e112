/**
 * Which images may go: retention after a commit, and removal by hand.
 *
 * Invariants
 * 1. Kept: the newest valid images of the lineage, as many as asked for. Until there are that many, nothing goes.
 * 2. Never deleted: what is named, pinned or leased, what the newest sealed epoch started from, and every base of
 *    an image that stays.
 * 3. When anything is unclear (a manifest that cannot be read, a listing without the images there must be), nothing
 *    is deleted.
 * 4. Only the newest epoch deletes; it looks again right before it does.
 */
import { someAtOnce } from '../base/at-once.js';
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import type { ImageRef } from '../image/contract.js';
import { directoryIdentity, isCopied, type KnownImage, type StoreContext } from './context.js';
import type { Retention } from './contract.js';
import { syncFolder } from './durable.js';
import { type EpochIndex, Fence, readClaim } from './epochs.js';
import { ifPresent, translated } from './failure.js';
import { BASE_LEASE, leasedImages, pinnedImages } from './leases.js';
import { type History, type ImageFile, listImages, readHistory, walkLineage } from './lineage.js';
import { namedImages, removeEntries, removeNamesOf } from './names.js';
import { livenessOf } from './owner.js';
import { knowImage } from './verified.js';

type Warn = (message: string) => void;

/** Deletes what retention does not keep. @returns what was deleted */
export async function prune(store: StoreContext, { keep }: Retention, currentEpoch: number, warn: Warn): Promise<ImageRef[]> {
  if (!Number.isSafeInteger(keep) || keep < 1) throw new TypeError(`keep: expected a whole number of 1 or more, got ${String(keep)}`);
  const fence = new Fence(store, currentEpoch);
  await fence.assert();
  const files = await listImages(store);
  const history = await readHistory(store);
  const { candidates, acknowledged } = walkLineage(history, files);
  if (candidates.length === 0) {
    if (acknowledged) warn(`pruned nothing in ${store.paths.root}: images were acknowledged, but none of them is to be seen`);
    return [];
  }
  const known = await knowAll(store, files, warn);
  if (known === undefined) return [];
  const kept = candidates.filter((file) => basesPresent(known, file)).slice(0, keep);
  if (kept.length < keep) return [];
  const stay = await protectedImages(store, history, files, known, kept);
  const victims = files.filter((file) => !stay.has(file.id));
  if (victims.length === 0) return [];
  await fence.assert();
  const leased = await leasedImages(store);
  return deleteImages(
    store,
    victims.filter((file) => !leased.has(file.id)),
  );
}

/** Every image's verified manifest, or undefined when one cannot be read (invariant 3). */
async function knowAll(store: StoreContext, files: readonly ImageFile[], warn: Warn): Promise<ReadonlyMap<string, KnownImage> | undefined> {
  try {
    return new Map(await someAtOnce(files, async (file) => [file.id, await knowImage(store, file)] as const));
  } catch (cause) {
    warn(`pruned nothing in ${store.paths.root}: ${messageOf(cause)}; once the image is whole or removed by its id, retention goes on`);
    return undefined;
  }
}

/** An image that lacks a base restores nothing and does not count as kept. */
function basesPresent(known: ReadonlyMap<string, KnownImage>, file: ImageFile): boolean {
  return known.get(file.id)?.bases.every((base) => known.has(base.id)) ?? false;
}

/** Ids of everything that stays (invariants 1, 2). */
async function protectedImages(
  store: StoreContext,
  history: History,
  files: readonly ImageFile[],
  known: ReadonlyMap<string, KnownImage>,
  kept: readonly ImageFile[],
): Promise<ReadonlySet<string>> {
  const stay = new Set(kept.map((file) => file.id));
  for (const id of await namedImages(store, history, files)) stay.add(id);
  for (const id of await pinnedImages(store)) stay.add(id);
  const leased = await leasedImages(store);
  for (const [id, purpose] of leased) if (purpose !== BASE_LEASE) stay.add(id);
  const source = history.newestSeal?.source;
  if (source?.kind === 'image') stay.add(source.id);
  // What lacks a base may become whole again, so the bases that it has stay too. What is older than all that is kept would go if
  // it were whole: it was a base itself, when its own bases were not needed any more.
  for (const file of files) if (!basesPresent(known, file) && !isOlder(file, kept)) stay.add(file.id);
  for (const id of [...stay]) for (const base of known.get(id)?.bases ?? []) stay.add(base.id);
  // Of these only the bytes that they hold themselves are needed.
  for (const id of leased.keys()) stay.add(id);
  return stay;
}

function isOlder(file: ImageFile, kept: readonly ImageFile[]): boolean {
  return kept.every(({ epoch, generation }) => file.epoch < epoch || (file.epoch === epoch && file.generation < generation));
}

async function deleteImages(store: StoreContext, victims: readonly ImageFile[]): Promise<ImageRef[]> {
  // Names first, as in removeImage: killed in between, an image without its old name is still found and deleted the next time.
  const going = new Set(victims.map((file) => `${file.epoch} ${file.generation}`));
  await removeEntries(store, (place) => going.has(`${place.epoch} ${place.generation}`));
  await someAtOnce(victims, ({ path }) =>
    translated({ operation: 'remove', path, phase: 'retention' }, () => ifPresent(() => store.fs.unlink(path))),
  );
  await syncFolder(store.fs, store.paths.images);
  return victims.map(({ id, epoch, generation }) => ({ id, epoch, generation }));
}

/** Removes one image and its names. @throws ERR_CKPT_PROTECTED, ERR_CKPT_NOT_FOUND */
export async function removeImage(store: StoreContext, image: ImageRef): Promise<void> {
  const files = await listImages(store);
  const file = files.find((entry) => entry.id === image.id);
  if (file === undefined) {
    throw new CheckpointError(
      'ERR_CKPT_NOT_FOUND',
      `cannot remove the image ${image.id}: expected it in ${store.paths.images}, found nothing`,
      {
        image: image.id,
        phase: 'retention',
      },
    );
  }
  const reason = await whyNeeded(store, file, files);
  if (reason !== undefined) {
    throw new CheckpointError(
      'ERR_CKPT_PROTECTED',
      `cannot remove ${file.path}: expected an image that nothing needs, found that ${reason}`,
      {
        image: file.id,
        path: file.path,
        phase: 'retention',
      },
    );
  }
  // Names first: a name must never outlive its image, an image may outlive its names.
  const sole = files.every((entry) => entry.id === file.id || entry.epoch !== file.epoch || entry.generation !== file.generation);
  if (sole) await removeNamesOf(store, file);
  await translated({ operation: 'remove', path: file.path, phase: 'retention' }, () => ifPresent(() => store.fs.unlink(file.path)));
  await syncFolder(store.fs, store.paths.images);
}

async function whyNeeded(store: StoreContext, file: ImageFile, files: readonly ImageFile[]): Promise<string | undefined> {
  const purpose = (await leasedImages(store)).get(file.id);
  if (purpose !== undefined) return `a living process holds it (${purpose}); wait for it to end`;
  if ((await pinnedImages(store)).has(file.id)) return 'it is pinned; take the pin away first';
  const history = await readHistory(store);
  const { index, newestSeal } = history;
  const { candidates } = walkLineage(history, files);
  if (candidates.length === 1 && candidates[0]?.id === file.id && (await isWhole(store, file)))
    return 'no start could go on without it: it is the last image of the lineage; to begin anew start the program with CKPT_RESTART=never, or delete the store';
  if (newestSeal?.source.kind === 'image' && newestSeal.source.id === file.id && (await isOwned(store, index))) {
    return 'the running program started from it; end the program first';
  }
  for (const other of files) {
    if (other.id !== file.id && (await isBaseOf(store, file, other))) return `${other.path} refers to its bytes; remove that image first`;
  }
  return undefined;
}

async function isOwned(store: StoreContext, { newest, has }: EpochIndex): Promise<boolean> {
  if (has(newest, 'closed')) return false;
  const record = await readClaim(store, newest);
  return !isCopied(record.directory, await directoryIdentity(store)) && livenessOf(record.owner, store.owner) !== 'dead';
}

async function isWhole(store: StoreContext, file: ImageFile): Promise<boolean> {
  return knowImage(store, file).then(
    () => true,
    () => false,
  );
}

/** A damaged image restores nothing and needs no base; one that cannot be read just now may. */
async function isBaseOf(store: StoreContext, file: ImageFile, other: ImageFile): Promise<boolean> {
  try {
    return (await knowImage(store, other)).bases.some((base) => base.id === file.id);
  } catch (cause) {
    if (isCheckpointError(cause, 'ERR_CKPT_IO')) throw cause;
    return false;
  }
}
