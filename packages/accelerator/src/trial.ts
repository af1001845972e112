/**
 * Tries a tracker on memory of its own: what the kernel promises is seen, not assumed.
 *
 * Invariants
 * 1. Every kind of write that a program's state can see and that can be made here is made: by the program, and by the kernel
 *    on its behalf.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { ByteRanges, PageTracker } from './port.js';

const MIB = 2 ** 20;
const WRITTEN_AT = MIB / 4;
const READ_AT = MIB / 2;
const NEVER_AT = (3 * MIB) / 4;

/** What went wrong first; undefined: nothing. */
export function firstFailure(tracker: PageTracker): string | undefined {
  const bytes = new Uint8Array(MIB).fill(1, 0, READ_AT); // the second half was never touched
  const tracking = tracker.track(bytes.buffer);
  if ('refused' in tracking) return tracking.refused;
  try {
    const untouched = tracking.written();
    if (untouched === undefined) return 'the kernel cannot scan memory that it has just registered (PAGEMAP_SCAN, Linux 6.7 or newer)';
    if (holds(untouched, WRITTEN_AT)) return 'the kernel takes pages for written that were not';
    bytes[WRITTEN_AT] = 2;
    readInto(bytes.subarray(READ_AT, READ_AT + 1));
    const written = tracking.written();
    if (written === undefined || !holds(written, WRITTEN_AT) || !holds(written, READ_AT))
      return 'the kernel misses pages that were written';
    if (holds(written, NEVER_AT) || holds(tracking.written() ?? [], WRITTEN_AT)) return 'the kernel takes pages for written that were not';
    return undefined;
  } finally {
    tracking.end();
  }
}

function holds(ranges: ByteRanges, at: number): boolean {
  return ranges.some((start, i) => i % 2 === 0 && start <= at && at < (ranges[i + 1] ?? 0));
}

function readInto(target: Uint8Array): void {
  const fd = openSync('/proc/self/cmdline', 'r');
  try {
    readSync(fd, target, 0, target.length, 0);
  } finally {
    closeSync(fd);
  }
}
