/**
 * The port of @ckpt/sdk that this package fills; kept in step with its checkpoint/page-tracker.ts, which a type test holds it to.
 *
 * Invariants
 * 1. A tracking never misses a write, whoever made it: what it does not know for certain it does not claim to know.
 */

/** Offsets in bytes from the beginning of the buffer, in pairs: start, end (exclusive). Ascending, without overlap. */
export type ByteRanges = readonly number[];

export interface Refused {
  readonly refused: string;
}

/** Of one buffer. */
export interface Tracking {
  /** Where the buffer may have been written since the last call, or since the tracking began; undefined when that is not known. */
  written(): ByteRanges | undefined;
  end(): void;
}

export interface PageTracker {
  /** A capture begins: told before any `written()` and `track()` of it. */
  round(): void;
  /** Tracks the buffer from now on, or says why it cannot. */
  track(memory: ArrayBufferLike): Tracking | Refused;
  /** Lets go of everything. */
  close(): void;
}
