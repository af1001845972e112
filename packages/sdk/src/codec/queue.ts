/**
 * The objects of a section by number, in which order they are scanned.
 *
 * Invariants
 * 1. Objects of a run (met-runs.ts) stay in the list in which they came, which nobody changes.
 */

/** Many objects that were numbered at once. */
export interface QueuedRun {
  /** The number of the first: those of the others follow. */
  readonly first: number;
  readonly objects: readonly object[];
  /** When they were compared. */
  readonly epoch: number;
}

export class Queue {
  length = 0;
  readonly #singles: object[] = [];
  readonly #runs: QueuedRun[] = [];
  /** How many objects of runs come before each run. */
  readonly #before: number[] = [];
  /** The run that was asked about last: the next is the same mostly, or the one behind. */
  #at = -1;

  /** @returns the object's number */
  push(object: object): number {
    this.#singles.push(object);
    return this.length++;
  }

  /** The list is kept, and must not change. */
  pushRun(objects: readonly object[], epoch: number): void {
    const last = this.#runs.length - 1;
    this.#before.push((this.#before[last] ?? 0) + (this.#runs[last]?.objects.length ?? 0));
    this.#runs.push({ first: this.length, objects, epoch });
    this.length += objects.length;
  }

  get(number: number): object | undefined {
    if (this.#runs.length === 0) return this.#singles[number];
    const at = this.#find(number);
    const run = this.#runs[at];
    if (run === undefined) return this.#singles[number];
    const place = number - run.first;
    if (place < run.objects.length) return run.objects[place];
    return this.#singles[number - (this.#before[at] ?? 0) - run.objects.length];
  }

  /** The run that begins with that number. */
  runAt(number: number): QueuedRun | undefined {
    if (this.#runs.length === 0) return undefined;
    const run = this.#runs[this.#find(number)];
    return run?.first === number ? run : undefined;
  }

  /** @returns which run is the last that begins no later; −1: none */
  #find(number: number): number {
    const runs = this.#runs;
    const first = (at: number): number => runs[at]?.first ?? (at < 0 ? -1 : Number.POSITIVE_INFINITY);
    for (let at = this.#at; at <= this.#at + 1; at++) {
      if (number < first(at) || number >= first(at + 1)) continue;
      this.#at = at;
      return at;
    }
    let low = -1;
    let high = runs.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (first(middle) <= number) low = middle;
      else high = middle;
    }
    this.#at = low;
    return low;
  }
}
