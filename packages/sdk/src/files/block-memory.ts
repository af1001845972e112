/**
 * The memory that written bytes are gathered in: shared with the helper thread, and used again while it is warm.
 *
 * Invariants
 * 1. Memory that a capture refers to is never used again: the helper thread may still read it.
 */

/** Large enough that a write to the system costs little beside filling it, small enough for many files. */
const SIZE = 64 * 1024;
/** Filling memory that was touched before is several times faster; more than this is not worth keeping. */
const KEPT = 16;

export interface Memory {
  readonly bytes: Buffer;
  /** Counts captures before it was given out. */
  readonly captures: number;
}

export class BlockMemory {
  static readonly SIZE: number = SIZE;
  readonly #free: Buffer[] = [];
  #captures = 0;

  static copyOf(bytes: Uint8Array): Buffer {
    const copy = shared(bytes.byteLength);
    copy.set(bytes);
    return copy;
  }

  take(): Memory {
    return { bytes: this.#free.pop() ?? shared(SIZE), captures: this.#captures };
  }

  /** A capture refers to memory that is given out (invariant 1). */
  lend(): void {
    this.#captures++;
  }

  giveBack({ bytes, captures }: Memory): void {
    if (captures === this.#captures && this.#free.length < KEPT) this.#free.push(bytes);
  }
}

function shared(length: number): Buffer {
  return Buffer.from(new SharedArrayBuffer(length));
}
