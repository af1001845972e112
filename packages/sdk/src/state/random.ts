/**
 * A random generator whose state is four integers, so that a restart goes on with exactly the next number.
 *
 * Invariants
 * 1. Every result is a function of the seed and of how often which method was called: the same on every machine and
 *    every version of Node. Only + - * / and Math.sqrt are used, which IEEE 754 rounds exactly; Math.log and its kin
 *    may differ between versions of V8, so `normal` has a logarithm of its own.
 * 2. Nothing is kept beside the four integers (no spare normal), so captureState() is all there is.
 * 3. The low bits of xoroshiro128+ are weak: results are made from the high bits of its outputs.
 */
import { createHash } from 'node:crypto';
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import { CheckpointError } from '../base/errors.js';

/** Plain data; goes into an image as it is. */
export interface RandomState {
  readonly algorithm: 'xoroshiro128plus';
  /** Four 32-bit integers, not all zero. */
  readonly words: readonly number[];
}

const TWO_26 = 2 ** 26;
const TWO_32 = 2 ** 32;
const TWO_53 = 2 ** 53;

export class SeededRandom {
  #generator: RandomGenerator;

  /** @throws TypeError when `seed` is neither a safe integer nor a string */
  constructor(seed: number | string) {
    if (typeof seed !== 'string' && !Number.isSafeInteger(seed)) {
      throw new TypeError(`random: expected a seed that is a safe integer or a string, got ${String(seed)}`);
    }
    const hash = createHash('sha256')
      .update(`${typeof seed}:${String(seed)}`)
      .digest();
    this.#generator = xoroshiro128plusFromState([0, 4, 8, 12].map((at) => hash.readInt32LE(at)));
  }

  /** A number in [0, 1) with 53 random bits. */
  next(): number {
    return this.#bits53() / TWO_53;
  }

  /** An integer from 0 to 2^32 - 1. */
  uint32(): number {
    const high = this.#generator.next() >>> 16;
    return high * 65_536 + (this.#generator.next() >>> 16);
  }

  /**
   * An integer from `min` to `max`, both included, each equally likely.
   * @throws TypeError unless both are safe integers with min <= max and max - min is one too
   */
  int(min: number, max: number): number {
    const span = max - min;
    if (!(Number.isSafeInteger(min) && Number.isSafeInteger(max) && Number.isSafeInteger(span) && span >= 0)) {
      throw new TypeError(`random int: expected safe integers min <= max less than 2^53 apart, got ${String(min)} and ${String(max)}`);
    }
    let size = 1;
    while (size <= span) size *= 2;
    // A power of two in size, so that dividing keeps every value equally likely; those beyond the span are drawn again.
    for (;;) {
      const drawn = size <= TWO_32 ? Math.floor(this.uint32() / (TWO_32 / size)) : Math.floor(this.#bits53() / (TWO_53 / size));
      if (drawn <= span) return min + drawn;
    }
  }

  /** A normally distributed number (Marsaglia's polar method). @throws TypeError unless finite, with sd >= 0 */
  normal(mean = 0, sd = 1): number {
    if (!(Number.isFinite(mean) && Number.isFinite(sd) && sd >= 0)) {
      throw new TypeError(`random normal: expected a finite mean and a standard deviation of zero or more, got ${mean} and ${sd}`);
    }
    for (;;) {
      const x = 2 * this.next() - 1;
      const y = 2 * this.next() - 1;
      const square = x * x + y * y;
      if (square < 1 && square > 0) return mean + sd * x * Math.sqrt((-2 * logarithm(square)) / square);
    }
  }

  /** Puts the elements into random order, in place, and returns the same array. */
  shuffle<T>(array: T[]): T[] {
    for (let last = array.length - 1; last > 0; last--) {
      const other = this.int(0, last);
      const kept = array[last];
      // Both indexes lie within the array, so these are its own elements.
      array[last] = array[other] as T;
      array[other] = kept as T;
    }
    return array;
  }

  captureState(): RandomState {
    return { algorithm: 'xoroshiro128plus', words: [...this.#generator.getState()] };
  }

  /** Goes on exactly where captureState() was called. @throws CheckpointError ERR_CKPT_DECODE for anything else */
  restoreState(state: unknown): void {
    if (!isRandomState(state)) {
      const message =
        'restore a random generator: expected { algorithm: "xoroshiro128plus", words: four 32-bit integers }, found something else';
      throw new CheckpointError('ERR_CKPT_DECODE', `${message}; the section was written by another provider or version`);
    }
    this.#generator = xoroshiro128plusFromState([...state.words]);
  }

  #bits53(): number {
    const high = this.#generator.next() >>> 5;
    return high * TWO_26 + (this.#generator.next() >>> 6);
  }
}

function isRandomState(state: unknown): state is RandomState {
  if (typeof state !== 'object' || state === null || !('algorithm' in state && 'words' in state)) return false;
  const { algorithm, words } = state;
  if (algorithm !== 'xoroshiro128plus' || !Array.isArray(words) || words.length !== 4) return false;
  const list: unknown[] = words;
  // All zero is the one state that the generator never leaves.
  return list.every((word) => typeof word === 'number' && (word | 0) === word && !Object.is(word, -0)) && list.some((word) => word !== 0);
}

/** Natural logarithm of a number in (0, 1), by exactly rounded operations alone (invariant 1). */
function logarithm(value: number): number {
  let mantissa = value;
  let halvings = 0;
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    halvings++;
  }
  // ln m = 2 artanh((m - 1) / (m + 1)); the argument is below 0.172, so thirteen terms reach double precision.
  const ratio = (mantissa - 1) / (mantissa + 1);
  const square = ratio * ratio;
  let sum = 0;
  for (let odd = 25; odd >= 1; odd -= 2) sum = sum * square + 1 / odd;
  return 2 * ratio * sum - halvings * Math.LN2;
}
