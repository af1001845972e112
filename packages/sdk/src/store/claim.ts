/**
 * The claim of an epoch: waiting for a live owner or ending it, then the link that decides.
 *
 * Invariants
 * 1. The claim is the link of a complete, durable record; of two processes that try, one gets the number.
 * 2. A live owner is waited for, up to the limit, or ended after its identity was checked. Nobody else is signalled.
 * 3. Where this process cannot look at the owner, its heartbeat decides: it must stand still for the whole silence,
 *    by our monotonic clock.
 * 4. The owner recorded in a copy of a store is the original's business: ignored, never waited for, never ended.
 */
import { pause } from '../base/deadline.js';
import { CheckpointError, isCheckpointError } from '../base/errors.js';
import { newId } from '../base/ids.js';
import { livingChildren } from './children.js';
import { directoryIdentity, isCopied, type StoreContext } from './context.js';
import type { ClaimOptions, EpochRecord, OwnerIdentity } from './contract.js';
import { putRecord } from './durable.js';
import { type EpochIndex, putMark, readClaim, readEpochs, readHeartbeat } from './epochs.js';
import { quietly } from './failure.js';
import { epochPath } from './layout.js';
import { type RequestFile, requestFiles } from './leftovers.js';
import { describeOwner, endProcess, type Liveness, livenessOf } from './owner.js';

const POLL_MS = 100;
/** How long an ended owner may take to be gone. */
const END_MS = 10_000;

export interface Claimed {
  readonly record: EpochRecord;
  /** Request files that were there before the claim. */
  readonly stale: readonly RequestFile[];
  /** Last sign of life of the epoch before. */
  readonly previousSignOfLife: number | undefined;
}

/** What is watched of an owner that this process cannot look at. */
interface Watch {
  epoch: number;
  text: string;
  since: number;
}

/** What a claim says of itself, once its number is known. */
export type DescribeClaim = (epoch: number) => Promise<Partial<EpochRecord>>;

export async function claimEpoch(store: StoreContext, options: ClaimOptions, describe: DescribeClaim = async () => ({})): Promise<Claimed> {
  const incarnation = newId();
  const wait = new Wait(store, options);
  for (;;) {
    const index = await readEpochs(store);
    await wait.untilFree(index);
    // Read before the link: nothing may fail between the link and its use.
    const previousSignOfLife = await signOfLife(store, index);
    const stale = await requestFiles(store);
    const record: EpochRecord = {
      epoch: index.newest + 1,
      incarnation,
      owner: store.owner,
      command: options.command,
      claimedAt: store.clock.now(),
      directory: await directoryIdentity(store),
      ...(await describe(index.newest + 1)),
    };
    if (await linkClaim(store, record)) return { record, stale, previousSignOfLife };
  }
}

/** @returns false when somebody else has the number */
async function linkClaim(store: StoreContext, record: EpochRecord): Promise<boolean> {
  try {
    return await putRecord(store, epochPath(store.paths, record.epoch, 'claim'), record);
  } catch (cause) {
    // Linked, but perhaps not durably, and so not used: it must not keep others waiting while this process lives.
    if (isCheckpointError(cause, 'ERR_CKPT_UNCERTAIN'))
      await quietly(() => putMark(store, record.epoch, 'closed', { epoch: record.epoch }));
    throw cause;
  }
}

/** The past is told as far as it can be read: a damaged record of an epoch that is over stops nobody. */
async function signOfLife(store: StoreContext, { newest }: EpochIndex): Promise<number | undefined> {
  if (newest === 0) return undefined;
  const record = await readClaim(store, newest).catch(() => undefined);
  const { at } = await readHeartbeat(store, newest);
  const latest = Math.max(record?.claimedAt ?? 0, at ?? 0);
  return latest === 0 ? undefined : latest;
}

/** The waiting of one claim; it goes on over lost races, so that the limit is one for all. */
class Wait {
  readonly #store: StoreContext;
  readonly #options: ClaimOptions;
  readonly #began: number;
  #told = false;
  #watch: Watch | undefined;

  constructor(store: StoreContext, options: ClaimOptions) {
    this.#store = store;
    this.#options = options;
    this.#began = store.clock.monotonic();
  }

  /** Resolves when the newest epoch has no live owner, and no process that such an owner has forked. @throws ERR_CKPT_LOCKED */
  async untilFree(index: EpochIndex): Promise<void> {
    const epoch = index.newest;
    if (epoch === 0) return;
    if (!index.has(epoch, 'closed')) await this.#untilOwnerGone(epoch);
    await this.#untilChildrenGone(epoch);
  }

