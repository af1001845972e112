/**
 * Epochs as files: `epochs/<n>.claim` and the marks beside it.
 *
 * Invariants
 * 1. Every claim but an import's has the number after the newest, and a claim is never removed: so the existence of the
 *    next claim is all that has to be asked to know whether an epoch is still the newest (adopt.ts leaves gaps only where
 *    nobody lives).
 * 2. A mark is a complete, durable record, written once; only the heartbeat is written in place.
 * 3. A sealed epoch that is void counts as unsealed.
 */
import { constants } from 'node:fs';
import { CheckpointError } from '../base/errors.js';
import type { FileStat } from '../base/ports.js';
import type { StoreContext } from './context.js';
import type { EpochRecord, Seal } from './contract.js';
import { NO_FOLLOW, putRecord } from './durable.js';
import { ifPresent, storeError, translated } from './failure.js';
import { type EpochMark, epochPath, parseEpochFile } from './layout.js';
import { CLAIM_LIMIT, type Heartbeat, parseClaim, parseHeartbeat, parseReady, parseSeal, RECORD_LIMIT, type Readiness } from './records.js';
import { readRecord } from './source.js';

export interface EpochIndex {
  /** The newest claimed epoch; 0 when none is. */
  readonly newest: number;
  has(epoch: number, mark: EpochMark): boolean;
  /** Sealed epochs that are not void, ascending. */
  sealed(): readonly number[];
}

export async function readEpochs(store: StoreContext): Promise<EpochIndex> {
  const { epochs } = store.paths;
  const files = await translated({ operation: 'list', path: epochs }, () => store.fs.readdir(epochs));
  const marks = new Map<number, Set<EpochMark>>();
  for (const file of files) {
    const found = parseEpochFile(file);
    if (found === undefined) continue;
    const known = marks.get(found.epoch) ?? new Set();
    marks.set(found.epoch, known.add(found.mark));
  }
  const has = (epoch: number, mark: EpochMark): boolean => marks.get(epoch)?.has(mark) ?? false;
  const numbers = [...marks.keys()].sort((a, b) => a - b);
  const newest = numbers.findLast((epoch) => has(epoch, 'claim')) ?? 0;
  return { newest, has, sealed: () => numbers.filter((epoch) => has(epoch, 'sealed') && !has(epoch, 'void')) };
}

async function need<T>(
  store: StoreContext,
  epoch: number,
  mark: EpochMark,
  limit: number,
  parse: (bytes: Uint8Array, path: string) => T,
): Promise<T> {
  const path = epochPath(store.paths, epoch, mark);
  const bytes = await readRecord(store.fs, path, limit);
  if (bytes === undefined) throw storeError('ERR_CKPT_STORE_GONE', { operation: 'read', path }, 'the record', 'nothing');
  return parse(bytes, path);
}

export function readClaim(store: StoreContext, epoch: number): Promise<EpochRecord> {
  return need(store, epoch, 'claim', CLAIM_LIMIT, (bytes, path) => parseClaim(bytes, path, epoch));
}

export async function readSeal(store: StoreContext, epoch: number): Promise<Seal> {
  const known = store.seals.get(epoch);
  if (known !== undefined) return known;
  const seal = await need(store, epoch, 'sealed', RECORD_LIMIT, (bytes, path) => parseSeal(bytes, path, epoch));
  store.seals.set(epoch, seal);
  return seal;
}

/** What the epoch's owner answers to, or undefined before it said so. */
export async function readReady(store: StoreContext, epoch: number): Promise<Readiness | undefined> {
  const path = epochPath(store.paths, epoch, 'ready');
  const bytes = await readRecord(store.fs, path, RECORD_LIMIT);
  return bytes === undefined ? undefined : parseReady(bytes, path);
}

/** Writes a mark durably. @returns false when it was there */
export function putMark(store: StoreContext, epoch: number, mark: EpochMark, record: object): Promise<boolean> {
  return putRecord(store, epochPath(store.paths, epoch, mark), record, epoch);
}

