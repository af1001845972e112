/**
 * Trackings of single buffers, by the kernel.
 *
 * Invariants
 * 1. A buffer that is tracked is held: its memory cannot be freed and mapped again for something else.
 * 2. A registration counts as lost when the buffer lies elsewhere, has another length (detached, grown), or when the kernel
 *    finds memory that is not registered. Then nothing is claimed to be known.
 * 3. Pages that a buffer shares with what lies beside it are always reported: a look at the neighbour would protect them anew.
 *    No page is watched for two buffers otherwise: memory that overlaps what is tracked already is refused.
 * 4. A buffer that can shrink is refused: pages that were given back and mapped again look as if nobody had written them.
 * 5. A read past the page cache writes without the kernel's notice, also after the capture during which it was under way. What
 *    a capture with such a descriptor begins is not claimed to be known by the next.
 */
import type { Kernel } from './kernel.js';
import { nameOf } from './kernel.js';
import type { ByteRanges, PageTracker, Refused, Tracking } from './port.js';

/** Each takes two of the 65,530 mappings that a process may have. */
const MOST_TRACKINGS = 4_096;

interface Span {
  /** Of the buffer, in the address space. */
  readonly start: number;
  readonly end: number;
}

export class KernelTracker implements PageTracker {
  readonly #kernel: Kernel;
  readonly #spans = new Set<Span>();
  #directBefore = false;
  #directNow = false;
  #open = true;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  round(): void {
    this.#directBefore = this.#directNow;
    this.#directNow = this.#open && this.#spans.size > 0 && this.#readsDirectly();
  }

  track(memory: ArrayBufferLike): Tracking | Refused {
    if (!this.#open) return { refused: 'the tracker is closed' };
    if (memory instanceof ArrayBuffer && 'resizable' in memory && memory.resizable === true)
      return { refused: 'a resizable ArrayBuffer may shrink, which the kernel does not tell' };
    if (this.#spans.size >= MOST_TRACKINGS) return { refused: `${MOST_TRACKINGS} buffers are tracked already` };
    const start = this.#kernel.addressOf(memory);
    const span: Span = { start, end: start + memory.byteLength };
    if (memory.byteLength === 0) return { refused: 'the buffer is empty or detached' };
    if ([...this.#spans].some((other) => overlaps(span, other)))
      return { refused: 'the same memory is tracked already, by another buffer' };
    const error = this.#kernel.protect(...this.#pagesOf(span));
    if (error !== 0) return { refused: `registering the buffer: ${nameOf(error)}` };
    this.#spans.add(span);
    // The first of all has to look by itself, because round() had nothing to look for.
    if (this.#spans.size === 1) this.#directNow = this.#readsDirectly();
    return this.#trackingOf(memory, span);
  }

  /** Without a free descriptor, or without /proc, it may be so. */
  #readsDirectly(): boolean {
    try {
      return this.#kernel.readsDirectly();
    } catch {
      return true;
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#spans.clear();
    this.#kernel.close();
  }

  /** Holds the buffer (invariant 1). */
  #trackingOf(memory: ArrayBufferLike, span: Span): Tracking {
    return {
      written: () => (this.#spans.has(span) ? this.#written(memory, span) : undefined),
      end: () => {
        if (!this.#spans.delete(span)) return;
        this.#kernel.unregister(...this.#pagesOf(span));
      },
    };
  }

  #written(memory: ArrayBufferLike, span: Span): ByteRanges | undefined {
    const length = span.end - span.start;
    if (memory.byteLength !== length || this.#kernel.addressOf(memory) !== span.start) return undefined;
    const ranges = new Ranges(length);
    const { pageSize } = this.#kernel;
    const [firstPage, lastEnd] = this.#pagesOf(span);
    if (firstPage < span.start) ranges.add(0, firstPage + pageSize - span.start);
    const complete = this.#kernel.scan(firstPage, lastEnd, (from, to) => ranges.add(from - span.start, to - span.start));
    if (lastEnd > span.end) ranges.add(lastEnd - pageSize - span.start, length);
    return complete && !this.#directBefore ? ranges.list : undefined;
  }

  #pagesOf({ start, end }: Span): [number, number] {
    const { pageSize } = this.#kernel;
    return [Math.floor(start / pageSize) * pageSize, Math.ceil(end / pageSize) * pageSize];
  }
}

/** By more than pages at their edges (invariant 3). */
function overlaps(one: Span, other: Span): boolean {
  return one.start < other.end && other.start < one.end;
}

/** Ascending, joined where they meet, cut to the buffer. */
class Ranges {
  readonly list: number[] = [];
  readonly #length: number;

  constructor(length: number) {
    this.#length = length;
  }

  add(from: number, to: number): void {
    const last = this.list.at(-1) ?? -1;
    const start = Math.max(from, 0, last);
    const end = Math.min(to, this.#length);
    if (end <= start) return;
    if (start === last) this.list[this.list.length - 1] = end;
    else this.list.push(start, end);
  }
}
