/**
 * Bringing a shadow up to date: all of it, what a comparison finds, or what somebody says may have been written.
 *
 * Invariants
 * 1. Afterwards the shadow is the buffer, at every byte that was to be looked at, and `dirty` has a 1 for each page that was not.
 */
import { PAGE } from '../image/format.js';
import { type ByteRanges, bytesIn } from './page-tracker.js';

/** Compared first: as long as a block is the same, none of its pages is looked at. */
const BLOCK = 8 * PAGE;
/** Of the buffer, one part in so many: ranges that are longer together are compared. */
const LEAST_COMPARED = 8;

export function copyAll(memory: ArrayBufferLike, windows: readonly ArrayBuffer[]): void {
  let at = 0;
  for (const window of windows) {
    new Uint8Array(window).set(new Uint8Array(memory, at, window.byteLength));
    at += window.byteLength;
  }
}

/** Compares everything. @returns how many pages differed */
export function copyChanged(memory: ArrayBufferLike, windows: readonly ArrayBuffer[], dirty: Uint8Array): number {
  let at = 0;
  let changed = 0;
  for (const window of windows) {
    changed += copyBlocks(Buffer.from(memory, at, window.byteLength), Buffer.from(window), dirty.subarray(at / PAGE));
    at += window.byteLength;
  }
  return changed;
}

function copyBlocks(live: Buffer, shadow: Buffer, dirty: Uint8Array): number {
  let changed = 0;
  for (let block = 0; block < live.length; block += BLOCK) {
    const end = Math.min(block + BLOCK, live.length);
    if (live.compare(shadow, block, end, block, end) !== 0) changed += copyDiffering(live, shadow, dirty, block, end);
  }
  return changed;
}

/** Of a part that is known to differ, by halves: where the first is the same, the second need not be compared. */
function copyDiffering(live: Buffer, shadow: Buffer, dirty: Uint8Array, start: number, end: number): number {
  if (end - start <= PAGE) {
    shadow.set(new Uint8Array(live.buffer, live.byteOffset + start, end - start), start);
    dirty[start / PAGE] = 1;
    return 1;
  }
  const half = start + Math.ceil((end - start) / (2 * PAGE)) * PAGE;
  const first = live.compare(shadow, start, half, start, half) !== 0;
  let changed = first ? copyDiffering(live, shadow, dirty, start, half) : 0;
  if (!first || live.compare(shadow, half, end, half, end) !== 0) changed += copyDiffering(live, shadow, dirty, half, end);
  return changed;
}

/**
 * Copies the ranges, which need not begin or end at a page, without a look: they were written. Pages at the edges of the buffer
 * are compared, because they may be reported for what lies beside it; and so is everything when the ranges are much of the
 * buffer, because whoever reports that much hardly knows.
 */
export function copyWritten(memory: ArrayBufferLike, windows: readonly ArrayBuffer[], ranges: ByteRanges, dirty: Uint8Array): void {
  const few = bytesIn(ranges) * LEAST_COMPARED < memory.byteLength;
  const copy = few ? copyWholePages : copyPages;
  let first = 0;
  let i = 0;
  for (const window of windows) {
    const live = Buffer.from(memory, first, window.byteLength);
    const shadow = Buffer.from(window);
    const pages = dirty.subarray(first / PAGE);
    for (; i < ranges.length; i += 2) {
      const start = Math.max((ranges[i] ?? 0) - first, 0);
      const end = (ranges[i + 1] ?? 0) - first;
      if (start >= live.length) break;
      copy(live, shadow, pages, start, Math.min(end, live.length));
      if (end > live.length) break; // goes on in the next window
    }
    first += window.byteLength;
  }
}

/**
 * The kernel's pages need not be those of the buffer, which mostly begins some bytes behind one. A page of which a range has
 * all but a few bytes counts as written, what it has of others is compared.
 */
function copyWholePages(live: Buffer, shadow: Buffer, dirty: Uint8Array, start: number, end: number): void {
  const first = start === 0 ? 1 : Math.ceil((start - FEW_BYTES) / PAGE);
  const behind = end === live.length ? Math.ceil(end / PAGE) - 1 : Math.floor((end + FEW_BYTES) / PAGE);
  if (behind <= first) {
    copyPages(live, shadow, dirty, start, end);
    return;
  }
  const [from, to] = [first * PAGE, behind * PAGE];
  if (start < from && differ(live, shadow, start, from)) dirty[first - 1] = 1;
  if (to < end && differ(live, shadow, to, end)) dirty[behind] = 1;
  for (let page = first; page < behind; page++) dirty[page] = 1;
  shadow.set(new Uint8Array(live.buffer, live.byteOffset + start, end - start), start);
}

/** Of so many bytes, a call costs more than a look at each. */
const FEW_BYTES = 128;

function differ(live: Buffer, shadow: Buffer, start: number, end: number): boolean {
  if (end - start > FEW_BYTES) return live.compare(shadow, start, end, start, end) !== 0;
  for (let at = start; at < end; at++) if (live[at] !== shadow[at]) return true;
  return false;
}

/** @returns how many pages differed between `start` and `end` */
function copyPages(live: Buffer, shadow: Buffer, dirty: Uint8Array, start: number, end: number): number {
  let changed = 0;
  let from = -1;
  for (let at = start; at < end; ) {
    const page = Math.floor(at / PAGE);
    const next = Math.min((page + 1) * PAGE, end);
    if (live.compare(shadow, at, next, at, next) === 0) {
      if (from >= 0) shadow.set(live.subarray(from, at), from);
      from = -1;
    } else {
      if (from < 0) from = at;
      dirty[page] = 1;
      changed++;
    }
    at = next;
  }
  if (from >= 0) shadow.set(live.subarray(from, end), from);
  return changed;
}
