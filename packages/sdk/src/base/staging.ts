/**
 * Staging: memory that the writer owns, into which a capture copies bulk state, or the state of a forked member comes.
 *
 * Invariants
 * 1. Segments are allocated once and kept: copying into warm pages is five to seven times faster than into fresh ones.
 * 2. A segment holds at most 1 GiB, so that one typed array can always span it.
 * 3. What was handed out stays untouched until `reset`, which only the end of the persist step calls.
 */

const SEGMENT_LIMIT = 1 << 30;
const SEGMENT_STEP = 1 << 21;
const ALIGNMENT = 4096;

interface Segment {
  readonly memory: SharedArrayBuffer;
  used: number;
}

export class Staging {
  #segments: Segment[] = [];

  /** Copies `length` bytes of `memory` from `start` on; returns windows on the copy, in order. */
  copy(memory: ArrayBufferLike, start: number, length: number): Uint8Array[] {
    const windows = this.windows(length);
    let at = start;
    for (const window of windows) {
      window.set(new Uint8Array(memory, at, window.byteLength));
      at += window.byteLength;
    }
    return windows;
  }

  /** Windows of `length` bytes together, to be filled: they hold anything. */
  windows(length: number): Uint8Array[] {
    const windows: Uint8Array[] = [];
    for (let done = 0; done < length; ) {
      const window = this.#take(length - done);
      windows.push(window);
      done += window.byteLength;
    }
    return windows;
  }

  /** Makes room for `bytes` more in one go, whole pages for each copy, so that those that follow allocate nothing. */
  reserve(bytes: number): void {
    let free = 0;
    for (const segment of this.#segments) free += segment.memory.byteLength - segment.used;
    for (let missing = bytes - free; missing > 0; missing -= SEGMENT_LIMIT) {
      const size = Math.min(SEGMENT_LIMIT, Math.ceil(missing / SEGMENT_STEP) * SEGMENT_STEP);
      this.#segments.push({ memory: new SharedArrayBuffer(size), used: 0 });
    }
  }

  reset(): void {
    for (const segment of this.#segments) segment.used = 0;
  }

  #take(wanted: number): Uint8Array {
    for (const segment of this.#segments) {
      const start = Math.ceil(segment.used / ALIGNMENT) * ALIGNMENT;
      const length = Math.min(wanted, segment.memory.byteLength - start);
      if (length <= 0) continue;
      segment.used = start + length;
      return new Uint8Array(segment.memory, start, length);
    }
    this.reserve(wanted + ALIGNMENT);
    return this.#take(wanted);
  }
}
