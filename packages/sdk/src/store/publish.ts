/**
 * The commit of one image. The order of the steps and the reason of each are in docs/commit-protocol.md.
 *
 * Invariants
 * 1. An image has its final name only when it is complete, durable and verified from the disk.
 * 2. It is acknowledged only when its directory entry, the mark of its epoch and its names are durable, and no newer
 *    epoch was claimed before the last of them.
 * 3. What was linked is not taken back, because another incarnation may have chosen it by then. Two exceptions that
 *    nobody can choose: an image that lacks a base, and one that a newer sealed epoch has not seen (late).
 * 4. A failure leaves no temporary file and changes no earlier image.
 */
import { CheckpointError, isCheckpointError } from '../base/errors.js';
import { isId, isImageName } from '../base/ids.js';
import type { BaseRecord, ImageRef, WrittenImage } from '../image/contract.js';
import { BusyTime } from './busy-time.js';
import { epochTemporary, type StoreContext } from './context.js';
import type { Published, PublishRequest } from './contract.js';
import { createDurable, linkOnce, syncFolder } from './durable.js';
import { type Fence, hasMark, putMark } from './epochs.js';
import { ifPresent, quietly, storeError } from './failure.js';
import { imagePath } from './layout.js';
import { isLate, listRefs, readHistory } from './lineage.js';
import { addName } from './names.js';
import { lookAtBase, verifyWritten } from './verified.js';

/** One epoch's way into the store; `marked` remembers that the epoch has its mark. */
export interface Commit {
  readonly store: StoreContext;
  readonly epoch: number;
  readonly fence: Fence;
  marked: boolean;
  sealed: boolean;
}

export async function publish(commit: Commit, request: PublishRequest): Promise<Published> {
  checkRequest(commit.epoch, request);
  try {
    await commit.fence.assert();
    await during('persist', () => assertReady(commit, request));
    return await commitImage(commit, request);
  } catch (cause) {
    throw await commit.fence.explain(cause);
  }
}

function checkRequest(epoch: number, { ref, names }: PublishRequest): void {
  const wrong = names.find((name) => !isImageName(name));
  if (wrong !== undefined) throw new TypeError(`publish: ${JSON.stringify(wrong)} cannot name an image`);
  if (!isId(ref.id) || ref.epoch !== epoch || !Number.isSafeInteger(ref.generation) || ref.generation < 1) {
    throw new TypeError(
      `publish: expected an image of epoch ${epoch} with an id and a generation of 1 or more, got ${JSON.stringify(ref)}`,
    );
  }
}

/** Only a sealed epoch's images are ever selected, and only a growing generation keeps their order. */
async function assertReady(commit: Commit, { ref }: PublishRequest): Promise<void> {
  const { store, epoch } = commit;
  commit.sealed ||= await hasMark(store, epoch, 'sealed');
  if (!commit.sealed || (await hasMark(store, epoch, 'void'))) {
    throw new CheckpointError(
      'ERR_CKPT_PHASE',
      `cannot publish an image of epoch ${epoch}: expected it to be sealed, found that it is not; seal it first`,
      {
        image: ref.id,
        phase: 'commit',
      },
    );
  }
  const newer = (await listRefs(store)).find((file) => file.epoch === epoch && file.generation >= ref.generation);
  if (newer !== undefined) {
    throw new TypeError(
      `publish: expected a generation above ${newer.generation}, which epoch ${epoch} has already, got ${ref.generation}`,
    );
  }
}

async function commitImage(commit: Commit, request: PublishRequest): Promise<Published> {
  const path = imagePath(commit.store.paths, request.ref);
  const written = await during('persist', () => placeImage(commit, request, path));
  await during('commit', () => acknowledge(commit, request, path, written));
  return { ...written, path };
}

