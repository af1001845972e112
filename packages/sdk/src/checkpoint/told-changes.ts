/**
 * What the program tells of its writes, page by page.
 *
 * Invariants
 * 1. A buffer is believed about from the second capture after the first word on it: what was written before that word, the
 *    program may not have told.
 */
import { PAGE } from '../image/format.js';
import type { ByteRanges, Tracking } from './page-tracker.js';

interface Told {
  /** One byte a page: not zero where something was told since the last capture. */
  readonly pages: Uint8Array;
  believed: boolean;
}

export class ToldChanges {
  /** A program that lets go of a buffer need not say so. */
  readonly #told = new WeakMap<ArrayBufferLike, Told>();

  /** Tells that bytes of a buffer have been written. Told before it is done, a capture in between would take the word and miss the rest. */
  add(memory: ArrayBufferLike, start: number, length: number): void {
    if (length === 0) return;
    let told = this.#told.get(memory);
    const pages = Math.ceil(memory.byteLength / PAGE);
    // A buffer of another length is compared as a whole, so that nothing told before is missed.
    if (told?.pages.length !== pages) {
      told = { pages: new Uint8Array(pages), believed: false };
      this.#told.set(memory, told);
    }
    told.pages.fill(1, Math.floor(start / PAGE), Math.ceil((start + length) / PAGE));
  }

  /** What is told of one buffer. */
  of(memory: ArrayBufferLike): Pick<Tracking, 'written'> {
    return { written: () => this.#written(memory) };
  }

  /** Invariant 1. */
  #written(memory: ArrayBufferLike): ByteRanges | undefined {
    const told = this.#told.get(memory);
    if (told === undefined || told.pages.length !== Math.ceil(memory.byteLength / PAGE)) return undefined;
    const ranges = told.believed ? rangesOf(told.pages, memory.byteLength) : undefined;
    told.believed = true;
    told.pages.fill(0);
    return ranges;
  }
}

function rangesOf(pages: Uint8Array, length: number): number[] {
  const ranges: number[] = [];
  for (let from = pages.indexOf(1); from >= 0; ) {
    const next = pages.indexOf(0, from);
    const end = next < 0 ? pages.length : next;
    ranges.push(from * PAGE, Math.min(end * PAGE, length));
    from = next < 0 ? -1 : pages.indexOf(1, next);
  }
  return ranges;
}
