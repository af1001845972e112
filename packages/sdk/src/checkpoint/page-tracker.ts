/**
 * The port to whatever knows where a buffer may have been written: the kernel (an optional package), or the program itself.
 *
 * Invariants
 * 1. A tracking never misses a write, whoever made it: what it does not know for certain it does not claim to know. Everything
 *    is compared then. What it names beyond what was written costs time only.
 */

/** Offsets in bytes from the beginning of the buffer, in pairs: start, end (exclusive). Ascending, without overlap. */
export type ByteRanges = readonly number[];

/** Of all ranges together, in bytes. */
export function bytesIn(ranges: ByteRanges): number {
  let sum = 0;
  for (let i = 0; i < ranges.length; i += 2) sum += (ranges[i + 1] ?? 0) - (ranges[i] ?? 0);
  return sum;
}

/** Of one buffer. */
export interface Tracking {
  /**
   * Where the buffer may have been written since the last call, or since the tracking began; undefined when that is not known.
   * Whatever is written from this call on counts for the next one, so call it before the buffer is read.
   */
  written(): ByteRanges | undefined;
  end(): void;
}

export interface PageTracker {
  /** A capture begins: told before any `written()` and `track()` of it. */
  round(): void;
  /** Tracks the buffer from now on, or says why it cannot. */
  track(memory: ArrayBufferLike): Tracking | { readonly refused: string };
  /** Lets go of everything. */
  close(): void;
}
