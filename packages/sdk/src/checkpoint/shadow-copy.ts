/**
 * Bringing a shadow up to date: all of it, what a comparison finds, or what somebody says may have been written.
 *
 * Invariants
 * 1. Afterwards the shadow is the buffer, at every byte that was to be looked at, and `dirty` has a 1 for each page that was not.
 */
import { PAGE } from '../image/format.js';
import type { ByteRanges } from './page-tracker.js';

/** Compared first: as long as a block is the same, none of its pages is looked at. */
const BLOCK = 16 * PAGE;

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
    if (live.compare(shadow, block, end, block, end) !== 0) changed += copyPages(live, shadow, dirty, block, end);
  }
  return changed;
}

/** Compares the ranges only, which need not begin or end at a page. */
export function copyWritten(memory: ArrayBufferLike, windows: readonly ArrayBuffer[], ranges: ByteRanges, dirty: Uint8Array): void {
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
      copyPages(live, shadow, pages, start, Math.min(end, live.length));
      if (end > live.length) break; // goes on in the next window
    }
    first += window.byteLength;
  }
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
