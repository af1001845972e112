/**
 * Objects and their numbers, by identity.
 *
 * Invariants
 * 1. Until an object comes again there is only a Set, which is asked and told in one search; the numbers lie beside in its
 *    order. Then a Map takes over.
 * 2. Objects of a run (met-runs.ts) are in neither until they are met again, or code of the program is about to run.
 */
import { Counts } from './growing.js';
import type { Run } from './met-runs.js';

export class Met {
  #once: Set<object> | undefined = new Set();
  #numbers = new Counts();
  #known: Map<object, number> | undefined;
  #runs: Run[] = [];

  has(object: object): boolean {
    return (this.#once ?? this.#known)?.has(object) === true || this.#inRun(object) !== undefined;
  }

  /** @returns the object's number, which is `next` for one that is new */
  number(object: object, next: number): number {
    const once = this.#once;
    if (once !== undefined) {
      const { size } = once;
      if (once.add(object).size > size) {
        const number = this.#inRun(object) ?? next;
        this.#numbers.add(number);
        return number;
      }
    }
    const numbers = this.#known ?? this.#byNumber();
    const known = numbers.get(object);
    if (known !== undefined) return known;
    const number = this.#inRun(object) ?? next;
    numbers.set(object, number);
    return number;
  }

  /** None of the run's objects was met before. */
  addRun(run: Run): void {
    this.#runs.push(run);
  }

  /** Code of the program is about to run: what objects hold will say nothing of who they are. */
  settle(): void {
    const runs = this.#runs;
    if (runs.length === 0) return;
    const numbers = this.#known ?? this.#byNumber();
    for (const { objects, first } of runs) for (const [place, object] of objects.entries()) numbers.set(object, first + place);
    this.#runs = [];
  }

  #inRun(object: object): number | undefined {
    for (const run of this.#runs) {
      const number = run.find(object);
      if (number !== undefined) return number;
    }
    return undefined;
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
