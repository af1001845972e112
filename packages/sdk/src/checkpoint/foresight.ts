/**
 * How large the buffers are that the first capture will copy, so that memory for the copies is there before it: copying into
 * memory that nobody has touched takes five to seven times as long, and the program stands meanwhile.
 *
 * Invariants
 * 1. It is a guess. A capture that finds other buffers makes what it needs, as it would without.
 * 2. Nothing of the program runs: no getter, no capture function. No more than MOST_LOOKS values are looked at.
 * 3. What is foreseen fits the budget.
 */
import { types } from 'node:util';
import type { Manifest } from '../image/contract.js';
import { SHADOW_BYTES } from './shadow.js';

const MOST_LOOKS = 10_000;
/** Bulk memory is mostly near the surface; what is deeper is copied anew, once. */
const MOST_DEPTH = 4;

/** @param values what providers hold @returns bytes of each buffer */
export function foreseeState(values: Iterable<unknown>, budget: number): number[] {
  const seen = new Set<object>();
  const lengths: number[] = [];
  let level: unknown[] = [...values];
  for (let depth = 0; depth < MOST_DEPTH && seen.size < MOST_LOOKS; depth++) {
    const next: unknown[] = [];
    for (const value of level) {
      if (typeof value !== 'object' || value === null || seen.size >= MOST_LOOKS) continue;
      const memory = ArrayBuffer.isView(value) ? value.buffer : value;
      if (seen.has(memory)) continue;
      seen.add(memory);
      if (types.isAnyArrayBuffer(memory)) lengths.push(memory.byteLength);
      else next.push(...partsOf(memory));
    }
    level = next;
  }
  return fitting(lengths, budget);
}

/** The same where an image was restored. */
export function foreseeImage({ buffers }: Pick<Manifest, 'buffers'>, member: string, budget: number): number[] {
  const lengths = buffers.filter((buffer) => buffer.member === member).map(({ length }) => length);
  return fitting(lengths, budget);
}

/** Invariant 2: own data, never by a getter. */
function partsOf(value: object): unknown[] {
  if (types.isProxy(value)) return [];
  if (types.isMap(value)) return [...Map.prototype.values.call(value)].slice(0, MOST_LOOKS);
  if (Array.isArray(value) && value.length > MOST_LOOKS) return [];
  return Object.values(Object.getOwnPropertyDescriptors(value)).map((property): unknown => property.value);
}

function fitting(lengths: readonly number[], budget: number): number[] {
  let room = budget;
  return lengths.filter((length) => {
    if (length < SHADOW_BYTES || length > room) return false;
    room -= length;
    return true;
  });
}
