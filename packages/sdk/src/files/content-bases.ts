/**
 * Which older images the contents of tracked files may go on lying in.
 *
 * Invariants
 * 1. An image has at most MAX_BASES bases; the least used go first, because they are the cheapest to write again.
 * 2. What bases hold beside the contents is kept on the disk for nothing. All together that is at most `spare`, the size
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