  async #untilOwnerGone(epoch: number): Promise<void> {
    const record = await readClaim(this.#store, epoch);
    if (await this.#isForeign(record)) return;
    for (;;) {
      const liveness = await this.#judge(record);
      if (liveness === 'dead') return;
      if (this.#options.takeOver && liveness === 'alive' && (await this.#end(record))) return;
      if (this.#store.clock.monotonic() - this.#began >= this.#options.waitMs) throw this.#locked(record, liveness);
      if (!this.#told) this.#options.onWaiting?.(record);
      this.#told = true;
      await pause(this.#store.clock, POLL_MS);
      const now = await readEpochs(this.#store);
      // Closed, or taken by somebody faster: the next claim starts from what is there then.
      if (now.newest !== epoch || now.has(epoch, 'closed')) return;
    }
  }

  /** Children end themselves when their parent is gone; one that is stopped cannot, and would write when it wakes up. */
  async #untilChildrenGone(epoch: number): Promise<void> {
    for (;;) {
      const [child] = await livingChildren(this.#store);
      if (child === undefined) return;
      const record = await readClaim(this.#store, epoch);
      if (isCopied(record.directory, await directoryIdentity(this.#store))) return; // the original's
      if (this.#options.takeOver && (await this.#end({ owner: child }))) continue;
      if (this.#store.clock.monotonic() - this.#began >= this.#options.waitMs) throw this.#lockedByChild(record, child);
      await pause(this.#store.clock, POLL_MS / 10);
    }
  }

  async #isForeign(record: EpochRecord): Promise<boolean> {
    const now = await directoryIdentity(this.#store);
    if (!isCopied(record.directory, now)) return false;
    this.#options.warn(
      `${this.#store.paths.root} is a copy of another store: its recorded owner (${describeOwner(record)}) belongs to the original and is ignored`,
    );
    return true;
  }

  async #judge(record: EpochRecord): Promise<Liveness> {
    const { clock, owner, silenceMs } = this.#store;
    const liveness = livenessOf(record.owner, owner);
    if (liveness !== 'unknown') return liveness;
    const { text } = await readHeartbeat(this.#store, record.epoch);
    const now = clock.monotonic();
    if (this.#watch?.epoch !== record.epoch || this.#watch.text !== text) this.#watch = { epoch: record.epoch, text, since: now };
    return now - this.#watch.since >= silenceMs ? 'dead' : 'unknown';
  }

  /** Ends the owner and waits until it is gone. @returns false when it may not or cannot be ended */
  async #end({ owner }: Pick<EpochRecord, 'owner'>): Promise<boolean> {
    const { clock } = this.#store;
    try {
      if (!endProcess(owner, this.#store.owner)) return livenessOf(owner, this.#store.owner) === 'dead';
    } catch {
      // Not permitted: it stays locked, with the owner named.
      return false;
    }
    const end = clock.monotonic() + END_MS;
    while (clock.monotonic() < end) {
      if (livenessOf(owner, this.#store.owner) === 'dead') return true;
      await pause(clock, POLL_MS / 10);
    }
    return false;
  }

  #locked(record: EpochRecord, liveness: Liveness): CheckpointError {
    const { silenceMs } = this.#store;
    const found =
      liveness === 'alive'
        ? `${describeOwner(record)}, alive; wait for it to end, stop it, or take the store over (ckpt restart --take-over, or CKPT_TAKE_OVER=1)`
        : `${describeOwner(record)}, which cannot be looked at from here; stop it, or wait longer than ${silenceMs / 1_000} s: ` +
          'when its heartbeat has stood still for that long, it counts as dead';
    return this.#refusal(`expected no live owner, found ${found}`, record);
  }

  #lockedByChild(record: EpochRecord, child: OwnerIdentity): CheckpointError {
    const found =
      `process ${child.pid} on ${child.host}, alive, which an owner before had forked and which may still write; ` +
      'wait for it to end, end it, or take the store over (ckpt restart --take-over, or CKPT_TAKE_OVER=1)';
    return this.#refusal(`expected nobody of the lives before, found ${found}`, { ...record, owner: child });
  }

  #refusal(why: string, owner: EpochRecord): CheckpointError {
    const { root } = this.#store.paths;
    return new CheckpointError('ERR_CKPT_LOCKED', `cannot claim ${root}: ${why}`, { path: root, phase: 'open', owner });
  }
}
