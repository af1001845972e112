/**
 * The contract of a store: where one run's images live, and who may write them.
 *
 * Invariants
 * 1. One live incarnation per store. Claiming an epoch fences every life before it, for ever.
 * 2. An image becomes restorable at one instant (commit) or not at all; images are immutable.
 * 3. Selection follows the lineage: a fenced incarnation's late image and a sibling branch are never chosen by themselves.
 * 4. Nothing acknowledged is deleted except by retention or by name.
 * 5. Everything found in a store is untrusted input.
 */
import type { ByteSink, ByteSource, ImageRef, WrittenImage } from '../image/contract.js';

/** Who owns an incarnation; enough to tell without doubt whether that process still lives. */
export interface OwnerIdentity {
  readonly host: string;
  /** Kernel boot id, or a stand-in that changes with each boot. */
  readonly boot: string;
  /** Pid namespace, '' where there is none. */
  readonly pidNamespace: string;
  readonly pid: number;
  /** Process start time in the kernel's own units, as text; pids are reused, this pair is not. */
  readonly startTime: string;
}

/** How to start the program again. */
export interface StartCommand {
  readonly cwd: string;
  readonly execPath: string;
  readonly execArgv: readonly string[];
  readonly argv: readonly string[];
}

/** The record of a claimed epoch: complete and durable before it is linked. */
export interface EpochRecord {
  readonly epoch: number;
  readonly incarnation: string;
  readonly owner: OwnerIdentity;
  readonly command: StartCommand;
  /** Wall time of the claim. */
  readonly claimedAt: number;
  /** Identity of the store directory as the owner saw it; a copied store is known by it. */
  readonly directory: { readonly dev: number; readonly ino: number; readonly birthtimeMs: number };
  /**
   * Set when no program of this store lived this epoch: an import made it. `life` is the one whose images it has; none
   * when it has none. The owner is then the import, and the command is not the program's.
   */
  readonly imported?: { readonly life?: ForeignLife };
}

/** A life of the run in another store, as its images tell. */
export interface ForeignLife {
  readonly host: string;
  readonly pid: number;
  /** Wall time at which it started. */
  readonly startedAt: number;
}

export interface RunRecord {
  readonly format: 1;
  readonly id: string;
  readonly app: { readonly name: string };
  readonly createdAt: number;
}

/** What an incarnation started from. */
export type SealSource = { readonly kind: 'fresh' } | ({ readonly kind: 'image' } & ImageRef);

export interface Seal {
  readonly epoch: number;
  readonly source: SealSource;
  /** Highest generation seen after the claim: a later image of an older epoch is a fenced life's. */
  readonly frontier: number;
}

/** An image file in the store, known from its file name alone. */
export interface ImageEntry extends ImageRef {
  readonly path: string;
  readonly size: number;
  readonly names: readonly string[];
}

/** The images of the lineage, newest first, and what is known about acknowledgements on it. */
export interface Lineage {
  readonly newestSeal: Seal | undefined;
  readonly candidates: readonly ImageEntry[];
  /** True when an epoch on the lineage is marked as having acknowledged images. */
  readonly acknowledged: boolean;
  /** Epochs newer than every candidate whose acknowledged images are all gone. */
  readonly lost: readonly number[];
  /** Every image of the store, oldest first, as `images()` tells them. */
  readonly images: readonly ImageEntry[];
}

export interface ClaimOptions {
  readonly command: StartCommand;
  /** How long to wait for a live owner, ms. */
  readonly waitMs: number;
  /** End a live owner (and its recorded children) after checking who they are. */
  readonly takeOver: boolean;
  readonly onWaiting?: (owner: EpochRecord) => void;
  readonly warn: (message: string) => void;
}

export interface PublishRequest {
  readonly ref: ImageRef;
  readonly names: readonly string[];
  /** Names that may move within this incarnation (`replace: true`) or from an earlier one. */
  readonly write: (sink: ByteSink) => Promise<WrittenImage>;
}

export interface Published extends WrittenImage {
  readonly path: string;
  /** What its writes and its sync took, where that is known. */
  readonly writeMs?: number;
}

