/**
 * Taking in an image of the same run that was made in another store.
 *
 * Invariants
 * 1. The import holds the store by a claim of its own while it works, so that no program runs beside it, and it never
 *    leaves the newest claim without an owner that a start waits for. Claims may have gaps below the newest one afterwards:
 *    no program lives there.
 * 2. The seal comes last: it is the instant at which a start may choose the image. Killed before, the next import of the
 *    image completes it.
 * 3. An epoch of this store takes only images of the life that it had; a run that went on in two places does not mix.
 */
import { CheckpointError } from '../base/errors.js';
import { isId } from '../base/ids.js';
import type { ByteSink, ImageRef } from '../image/contract.js';
import { claimEpoch } from './claim.js';
import { directoryIdentity, type StoreContext } from './context.js';
import type { Adopted, AdoptRequest, ClaimOptions, EpochRecord, ForeignLife, Seal, StartCommand } from './contract.js';
import { putRecord, syncFolder } from './durable.js';
import { type EpochIndex, Fence, putMark, readClaim, readEpochs, writeHeartbeat } from './epochs.js';
import { quietly } from './failure.js';
import { epochPath, imagePath } from './layout.js';
import { type ImageFile, listImages } from './lineage.js';
import { addName } from './names.js';
import { placeImage } from './publish.js';

type Options = Omit<ClaimOptions, 'command'>;

/** Numbers beyond this would leave no room for those that follow. */
const MOST = 10 ** 12;
const LONGEST_NAME = 4096;
const BEAT_MS = 1_000;

/** @throws CheckpointError ERR_CKPT_IMAGE_LIMIT, before anything is made */
export function checkAdoptable({ ref, run, life }: AdoptRequest): void {
  const inRange = [ref.epoch, ref.generation].every((number) => Number.isSafeInteger(number) && number >= 1 && number <= MOST);
  const short = run.app.name.length <= LONGEST_NAME && life.host.length <= LONGEST_NAME;
  if (inRange && short && isId(run.id)) return;
  throw new CheckpointError(
    'ERR_CKPT_IMAGE_LIMIT',
    `cannot take in the image ${ref.id}: expected an id of its run, an epoch and a generation from 1 to ${MOST}, and names of program and host up to ` +
      `${LONGEST_NAME} characters, found epoch ${ref.epoch}, generation ${ref.generation}; no program of ckpt wrote it`,
    { image: ref.id, section: 'manifest', phase: 'open' },
  );
}

export async function adoptImage(store: StoreContext, request: AdoptRequest, options: Options): Promise<Adopted> {
  const { ref } = request;
  const path = imagePath(store.paths, ref);
  const index = await readEpochs(store);
  const files = await listImages(store);
  await assertOwnBranch(store, index, files, request);
  const there = files.some(({ id }) => id === ref.id);
  if (there && index.has(ref.epoch, 'sealed') && index.has(ref.epoch, 'images')) return { path, already: true };
  const hold = await Hold.take(store, request, options);
  try {
    const frontier = Math.max(ref.generation - 1, ...files.filter(({ epoch }) => epoch < ref.epoch).map(({ generation }) => generation));
    if (!there) {
      await placeImage({ store, epoch: hold.epoch }, { ref, write: (sink) => request.write(hold.beating(sink)) }, path);
      await syncFolder(store.fs, store.paths.images);
    }
    await hold.fence.assert();
    await putMark(store, ref.epoch, 'images', { epoch: ref.epoch });
    for (const name of request.names) await addName(store, name, ref);
    await hold.fence.assert();
    if ((await readClaim(store, ref.epoch)).imported !== undefined) await putMark(store, ref.epoch, 'sealed', sealOf(request, frontier));
    return { path, already: false };
  } finally {
    await hold.release();
  }
}

/** What that life started from is not told by its image; its parent is, where that is of an earlier life. */
function sealOf({ ref: { epoch }, parent }: AdoptRequest, frontier: number): Seal {
  const earlier = parent !== null && parent.epoch >= 1 && parent.epoch < epoch;
  return { epoch, source: earlier ? { kind: 'image', ...parent } : { kind: 'fresh' }, frontier };
}

