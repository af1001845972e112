/**
 * Where a member was last seen at a safepoint, told to its program while all is well: one that hangs later can tell nothing.
 *
 * Invariants
 * 1. Told at most every TELL_MS, and only what is new: a place costs some microseconds to be put into words.
 */
import type { Place } from '../base/place.js';

const TELL_MS = 250;

export class SeenPlaces {
  readonly #tell: (place: string) => void;
  readonly #now: () => number;
  #last = '';
  #at = Number.NEGATIVE_INFINITY;

  constructor(tell: (place: string) => void, now: () => number) {
    this.#tell = tell;
    this.#now = now;
  }

  seen(place: Place): void {
    const now = this.#now();
    if (now - this.#at < TELL_MS) return;
    this.#at = now;
    const words = String(place);
    if (words === this.#last) return;
    this.#last = words;
    this.#tell(words);
  }
}
