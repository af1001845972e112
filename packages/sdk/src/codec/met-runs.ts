/**
 * Runs: many records that were met one after the other and are told apart by what they hold, so that none of them needs a place
 * in a table of identities until one is met again.
 *
 * Invariants
 * 1. Under its key each object of a run has a number of its own, as plain data, greater than that of the one before it: so no
 *    object is there twice, and whether any object is one of them is a search for its number and a comparison with the one found.
 * 2. That rests on what objects hold and on `===`, never on hidden classes; it holds until code of the program runs.
 */
import { types } from 'node:util';

/** For fewer objects it does not pay. */
export const LEAST_RUN = 256;

export class Run {
  /** By its place here, the number of each object is `first` and the place. */
  readonly objects: readonly object[];
  readonly first: number;
  readonly #key: string;

  constructor(objects: readonly object[], key: string, first: number) {
    this.objects = objects;
    this.first = first;
    this.#key = key;
  }

  /** The number of the object; undefined when it is none of the run. Nothing of the program runs. */
  find(object: object): number | undefined {
    if (types.isProxy(object) || Array.isArray(object)) return undefined;
    const held: unknown = Object.getOwnPropertyDescriptor(object, this.#key)?.value;
    const place = typeof held === 'number' ? this.#search(held) : -1;
    return this.objects[place] === object ? this.first + place : undefined;
  }

  /** Where that number is, or would be. */
  #search(held: number): number {
    let low = 0;
    let high = this.objects.length;
    const least = this.#held(0);
    // Keys that are counted up are found at once.
    const guess = Math.floor(((held - least) / (this.#held(high - 1) - least)) * (high - 1));
    if (this.#held(guess) === held) return guess;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#held(middle) < held) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** What the object there holds under the key, ascending with the places: a number, as plain data. */
  #held(place: number): number {
    const object = this.objects[place];
    return object === undefined ? Number.NaN : Number(Reflect.get(object, this.#key));
  }
}