async function acknowledge(commit: Commit, request: PublishRequest, path: string, written: WrittenImage): Promise<void> {
  const { store, epoch, fence } = commit;
  await syncFolder(store.fs, store.paths.images);
  await assertBases(store, path, written.manifest.bases);
  await fence.assert().catch((cause: unknown) => leaveFenced(commit, request, path, cause));
  if (!commit.marked) {
    await putMark(store, epoch, 'images', { epoch });
    commit.marked = true;
  }
  await giveNames(commit, request, path);
}

/** Tells a failure of the step of the checkpoint it happened in, whatever smaller step it was part of. */
async function during<T>(phase: 'persist' | 'commit', step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (!isCheckpointError(cause) || cause.phase === 'commit' || cause.phase === phase) throw cause;
    const { code, message, context } = cause;
    throw new CheckpointError(code, message, { ...context, phase, cause: cause.cause });
  }
}

/** Writes, verifies and links; afterwards the temporary file is gone either way. */
export async function placeImage(
  { store, epoch }: Pick<Commit, 'store' | 'epoch'>,
  { ref, write }: Pick<PublishRequest, 'ref' | 'write'>,
  path: string,
): Promise<Omit<Published, 'path'>> {
  const temporary = epochTemporary(store, epoch);
  const busy = new BusyTime(store.clock);
  const { result, size } = await createDurable(store.fs, temporary, write, busy);
  try {
    if (size !== result.size) {
      throw storeError('ERR_CKPT_IO', { operation: 'write', path: temporary, phase: 'persist' }, `${result.size} bytes`, `${size}`);
    }
    await verifyWritten(store, temporary, ref, result);
    await assertBases(store, temporary, result.manifest.bases);
    if (!(await linkOnce(store.fs, temporary, path))) {
      throw storeError('ERR_CKPT_IO', { operation: 'link', path, phase: 'commit' }, 'no file of that name', 'another image');
    }
    return { ...result, writeMs: busy.ms };
  } finally {
    await quietly(() => store.fs.unlink(temporary));
  }
}

/** An image whose base is gone or another restores nothing: it is not acknowledged, and not left for anyone to try. */
async function assertBases(store: StoreContext, path: string, bases: readonly BaseRecord[]): Promise<void> {
  for (const base of bases) {
    const file = imagePath(store.paths, base);
    const found = await lookAtBase(store, file, base);
    if (found === 'it') continue;
    await quietly(() => store.fs.unlink(path));
    throw new CheckpointError(
      'ERR_CKPT_BASE_MISSING',
      `cannot commit ${path}: expected its base ${file} as it was when it was built upon, found ${found}; the next image does without it`,
      {
        image: base.id,
        path: file,
        phase: 'commit',
      },
    );
  }
}

async function giveNames({ store, fence }: Commit, { ref, names }: PublishRequest, path: string): Promise<void> {
  if (names.length === 0) return fence.assert();
  const entries: string[] = [];
  for (const name of names) entries.push(await addName(store, name, ref));
  try {
    await fence.assert();
  } catch (cause) {
    if (isCheckpointError(cause, 'ERR_CKPT_FENCED')) await quietly(() => leaveNames(store, ref, path, entries));
    throw cause;
  }
}

/**
 * Whoever fenced us may have chosen the image by then, and its open gives it the names that the manifest has: they stay with
 * an image that can be seen, and go when it is gone or late.
 */
async function leaveNames(store: StoreContext, ref: ImageRef, path: string, entries: readonly string[]): Promise<void> {
  const seen = (await ifPresent(() => store.fs.lstat(path))) !== undefined && !isLate(await readHistory(store), ref);
  if (!seen) for (const entry of entries) await quietly(() => store.fs.unlink(entry));
}

/** Invariant 3: a fenced image goes only when it is certain that nobody chose it. */
async function leaveFenced({ store }: Commit, { ref }: PublishRequest, path: string, cause: unknown): Promise<never> {
  if (isCheckpointError(cause, 'ERR_CKPT_FENCED')) {
    await quietly(async () => {
      if (isLate(await readHistory(store), ref)) await store.fs.unlink(path);
    });
  }
  throw cause;
}