/** An image of the same run that was made elsewhere. */
export interface AdoptRequest {
  readonly ref: ImageRef;
  readonly names: readonly string[];
  readonly run: { readonly id: string; readonly app: { readonly name: string } };
  readonly parent: ImageRef | null;
  readonly createdAt: number;
  /** The life that wrote it. */
  readonly life: ForeignLife;
  /** Writes the image, which must need no base. */
  readonly write: (sink: ByteSink) => Promise<WrittenImage>;
}

export interface Adopted {
  readonly path: string;
  /** It was there before; nothing was changed. */
  readonly already: boolean;
}

/**
 * The part of a store that writes images for one claimed epoch. It is cheap to make from (store, epoch) in any
 * thread of the owner, and does not claim by itself.
 */
export interface ImageWriter {
  readonly epoch: number;
  /**
   * Commit protocol, docs/commit-protocol.md. Resolves when acknowledged. The epoch must be sealed (ERR_CKPT_PHASE) and
   * the generation higher than any before in this epoch, failed ones included (TypeError).
   * ERR_CKPT_FENCED, _NO_SPACE, _IO, _UNCERTAIN, _STORE_GONE, _STORE_UNSUPPORTED, _BASE_MISSING
   */
  publish(request: PublishRequest): Promise<Published>;
  /** Rejects with ERR_CKPT_FENCED once a newer epoch is claimed, ERR_CKPT_STORE_GONE when the claim is not there. */
  assertNewest(): Promise<void>;
  /** A sign of life; called by the helper thread several times a second. */
  beat(): Promise<void>;
  /** Ends the hold: the next claim need not wait. */
  release(): Promise<void>;
}

/** Keeps an image from being deleted while its holder lives. */
export interface Lease {
  readonly image: ImageRef;
  release(): Promise<void>;
}

/** An incarnation's hold on the store. */
export interface Incarnation extends ImageWriter {
  readonly record: EpochRecord;
  readonly run: RunRecord;
  /** Last sign of life of the incarnation before this one, wall time; undefined when there was none. */
  readonly previousSignOfLife: number | undefined;
  /** Durably records what this incarnation starts from (DESIGN: seal). Once. */
  seal(source: SealSource): Promise<Seal>;
  /** Durably marks a sealed epoch whose start failed and was undone: selection treats it as unsealed. */
  void(): Promise<void>;
  /**
   * Durably records what will be answered: whether request files, and the signals that ask for a plain checkpoint
   * (never those that mean checkpoint-and-exit: a tool may send any of these).
   */
  ready(how: { readonly signals: readonly string[]; readonly requests: boolean }): Promise<void>;
  /**
   * Durably records a process that this incarnation has started: while it lives, no other claim succeeds.
   * @returns what removes the record, once the process is gone
   */
  child(pid: number): Promise<() => Promise<void>>;
}

/** Tells whether what was read has the shape that the caller knows; a zod schema is one, and is told to be quick about it. */
export interface RecordShape<T> {
  safeParse(
    value: unknown,
    how?: { readonly jitless?: boolean },
  ):
    | { readonly success: true; readonly data: T }
    | {
        readonly success: false;
        readonly error: { readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] };
      };
}

/**
 * Small durable records, and files of any size beside them, that belong to the run as a whole and not to an image.
 * Names are plain file names that begin with a small letter. A journal of an epoch writes only while that epoch is the
 * newest (ERR_CKPT_FENCED).
 */
export interface Journal {
  /** Names of the records, in no particular order. */
  list(): Promise<string[]>;
  /** A record, undefined when there is none. ERR_CKPT_STORE_UNSAFE when it is damaged or of another shape. */
  read<T>(file: string, shape: RecordShape<T>): Promise<T | undefined>;
  /** Writes a record durably. @returns false when the name is taken, in which case nothing was changed */
  put(file: string, record: object): Promise<boolean>;
  /** Removes a record, durably; one that is not there is fine. */
  remove(file: string): Promise<void>;
  /** Names of the files that were saved. */
  saved(): Promise<string[]>;
  /** Writes a file durably under a name that is free. @returns its size */
  save(file: string, fill: (sink: ByteSink) => Promise<void>): Promise<number>;
  /** A saved file; undefined when there is none. */
  open(file: string): Promise<ByteSource | undefined>;
  /** Removes a saved file, durably; one that is not there is fine. */
  drop(file: string): Promise<void>;
  /** Where a saved file lies, for people. */
  whereSaved(file: string): string;
}

