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
export function foreseeState(values: readonly unknown[], budget: number): number[] {
  const seen = new Set<object>();
  const lengths: number[] = [];
  let looks = MOST_LOOKS;
  let level: Iterable<unknown>[] = [values];
  for (let depth = 0; depth < MOST_DEPTH; depth++) {
    const next: Iterable<unknown>[] = [];
    for (const value of chained(level)) {
      if (--looks < 0) return fitting(lengths, budget);
      if (typeof value !== 'object' || value === null) continue;
      const memory = ArrayBuffer.isView(value) ? value.buffer : value;
      if (seen.has(memory)) continue;
      seen.add(memory);
      if (types.isAnyArrayBuffer(memory)) lengths.push(memory.byteLength);
      else if (!types.isProxy(memory)) next.push(partsOf(memory));
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

function* chained(lists: readonly Iterable<unknown>[]): Generator<unknown> {
  for (const list of lists) yield* list;
}

/** Invariant 2: own data, never by a getter; one after the other, because there may be millions. */
function* partsOf(value: object): Generator<unknown> {
  if (types.isMap(value)) yield* Map.prototype.values.call(value);
  else if (Array.isArray(value)) for (let index = 0; index < value.length; index++) yield dataOf(value, String(index));
  else for (const key of Object.keys(value)) yield dataOf(value, key);
}

function dataOf(owner: object, key: string): unknown {
  return Object.getOwnPropertyDescriptor(owner, key)?.value;
}

function fitting(lengths: readonly number[], budget: number): number[] {
  let room = budget;
  return lengths.filter((length) => {
    if (length < SHADOW_BYTES || length > room) return false;
    room -= length;
    return true;
  });
}
