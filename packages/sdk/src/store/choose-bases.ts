/**
 * Which older images may go on holding sections of newer ones: contents of tracked files, entries of collections.
 *
 * Invariants
 * 1. At most `mostBases` are chosen; the least used go first, because they are the cheapest to write again.
 * 2. What bases hold beside those sections is kept on the disk for nothing. All together that is at most `spare`, the size
 *    of one image that holds everything itself; and no image is kept for less than 1/LEAST_SHARE of its bytes.
 */
import type { BaseRecord } from '../image/contract.js';
import { MAX_BASES } from '../image/format.js';

const LEAST_SHARE = 16;

export interface BaseCandidate {
  readonly record: BaseRecord;
  /** Bytes that would be referred to. */
  readonly live: number;
  /** Of the whole image file; 0 when it cannot be used. */
  readonly size: number;
}

export function chooseBases(candidates: readonly BaseCandidate[], spare: number, mostBases: number = MAX_BASES): BaseRecord[] {
  const usable = candidates.filter(({ live, size }) => size > 0 && live * LEAST_SHARE >= size);
  const most = usable.sort((a, b) => b.live - a.live).slice(0, mostBases);
  const chosen: BaseRecord[] = [];
  let waste = 0;
  for (const { record, live, size } of most.sort((a, b) => (a.size - a.live) / a.live - (b.size - b.live) / b.live)) {
    const more = Math.max(size - live, 0);
    if (waste + more > spare) continue;
    waste += more;
    chosen.push(record);
  }
  return chosen;
}
