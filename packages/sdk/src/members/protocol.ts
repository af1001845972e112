/**
 * What the program and its members say to each other, and the memory they share.
 *
 * Invariants
 * 1. Messages are plain data; errors travel as records (base/error-transfer).
 * 2. State never travels as objects: a member encodes its state itself and hands over bytes; bulk memory is copied by the
 *    member into shared staging, of which windows are handed over. Those of a process come later than what tells of them.
 * 3. Every order of a round (`stop`, `prepare`, `capture`) is answered once with the round's number, or by `failed`.
 * 4. A member that has said `arrived`, because all its tasks stand, stays until it is told `run-on` or `resume`; it asks with `leave`.
 */
import type { MessagePort } from 'node:worker_threads';
import type { ErrorRecord } from '../base/error-transfer.js';
import type { BufferInput, ImageParts } from '../image/contract.js';
import type { CapturedSection } from '../state/provider.js';
import type { Unclaimed } from '../state/provider-plan.js';
import type { ChannelRecord } from './channel.js';

/** Slots of the Int32Array that a member shares with the program. */
export const MEMBER_SHARED = {
  /** Not zero: the next safepoint should look. */
  ATTENTION: 0,
  /** Counts messages to the member, for one that waits synchronously. */
  MESSAGES: 1,
  /** How many calls of receive() wait, for reports. */
  RECEIVING: 2,
  /** In a forked member: 1 once it ends, 2 once the program has everything that it has sent. */
  LEAVING: 3,
  LENGTH: 4,
} as const;

/** Behind the slots: the step of the member's last safepoint, a float64; NO_STEP before the first. */
const STEP_OFFSET = MEMBER_SHARED.LENGTH * Int32Array.BYTES_PER_ELEMENT;
export const NO_STEP: number = Number.NEGATIVE_INFINITY;

export function memberMemory(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(STEP_OFFSET + Float64Array.BYTES_PER_ELEMENT);
  new Int32Array(memory)[MEMBER_SHARED.ATTENTION] = 1;
  stepOf(memory)[0] = NO_STEP;
  return memory;
}

/** One element: written by the member with a plain store, so a reader looks again after a while. */
export function stepOf(memory: SharedArrayBuffer): Float64Array {
  return new Float64Array(memory, STEP_OFFSET, 1);
}

export function slotsOf(memory: SharedArrayBuffer): Int32Array {
  return new Int32Array(memory, 0, MEMBER_SHARED.LENGTH);
}

/** By environment data of this name a thread knows that its first message comes from ckpt. */
export const MEMBER_MARK = 'ckpt:member';

/** By this variable a process knows that it was forked as a member, under which name. */
export const MEMBER_VARIABLE = 'CKPT_MEMBER';

/** The same for an opaque child, which joinCheckpointer() refuses. */
export const OPAQUE_MARK = 'ckpt:opaque';
export const OPAQUE_VARIABLE = 'CKPT_OPAQUE';
/** Descriptor of the stream to the program in a forked member. */
export const LINK_FD = 4;

/** The member whose image sections hold the shared memory, and that every peer knows: the program itself. */
export const PROGRAM = 'main';

/** What a member is: captured state, ready for the image. */
export interface CapturedMember {
  readonly sections: readonly CapturedSection[];
  /** Sections refer to these by index. */
  readonly buffers: readonly BufferInput[];
  readonly stateBytes: number;
  /** Of these, what was captured now. */
  readonly dirtyBytes: number;
  /**
   * In the program, of what comes through a stream: resolves when the memory that is referred to is filled; rejects with
   * ERR_CKPT_MEMBER when it never will be. Undefined once it is.
   */
  readonly delivered?: Promise<void>;
}

/** What a member starts from: its part of the source image, still encoded, because only the member knows its classes. */
export interface HandedState {
  readonly part: ImageParts;
  readonly finished: boolean;
  /** Its part is not that of the image: a rescale hook gave it some state, or none. */
  readonly rescaled?: 'given' | 'anew';
}

export interface Welcome {
  readonly type: 'welcome';
  readonly name: string;
  readonly kind: 'worker' | 'process';
  readonly port: MessagePort;
  readonly attention: SharedArrayBuffer;
  readonly shared: readonly (readonly [name: string, memory: SharedArrayBuffer])[];
  /** Undefined for a member that begins anew. */
  readonly source: HandedState | undefined;
  readonly image: string | undefined;
  readonly incarnation: number;
  /** Signals that the program handles: a forked member, which gets them too in a group, leaves them to it. */
  readonly signals: readonly string[];
  readonly handlerTimeoutMs: number;
  /** What becomes of sections of the member that none of its providers claims. */
  readonly allowUnclaimed: Unclaimed;
}

/** Messages of each channel, by the channel's key. */
export type Counts = readonly (readonly [key: string, count: number])[];

