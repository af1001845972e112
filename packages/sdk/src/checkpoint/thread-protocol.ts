/**
 * What the program and its helper thread say to each other, and the memory they share.
 *
 * Invariants
 * 1. Messages are plain data; errors travel as records (base/error-transfer).
 * 2. Every `persist` is answered by exactly one `persisted`.
 * 3. ATTENTION is a hint to look: it is set when something may be due and cleared by the program alone.
 *    Reads on the hot path are plain loads (an Atomics.load costs ten times as much).
 */
import type { MessagePort } from 'node:worker_threads';
import type { ErrorRecord } from '../base/error-transfer.js';
import type { CapturedFiles } from '../files/table.js';
import type { BufferInput, ImageInput, ImageRef, StreamedBuffer } from '../image/contract.js';
import type { CapturedSection } from '../state/provider.js';
import type { Compression } from './choose-compression.js';

/** Slots of the shared Int32Array. */
export const SHARED = {
  /** Not zero: the next safepoint should look (a request, a turn of the event loop, fenced). */
  ATTENTION: 0,
  /** 1 once a newer epoch was seen: final. */
  FENCED: 1,
  /** Counts messages from the thread, for a program that waits for one synchronously. */
  MESSAGES: 2,
  /** 0 until the thread runs, then counted up by it about once a second; LIFE_ENDED when it is over. */
  LIFE: 3,
  /** Not zero: the thread waits for the operating system, and gives no sign of life until that answers. */
  IN_CALL: 4,
  LENGTH: 5,
} as const;

export const LIFE_ENDED = -1;

/** A large buffer, by its shadow (shadow.ts): handed over with the job, and back with its answer. */
export interface StagedBuffer extends Omit<BufferInput, 'chunks'> {
  readonly length: number;
  /** Which shadow; the same as long as it is kept up to date. */
  readonly key: number;
  /** One byte a page: not zero where it changed since the last acknowledged image. */
  readonly dirty: Uint8Array;
  /** Windows of at most 1 GiB, one after the other. */
  readonly memory: readonly ArrayBuffer[];
}

export function isStaged(buffer: object): buffer is StagedBuffer {
  return 'dirty' in buffer;
}

/** A large buffer of which there is no copy: see uncopied.ts. */
export interface UncopiedBuffer extends Omit<BufferInput, 'chunks'> {
  readonly length: number;
  /** By which the program knows it. */
  readonly uncopied: number;
}

export interface WantedPiece {
  readonly uncopied: number;
  readonly offset: number;
  readonly length: number;
}

export interface ReturnedShadow {
  readonly key: number;
  readonly memory: readonly ArrayBuffer[];
}

/** @typeParam Streamed buffers of which there is no copy: to be asked for, and then as the writer of images takes them */
export interface PersistJob<Streamed extends UncopiedBuffer | StreamedBuffer = UncopiedBuffer> {
  readonly number: number;
  readonly ref: ImageRef;
  readonly names: readonly string[];
  readonly input: Pick<ImageInput, 'head'> & {
    readonly sections: readonly CapturedSection[];
    readonly buffers: readonly (BufferInput | StagedBuffer | Streamed)[];
  };
  /** To be secured before the image: their records go into its head. */
  readonly files: CapturedFiles;
  /** Release the incarnation after the commit, because the program is about to end. */
  readonly release: boolean;
  /** Prune after the commit, keeping this many. */
  readonly keep: number;
}

export interface PersistedImage {
  readonly path: string;
  readonly size: number;
  readonly persistMs: number;
}

/** A request file that was found; `key` identifies it when it is settled. */
export interface FoundRequest {
  readonly key: string;
  readonly kind: 'checkpoint' | 'checkpoint-and-exit';
  readonly name?: string;
  readonly nonce?: string;
}

export type ToThread =
  | { readonly type: 'persist'; readonly job: PersistJob }
  | { readonly type: 'settle'; readonly request: FoundRequest; readonly answer: string }
  | { readonly type: 'poll'; readonly everyMs: number }
  /** Tells the safepoints of a member, too, to let their event loop turn. */
  | { readonly type: 'tick'; readonly memory: SharedArrayBuffer }
  /** Answered at once by `newest`, also while a job is under way: the program stands and waits. */
  | { readonly type: 'assert-newest' }
  /** What was wanted, at once. */
  | { readonly type: 'piece'; readonly piece: Uint8Array }
  /** Bytes of buffers that the first capture may find; answered by `warmed` for each, unless there is a job before. */
  | { readonly type: 'warm'; readonly lengths: readonly number[] }
  | { readonly type: 'stop' };

export type FromThread =
  | {
      readonly type: 'persisted';
      readonly number: number;
      readonly image?: PersistedImage;
      readonly error?: ErrorRecord;
      readonly shadows: readonly ReturnedShadow[];
    }
  /**
   * The content of all files of job `number` that are changed in place (r+) is copied: their handles may write on. Not
   * sent when there is none, nor when the job fails before: `persisted` ends the hold in any case.
   */
  | { readonly type: 'files-copied'; readonly number: number }
  /** Answered by `piece`; the next is not asked for before. Only while the program stands for it. */
  | { readonly type: 'wanted'; readonly wanted: WantedPiece }
  | { readonly type: 'request'; readonly request: FoundRequest }
  | { readonly type: 'pruned'; readonly images: readonly ImageRef[] }
  | { readonly type: 'fenced' }
  | { readonly type: 'newest'; readonly error?: ErrorRecord }
  | { readonly type: 'warmed'; readonly memory: ArrayBuffer[] }
  | { readonly type: 'warn'; readonly message: string }
  | { readonly type: 'stopped' };

export interface ThreadData {
  readonly port: MessagePort;
  readonly shared: SharedArrayBuffer;
  readonly portsAddress: string | undefined;
  readonly location: string;
  readonly epoch: number;
  readonly requests: boolean;
  readonly compression: Compression;
}