export interface Retention {
  readonly keep: number;
}

export interface Store {
  readonly location: string;
  /** Checks and creates what is needed; refuses unusable or unsafe directories (before any work is lost). */
  open(app: { readonly name: string }, warn: (message: string) => void): Promise<RunRecord>;
  /** For tools: the run without creating anything; ERR_CKPT_NO_IMAGE when there is no store. */
  inspect(): Promise<RunRecord>;
  claim(options: ClaimOptions): Promise<Incarnation>;
  /** The newest claimed epoch, its record, and whether its owner is alive, ready, sealed. */
  owner(): Promise<
    { record: EpochRecord; alive: boolean; released: boolean; ready: { signals: string[]; requests: boolean } | undefined } | undefined
  >;
  /**
   * Takes in an image that was made elsewhere: makes the store if there is none, and the image's epoch as one that is
   * sealed and over, so that the next start continues from it. Resolves when it is restorable; killed before, doing it
   * again completes it. ERR_CKPT_WRONG_RUN (also for another branch of the run), _WRONG_APP, _LOCKED by a living owner,
   * _IMAGE_LIMIT, and what publish rejects with.
   */
  adopt(request: AdoptRequest, options: Omit<ClaimOptions, 'command'>): Promise<Adopted>;
  writer(epoch: number): ImageWriter;
  lineage(): Promise<Lineage>;
  /** Every image file, by epoch and generation ascending. */
  images(): Promise<ImageEntry[]>;
  /** The same as their file names tell it, in no order. */
  refs(): Promise<ImageRef[]>;
  /**
   * An image by name, id or unambiguous id prefix (≥ 6 digits); ERR_CKPT_NOT_FOUND, also when the newest image of that name
   * is gone. A late image is not found by name.
   */
  resolve(nameOrId: string): Promise<ImageEntry>;
  openImage(image: ImageRef): Promise<ByteSource>;
  /** Protects an image from prune and remove, durably, until released or the holder's end. ERR_CKPT_NOT_FOUND */
  lease(image: ImageRef, purpose: string): Promise<Lease>;
  /** Ids of images with a lease whose holder lives, as far as can be known, with its purpose. */
  leased(): Promise<ReadonlyMap<string, string>>;
  /**
   * What each sealed incarnation started from, by its epoch; void ones are left out, and imported ones of which nothing is
   * known.
   */
  sources(): Promise<ReadonlyMap<number, SealSource>>;
  /** Highest generation ever seen, damaged images included; 0 when none. */
  highestGeneration(): Promise<number>;
  /** Re-creates name entries that a kill between commit and name entry left out (lineage images only). */
  repairNames(): Promise<void>;
  /** Deletes what the policy does not keep; returns what was deleted. Deletes nothing when anything is unclear. */
  prune(retention: Retention, currentEpoch: number, warn?: (message: string) => void): Promise<ImageRef[]>;
  /** Removes an image with its names; none of them goes to an older image. ERR_CKPT_PROTECTED when still needed. */
  remove(image: ImageRef): Promise<void>;
  /** Blames an image for a decode or restore failure; `blamed` are those blamed in two restarts or more. */
  blame(image: ImageRef, epoch: number, why: string): Promise<number>;
  blamed(): Promise<ReadonlySet<string>>;
  /**
   * Whether this directory is another one than the incarnation of `epoch` worked in: the store was copied since, so
   * what it recorded of inodes says nothing here. True too when nothing is known of that incarnation, or it lived elsewhere.
   */
  isCopiedSince(epoch: number): Promise<boolean>;
  /** @param epoch the claimed epoch that writes; undefined for a tool that only reads */
  journal(epoch?: number): Journal;
}