/** Invariant 3. */
async function assertOwnBranch(
  store: StoreContext,
  index: EpochIndex,
  files: readonly ImageFile[],
  { ref, life }: AdoptRequest,
): Promise<void> {
  const twin = files.find((file) => file.epoch === ref.epoch && file.generation === ref.generation && file.id !== ref.id);
  if (twin !== undefined) throw otherBranch(store, ref, `the image ${twin.id}, with the same epoch and generation`);
  if (!index.has(ref.epoch, 'claim')) return;
  const { imported, owner } = await readClaim(store, ref.epoch);
  const known: Partial<ForeignLife> | undefined = imported === undefined ? { host: owner.host, pid: owner.pid } : imported.life;
  const same =
    known === undefined ||
    (known.host === life.host && known.pid === life.pid && (known.startedAt === undefined || known.startedAt === life.startedAt));
  if (!same) throw otherBranch(store, ref, `that epoch ${ref.epoch} was process ${known.pid} on ${known.host}`);
}

function otherBranch({ paths }: StoreContext, ref: ImageRef, found: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_WRONG_RUN',
    `cannot take the image ${ref.id} into ${paths.root}: expected the run to have gone on in one place, found ${found}; take another directory`,
    { image: ref.id, path: paths.root, phase: 'open' },
  );
}

/** The claims of an import (invariant 1). */
class Hold {
  /** The newest claim. */
  readonly epoch: number;
  readonly fence: Fence;
  readonly #store: StoreContext;
  readonly #made: readonly number[];
  readonly #at: number;
  #beats = 0;
  #lastBeat: number;

  /** @param at the time that the claims state */
  private constructor(store: StoreContext, made: readonly number[], at: number) {
    this.#store = store;
    this.#made = made;
    this.#at = at;
    this.#lastBeat = store.clock.monotonic();
    this.epoch = Math.max(...made);
    this.fence = new Fence(store, this.epoch);
  }

  static async take(store: StoreContext, request: AdoptRequest, options: Options): Promise<Hold> {
    const { ref, life, createdAt } = request;
    const imported = { command: importCommand(), claimedAt: validTime(store, createdAt) };
    const describe = async (epoch: number): Promise<Partial<EpochRecord>> => {
      if (epoch === ref.epoch) return { ...imported, imported: { life } };
      if (epoch < ref.epoch) return { ...imported, imported: {} };
      // An older image comes back: the store remains what it was, and the program is started as before.
      const { command, imported: before } = await readClaim(store, epoch - 1);
      return { command, ...(before === undefined ? {} : { imported: {} }) };
    };
    const claimed = await claimEpoch(store, { ...options, command: imported.command }, describe);
    const { record } = claimed;
    const hold = new Hold(store, [record.epoch], imported.claimedAt);
    try {
      if ((await readEpochs(store)).has(ref.epoch, 'claim')) return hold;
      const own: EpochRecord = { ...record, ...imported, epoch: ref.epoch, directory: await directoryIdentity(store), imported: { life } };
      await hold.fence.assert();
      if (!(await putRecord(store, epochPath(store.paths, ref.epoch, 'claim'), own, record.epoch))) throw overtaken(store, ref);
      return new Hold(store, [record.epoch, ref.epoch], imported.claimedAt);
    } catch (cause) {
      await hold.release();
      throw cause;
    }
  }

  /** Those who cannot look at this process see by the count that it lives; the time stays, so that it is no sign of the program's life. */
  beating(sink: ByteSink): ByteSink {
    return {
      write: async (chunk) => {
        const now = this.#store.clock.monotonic();
        if (now - this.#lastBeat >= BEAT_MS) {
          this.#lastBeat = now;
          await writeHeartbeat(this.#store, this.epoch, { count: ++this.#beats, at: this.#at });
        }
        await sink.write(chunk);
      },
    };
  }

  /** The next claim need not wait. Left out by a kill, the end of this process says the same. */
  async release(): Promise<void> {
    for (const epoch of this.#made) await quietly(() => putMark(this.#store, epoch, 'closed', { epoch }));
  }
}

function overtaken({ paths }: StoreContext, ref: ImageRef): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_LOCKED',
    `cannot take the image ${ref.id} into ${paths.root}: expected to be alone there, found epoch ${ref.epoch} claimed meanwhile; try again`,
    { image: ref.id, path: paths.root, phase: 'open' },
  );
}

function importCommand(): StartCommand {
  return { cwd: process.cwd(), execPath: process.execPath, execArgv: [], argv: [] };
}

/** The last sign of life of the imported life is its image. */
function validTime({ clock }: StoreContext, time: number): number {
  return Number.isNaN(new Date(time).getTime()) ? clock.now() : time;
}