export async function hasMark(store: StoreContext, epoch: number, mark: EpochMark): Promise<boolean> {
  const path = epochPath(store.paths, epoch, mark);
  return (await translated({ operation: 'look at', path }, () => ifPresent(() => store.fs.lstat(path)))) !== undefined;
}

const HEARTBEAT_LENGTH = 64;

/** Writes a sign of life in place, at a fixed length so that a reader never sees two beats mixed. */
export async function writeHeartbeat(store: StoreContext, epoch: number, beat: Heartbeat): Promise<void> {
  const path = epochPath(store.paths, epoch, 'heartbeat');
  const bytes = Buffer.from(`${JSON.stringify(beat)}\n`.padStart(HEARTBEAT_LENGTH));
  await translated({ operation: 'write', path }, async () => {
    // Not blocking: a pipe planted in its place must not hold the start for ever.
    const file = await store.fs.open(path, constants.O_WRONLY | constants.O_CREAT | NO_FOLLOW | (constants.O_NONBLOCK ?? 0), 0o600);
    try {
      await file.write(bytes, 0, bytes.length, 0);
    } finally {
      await file.close();
    }
  });
}

/** The last sign of life: its text, by which a movement is seen, and its time where it can be read. */
export async function readHeartbeat(
  store: StoreContext,
  epoch: number,
): Promise<{ readonly text: string; readonly at: number | undefined }> {
  const bytes = (await readRecord(store.fs, epochPath(store.paths, epoch, 'heartbeat'), RECORD_LIMIT)) ?? new Uint8Array();
  return { text: Buffer.from(bytes).toString('utf8'), at: parseHeartbeat(bytes)?.at };
}

/**
 * Answers whether an epoch is still the newest. The claim is also known by its inode: a store that was deleted and
 * made anew has an epoch of that number too, but it is not ours.
 */
export class Fence {
  readonly #store: StoreContext;
  readonly #epoch: number;
  #claim: string | undefined;

  constructor(store: StoreContext, epoch: number) {
    this.#store = store;
    this.#epoch = epoch;
  }

  /** @throws ERR_CKPT_FENCED once a newer epoch is claimed, ERR_CKPT_STORE_GONE when our claim is not there */
  async assert(): Promise<void> {
    const own = await this.#look(this.#epoch);
    const identity = own && `${own.ino} ${own.mtimeMs}`;
    this.#claim ??= identity;
    if (identity === undefined || identity !== this.#claim) {
      const path = epochPath(this.#store.paths, this.#epoch, 'claim');
      throw storeError(
        'ERR_CKPT_STORE_GONE',
        { operation: 'find', path, phase: 'commit' },
        'our own claim',
        identity ? 'another one' : 'nothing',
      );
    }
    if ((await this.#look(this.#epoch + 1)) !== undefined) throw this.#fenced();
  }

  /** The failure that explains `cause`: once fenced or gone, that is what there is to say. */
  async explain(cause: unknown): Promise<unknown> {
    try {
      await this.assert();
      return cause;
    } catch (found) {
      if (!(found instanceof CheckpointError) || (found.code !== 'ERR_CKPT_FENCED' && found.code !== 'ERR_CKPT_STORE_GONE')) return cause;
      if (cause instanceof CheckpointError && cause.code === found.code) return cause;
      return new CheckpointError(found.code, found.message, { ...found.context, phase: 'commit', cause });
    }
  }

  #look(epoch: number): Promise<FileStat | undefined> {
    const path = epochPath(this.#store.paths, epoch, 'claim');
    return translated({ operation: 'look at', path, phase: 'commit' }, () => ifPresent(() => this.#store.fs.lstat(path)));
  }

  #fenced(): CheckpointError {
    const { root } = this.#store.paths;
    return new CheckpointError(
      'ERR_CKPT_FENCED',
      `cannot go on as epoch ${this.#epoch} of ${root}: expected it to be the newest, found epoch ${this.#epoch + 1} claimed; ` +
        'end this process, its successor has taken over',
      { path: root, phase: 'commit' },
    );
  }
}
