/**
 * Objects and their numbers, by identity.
 *
 * Invariants
 * 1. Until an object comes again there is only a Set, which is asked and told in one search; the numbers lie beside in its
 *    order. Then a Map takes over.
 */
import { Counts } from './growing.js';

export class Met {
  #once: Set<object> | undefined = new Set();
  #numbers = new Counts();
  #known: Map<object, number> | undefined;

  has(object: object): boolean {
    return this.#once?.has(object) ?? this.#known?.has(object) ?? false;
  }

  /** @returns the object's number, which is `next` for one that is new */
  number(object: object, next: number): number {
    const once = this.#once;
    if (once !== undefined) {
      const { size } = once;
      if (once.add(object).size > size) {
        this.#numbers.add(next);
        return next;
      }
    }
    const numbers = this.#known ?? this.#byNumber();
    const known = numbers.get(object);
    if (known !== undefined) return known;
    numbers.set(object, next);
    return next;
  }

  #byNumber(): Map<object, number> {
    const numbers = new Map<object, number>();
    let row = 0;
    for (const object of this.#once ?? []) numbers.set(object, this.#numbers.get(row++));
    this.#once = undefined;
    this.#numbers = new Counts();
    this.#known = numbers;
    return numbers;
  }
}
