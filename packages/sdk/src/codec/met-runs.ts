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

/** Where a run is in the queue of its section. */
export interface QueuedRun {
  readonly first: number;
  readonly count: number;
  /** When its records were compared. */
  readonly epoch: number;
}

export class Run {
  /** By its place here, the number of each object is `first` and the place. */
  readonly objects: readonly object[];
  readonly first: number;
  readonly #key: string;
  /** What each object holds under the key, ascending. */
  readonly #order: Float64Array;

  constructor(objects: readonly object[], key: string, order: Float64Array, first: number) {
    this.objects = objects;
    this.first = first;
    this.#key = key;
    this.#order = order;
  }

  /** The number of the object; undefined when it is none of the run. Nothing of the program runs. */
  find(object: object): number | undefined {
    if (types.isProxy(object) || Array.isArray(object)) return undefined;
    const held: unknown = Object.getOwnPropertyDescriptor(object, this.#key)?.value;
    if (typeof held !== 'number') return undefined;
    const place = this.#search(held);
    return this.objects[place] === object ? this.first + place : undefined;
  }

  /** Where that number is, or would be. */
  #search(held: number): number {
    const order = this.#order;
    let low = 0;
    let high = order.length;
    const least = order[0] ?? 0;
    // Keys that are counted up are found at once.
    const guess = Math.floor(((held - least) / ((order[high - 1] ?? 0) - least)) * (high - 1));
    if (order[guess] === held) return guess;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((order[middle] ?? 0) < held) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
