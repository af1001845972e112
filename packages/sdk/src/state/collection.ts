/**
 * A collection: a Map that remembers which of its keys changed, so that a checkpoint costs what changed.
 *
 * Invariants
 * 1. Methods and order of iteration are those of Map. It holds a Map and is none, so that no built-in reaches around it.
 * 2. A value counts as it is at the first checkpoint after its key was set or touched; a change inside of it that nobody
 *    told is not captured.
 */
import type { CollectionChanges } from './collection-changes.js';

/** What can be told from one restart to the next; an object is another one then. */
export type CollectionKey = string | number | bigint | boolean | null | undefined;

/** Made by `ckpt.collection()`. */
export class Collection<K extends CollectionKey = CollectionKey, V = unknown> implements Map<K, V> {
  readonly [Symbol.toStringTag] = 'Collection';
  readonly #entries: Map<K, V>;
  readonly #changes: { now: CollectionChanges };

  /** @internal */
  constructor(entries: Map<K, V>, changes: { now: CollectionChanges }) {
    this.#entries = entries;
    this.#changes = changes;
  }

  get size(): number {
    return this.#entries.size;
  }
  has(key: K): boolean {
    return this.#entries.has(key);
  }
  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  /** @throws TypeError for a key that is not a primitive, or a symbol */
  set(key: K, value: V): this {
    const old = this.#entries.get(key);
    const anew = old === undefined && !this.#entries.has(key);
    if (anew) assertKey(key);
    this.#entries.set(key, value);
    if (anew || !Object.is(old, value) || typeof value === 'object' || typeof value === 'function') this.#changes.now.set(key, anew);
    return this;
  }

  /** Says that the value of `key` was changed in place. @returns whether there is one */
  touch(key: K): boolean {
    if (!this.#entries.has(key)) return false;
    this.#changes.now.set(key, false);
    return true;
  }

  delete(key: K): boolean {
    if (!this.#entries.delete(key)) return false;
    this.#changes.now.delete(key);
    return true;
  }

  clear(): void {
    this.#entries.clear();
    this.#changes.now.clear();
  }

  forEach(callback: (value: V, key: K, collection: Map<K, V>) => void, thisArg?: unknown): void {
    for (const [key, value] of this.#entries) callback.call(thisArg, value, key, this);
  }
  entries(): MapIterator<[K, V]> {
    return this.#entries.entries();
  }
  keys(): MapIterator<K> {
    return this.#entries.keys();
  }
  values(): MapIterator<V> {
    return this.#entries.values();
  }
  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.#entries.entries();
  }
}

function assertKey(key: unknown): void {
  if ((typeof key !== 'object' && typeof key !== 'function' && typeof key !== 'symbol') || key === null) return;
  throw new TypeError(
    `collection set(key): expected a key that is a string, number, bigint, boolean, null or undefined, got a ${typeof key}; ` +
      'objects are other ones after a restart: give them an id, or keep a Map in state()',
  );
}