/** How a forked member is started; what is left out is as in the program. Not part of an image. */
export interface ForkOptions {
  readonly execArgv?: readonly string[];
  readonly cwd?: string;
  /** Added to the environment of the program. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What a restart does with an opaque child: starts it again, or leaves it alone. */
export type OpaquePolicy = 'restart' | 'exclude';

export type EndOfSet = 'finished' | 'closed' | 'fenced';

export type ToMember =
  | { readonly type: 'go' }
  | { readonly type: 'quiesce'; readonly round: number }
  | { readonly type: 'run-on'; readonly round: number; readonly target: number }
  | { readonly type: 'stop'; readonly round: number }
  | {
      readonly type: 'prepare';
      readonly round: number;
      readonly expect: Counts;
      readonly reason: string;
      readonly name: string | undefined;
    }
  | { readonly type: 'capture'; readonly round: number }
  /** To a process: everybody has captured, and the bytes may come. */
  | { readonly type: 'deliver' }
  | { readonly type: 'resume'; readonly round: number }
  | { readonly type: 'recycle' }
  /** The image of the last capture was acknowledged. */
  | { readonly type: 'committed' }
  /** It was not. */
  | { readonly type: 'not-committed'; readonly error: ErrorRecord }
  | { readonly type: 'connect'; readonly key: string; readonly port: MessagePort }
  /** A member of this name was declared: what is sent to that name from now on is for it. */
  | { readonly type: 'anew'; readonly name: string }
  /** What a member that has left could not send to this one: a packed record of the channel, as that member had it. */
  | { readonly type: 'left-unsent'; readonly from: string; readonly unsent: Uint8Array }
  /** The capture of a checkpoint that this member asked for is over; then, how the checkpoint ended. */
  | { readonly type: 'ask-captured'; readonly id: number }
  | { readonly type: 'ask-settled'; readonly id: number; readonly outcome: AskOutcome }
  /** Of a member that this one has declared, by the number it gave to it. */
  | { readonly type: 'nested'; readonly id: number; readonly news: NestedNews }
  | { readonly type: 'ended'; readonly why: EndOfSet };

export type NestedNews =
  | { readonly at: 'accepted'; readonly pid: number | undefined }
  | { readonly at: 'done' }
  /** It was refused, or it died. */
  | { readonly at: 'failed'; readonly error: ErrorRecord }
  /** It was dismissed, and its thread or process is gone. */
  | { readonly at: 'gone' };

/** A member that a member declares. */
export type NestedDeclaration = {
  readonly name: string;
  readonly url: string;
  /** Where it is declared. */
  readonly place: string;
  readonly opaque?: OpaquePolicy;
} & (
  | { readonly kind: 'worker'; readonly workerData: unknown }
  | { readonly kind: 'process'; readonly args: readonly string[]; readonly options: ForkOptions }
);

/** The number is the member's own. */
export type NestedOrder =
  | { readonly type: 'declare'; readonly id: number; readonly declaration: NestedDeclaration }
  | { readonly type: 'dismiss'; readonly id: number };

export type AskOutcome = { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly error: ErrorRecord };

/** What comes behind a message of a member that has a `delivery`, once the memory that it refers to is filled. */
export interface Delivered {
  readonly type: 'delivered';
  readonly delivery: number;
}

export type FromMember =
  | NestedOrder
  | { readonly type: 'started' }
  | { readonly type: 'failed-start'; readonly error: ErrorRecord }
  | {
      readonly type: 'arrived';
      readonly round: number;
      readonly step: number | undefined;
      readonly place: string;
    }
  /** Some of its tasks stand. */
  | { readonly type: 'partly'; readonly round: number; readonly missing: string }
  | { readonly type: 'leave'; readonly round: number }
  | { readonly type: 'stopped'; readonly round: number; readonly sent: Counts }
  | { readonly type: 'prepared'; readonly round: number }
  /** `delivery`: the bytes come later, and `delivered` tells it; absent where they are there. */
  | { readonly type: 'captured'; readonly round: number; readonly captured: CapturedMember; readonly delivery?: number }
  /** Asks for a checkpoint; the number is the member's own. */
  | { readonly type: 'ask'; readonly id: number; readonly name: string | undefined; readonly replace: boolean }
  | { readonly type: 'withdraw'; readonly id: number }
  | { readonly type: 'failed'; readonly round: number; readonly error: ErrorRecord }
  | { readonly type: 'channel'; readonly key: string }
  /** It was at this safepoint, now or a moment ago. */
  | { readonly type: 'seen-at'; readonly place: string }
  /** It ends without finish(), and these are the ends of channels, packed, on which its peers have not met it. */
  | { readonly type: 'leaving'; readonly unsent: Uint8Array }
  /** For the log of the program. */
  | { readonly type: 'report'; readonly message: string }
  | {
      readonly type: 'finished';
      readonly captured: CapturedMember;
      /** As with `captured`. */
      readonly delivery?: number;
      readonly sent: Counts;
      /** What its peers have not asked for yet: the program keeps it from now on. */
      readonly unsent: readonly ChannelRecord[];
    };
