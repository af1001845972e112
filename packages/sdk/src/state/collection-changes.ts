/**
 * What changed in a collection since some moment: which keys were set, and which of those that were there are gone.
 *
 * Invariants
 * 1. Applied to the map of that moment, first the deletions and then the settings in order, it gives the map of now, with
 *    the same order of iteration: a key that came anew is set behind all that came before it, one that was there keeps its place.
 * 2. Its size follows the number of changed keys.
 */
export class CollectionChanges {
  /** Keys to set, in order; true for those that come anew, at the end. */
  readonly #set = new Map<unknown, boolean>();
  readonly #deleted = new Set<unknown>();
  #cleared = false;

  /** True when nothing of that moment is left: then only what is set counts. */
  get cleared(): boolean {
    return this.#cleared;
  }
  get size(): number {
    return this.#set.size + this.#deleted.size;
  }
  keysSet(): Iterable<unknown> {
    return this.#set.keys();
  }
  keysDeleted(): readonly unknown[] {
    return [...this.#deleted];
  }

  /** @param anew the key was not there just before */
  set(key: unknown, anew: boolean): void {
    if (anew) {
      this.#set.delete(key);
      this.#set.set(key, true);
    } else if (!this.#set.has(key)) this.#set.set(key, false);
  }

  /** The key was there just before. */
  delete(key: unknown): void {
    const anew = this.#set.get(key);
    this.#set.delete(key);
    // One that came anew and goes again was never there, or has its deletion already.
    if (anew !== true) this.#deleted.add(key);
  }

  clear(): void {
    this.#set.clear();
    this.#deleted.clear();
    this.#cleared = true;
  }

  /** Takes up what happened after it. */
  follow(later: CollectionChanges): void {
    if (later.#cleared) this.clear();
    for (const key of later.#deleted) this.delete(key);
    for (const [key, anew] of later.#set) this.set(key, anew);
  }
}
