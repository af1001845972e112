/**
 * What is left out of the sections whose providers asked for it (`onUnsupported: 'drop'`), and where it was.
 *
 * Invariants
 * 1. That an object cannot be carried shows when it is scanned, after it was referred to: it is noted here, and the walk is
 *    done again without it. Functions, symbols and accessors show where they are held.
 * 2. Whatever is left out is told; the first places by their path, all of them by their number.
 */
import type { DroppedValues } from './contract.js';
import { findPaths } from './graph-path.js';
import { shown } from './paths.js';
import { describePrimitive, type Reason } from './refusal.js';
import { symbolText } from './symbol-text.js';

/** So many places are told by their paths. */
const MOST_PLACES = 20;

interface Place {
  readonly holder: object;
  readonly step: string;
  readonly what: string;
}

/** Of one section, in one walk. */
export class SectionDrops {
  readonly #objects: Map<object, Reason>;
  readonly #places: Place[] = [];
  #count = 0;

  constructor(objects: Map<object, Reason>) {
    this.#objects = objects;
  }

  get count(): number {
    return this.#count;
  }

  /** The object cannot be carried: invariant 1. */
  add(object: object, reason: Reason): void {
    this.#objects.set(object, reason);
  }

  /** Why the value is left out wherever it is held; undefined for what is carried. */
  reasonOf(value: unknown): Reason | undefined {
    switch (typeof value) {
      case 'object':
        return value === null ? undefined : this.#objects.get(value);
      case 'function':
        return describePrimitive(value);
      case 'symbol':
        return symbolText(value) === undefined ? describePrimitive(value) : undefined;
      default:
        return undefined;
    }
  }

  /** Something was left out of `holder`. */
  tell(holder: object, step: string, { what }: Reason): void {
    this.#count++;
    if (this.#places.length < MOST_PLACES) this.#places.push({ holder, step, what });
  }

  /** True, and told, when the value is to be left out. */
  takes(value: unknown, holder: object, step: () => string): boolean {
    const reason = this.reasonOf(value);
    if (reason !== undefined) this.tell(holder, step(), reason);
    return reason !== undefined;
  }

  /** Takes what is left out from `values`. @returns the names of those that stay */
  kept(holder: object, names: readonly string[], values: unknown[], stepOf: (name: string) => string): readonly string[] {
    const kept: string[] = [];
    names.forEach((name, index) => {
      if (this.takes(values[index], holder, () => stepOf(name))) return;
      values[kept.length] = values[index];
      kept.push(name);
    });
    return kept;
  }

  told(roots: ReadonlyMap<string, unknown>, encoded: ReadonlyMap<object, unknown>): DroppedValues | undefined {
    if (this.#count === 0) return undefined;
    const paths = findPaths(roots, new Set(this.#places.map(({ holder }) => holder)), encoded);
    const first = this.#places.map(({ holder, step, what }) => ({ path: shown(`${paths.get(holder) ?? ''}${step}`), what: shown(what) }));
    return { count: this.#count, first };
  }
}

/** Of one member, until a walk meets no more objects that cannot be carried. */
export class Drops {
  readonly #names: ReadonlySet<string>;
  readonly #objects = new Map<object, Reason>();

  /** @param names the providers that asked for it */
  constructor(names: ReadonlySet<string>) {
    this.#names = names;
  }

  /** Undefined for a section that refuses instead. */
  of(name: string): SectionDrops | undefined {
    return this.#names.has(name) ? new SectionDrops(this.#objects) : undefined;
  }

  /** How many objects cannot be carried, as far as is known. */
  get size(): number {
    return this.#objects.size;
  }
}
