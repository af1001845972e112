/**
 * Numbers compared one by one and told as a sum: how many differ, by how much at most, and where first.
 *
 * Invariants
 * 1. Equal means Object.is: NaN equals NaN whatever its bits are, and -0 differs from 0.
 * 2. Bytes that are equal are passed over without a look at the numbers.
 */
import { viewMemory, viewOffset } from '../codec/slots.js';
import type { Range } from './changed-ranges.js';
import { elementsOf } from './value-kinds.js';

/** What differs in two arrays of numbers, as far as both go. */
export interface ChangedElements {
  /** How many were compared. */
  readonly of: number;
  readonly changed: number;
  /** Index of the first that differs. */
  readonly first: number;
  /** The largest absolute difference; undefined where none is finite. */
  readonly maxDelta: number | bigint | undefined;
}

const BLOCK = 65_536;

export class ElementCount {
  readonly #of: number;
  #changed = 0;
  #first = -1;
  #maxDelta: number | bigint | undefined;

  constructor(of: number) {
    this.#of = of;
  }

  compare(index: number, a: unknown, b: unknown): void {
    if (Object.is(a, b)) return;
    this.#changed++;
    if (this.#first < 0 || index < this.#first) this.#first = index;
    const delta = deltaOf(a, b);
    if (delta !== undefined && (this.#maxDelta === undefined || delta > this.#maxDelta)) this.#maxDelta = delta;
  }

  /** Undefined when nothing differs. */
  get found(): ChangedElements | undefined {
    if (this.#changed === 0) return undefined;
    return { of: this.#of, changed: this.#changed, first: this.#first, maxDelta: this.#maxDelta };
  }
}

function deltaOf(a: unknown, b: unknown): number | bigint | undefined {
  if (typeof a === 'bigint' && typeof b === 'bigint') return a > b ? a - b : b - a;
  const delta = typeof a === 'number' && typeof b === 'number' ? Math.abs(a - b) : Number.NaN;
  return Number.isFinite(delta) ? delta : undefined;
}

/** @param ranges bytes of the views outside of which they are equal */
export function compareViews(a: ArrayBufferView, b: ArrayBufferView, ranges: readonly Range[]): ChangedElements | undefined {
  const left = elementsOf(a);
  const right = elementsOf(b);
  const size = left.BYTES_PER_ELEMENT;
  const length = Math.min(left.length, right.length);
  const count = new ElementCount(length);
  const [one, other] = [bytesBehind(a, length * size), bytesBehind(b, length * size)];
  for (const { from, to } of ranges) {
    for (let at = from - (from % size); at < to; at += BLOCK) {
      const end = Math.min(at + BLOCK, Math.ceil(to / size) * size, length * size);
      if (end <= at || one.compare(other, at, end, at, end) === 0) continue;
      for (let index = at / size; index < end / size; index++) count.compare(index, left[index], right[index]);
    }
  }
  return count.found;
}

function bytesBehind(view: ArrayBufferView, length: number): Buffer {
  return Buffer.from(viewMemory(view), viewOffset(view), length);
}
