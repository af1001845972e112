/**
 * Objects that are like one that was looked at in full: of the same hidden class (hidden-class.ts), so with the same regular
 * properties. They are read by code made for their keys (reader.ts).
 *
 * Invariants
 * 1. An example was looked at in full since code of the program (an `encode` function) last ran, and is open with nothing but
 *    regular properties: a plain object, or an instance of a class without `encode`.
 * 2. Hidden classes say nothing of elements: an object is read only when it has no more keys than the example.
 * 3. A hidden class is never remembered of an object: V8 moves objects to others by itself (another kind of elements, a wider
 *    kind of number), so nothing about identity rests on it. It is compared where the object is read; or, for records of a run
 *    (record-runs.ts), before, and what the comparison says of their properties holds until code of the program runs.
 */
import { types } from 'node:util';
import type { ClassDefinition } from './classes.js';
import { INTEGRITY, MAX_SHAPE_KEYS } from './graph-format.js';
import { type ClassWire, classWire, type ObjectGroup } from './graph-groups.js';
import { isIndex } from './graph-properties.js';
import type { GraphSection } from './graph-section.js';
import type { HiddenClasses } from './hidden-class.js';
import { PlainArrays } from './plain-arrays.js';
import { codeFor, type ShapeCode } from './reader.js';
import { holdsMore } from './slots.js';

/** Shapes that are kept in mind. */
const MOST = 32;

class Familiar {
  example: object;
  /** When the example was looked at. */
  epoch: number;
  readonly #of: ClassDefinition | undefined;
  readonly #wire: ClassWire;
  readonly #keys: readonly string[];
  readonly #code: ShapeCode;
  #section: GraphSection | undefined;
  #group: ObjectGroup | undefined;

  constructor(example: object, epoch: number, of: ClassDefinition | undefined, keys: readonly string[]) {
    this.example = example;
    this.epoch = epoch;
    this.#of = of;
    this.#wire = classWire(of);
    this.#keys = keys;
    this.#code = codeFor(keys, hasJustThese(example, keys));
  }

  scan(section: GraphSection, object: object): boolean {
    if (this.#section !== section) {
      this.#section = section;
      this.#group = section.shaped(this.#wire, this.#of ?? false, INTEGRITY.open, this.#keys);
    }
    const group = this.#group;
    if (group === undefined || this.#code.reader()?.(object, section, group.columns) !== true) return false;
    section.place(group);
    return true;
  }

  /** Objects that are known to be like the example. @returns the first that was not told */
  scanMany(section: GraphSection, objects: readonly object[], from: number): number {
    this.#group = section.shaped(this.#wire, this.#of ?? false, INTEGRITY.open, this.#keys);
    this.#section = section;
    const group = this.#group;
    const first = objects[from];
    const code = first === undefined ? undefined : this.#code.manyFor(first);
    if (group === undefined || code === undefined) return from;
    let next = from;
    for (let told = 1; told > 0 && next < objects.length; next += told) {
      told = code.read(objects, next, section, group.columns);
      section.placeMany(group, told);
    }
    return next;
  }
}

function hasJustThese(object: object, keys: readonly string[]): boolean {
  let found = 0;
  for (const _ in object) found++;
  return found === keys.length;
}

export class Familiars {
  readonly arrays: PlainArrays;
  readonly #hidden: HiddenClasses;
  readonly #all: Familiar[] = [];
  #last: Familiar | undefined;
  #epoch = 0;

  constructor(hidden: HiddenClasses) {
    this.#hidden = hidden;
    this.arrays = new PlainArrays(hidden);
  }

  /** @returns false when the object must be looked at in full, and nothing was told */
  scan(section: GraphSection, object: object): boolean {
    if (isArray(object)) return this.arrays.scan(section, object);
    const familiar = this.#find(object);
    return familiar !== undefined && familiar.epoch === this.#epoch && familiar.scan(section, object);
  }

  /** The object was looked at in full: those that are like it need not be. */
  learn(object: object, of: ClassDefinition | undefined, keys: readonly string[]): void {
    const familiar = this.#find(object);
    if (familiar !== undefined) {
      if (familiar.epoch === this.#epoch || !this.#isExample(object, keys)) return;
      familiar.example = object;
      familiar.epoch = this.#epoch;
    } else if (this.#all.length < MOST && this.#isExample(object, keys)) {
      this.#all.push(new Familiar(object, this.#epoch, of, keys.slice()));
    }
  }

  /** Whether an example like it is up to date. */
  knows(object: object): boolean {
    return this.#find(object)?.epoch === this.#epoch;
  }

  /** Changes when objects may have. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Objects that were found to be like each other in this epoch. @returns the first that was not told */
  scanMany(section: GraphSection, objects: readonly object[], from: number): number {
    const first = objects[from];
    const familiar = first === undefined ? undefined : this.#find(first);
    return familiar?.epoch === this.#epoch ? familiar.scanMany(section, objects, from) : from;
  }

  /** Code of the program has run, and may have changed any object. */
  changed(): void {
    this.#epoch++;
  }

  #find(object: object): Familiar | undefined {
    const { same } = this.#hidden;
    const last = this.#last;
    if (last !== undefined && same(object, last.example)) return last;
    for (const familiar of this.#all) {
      if (same(object, familiar.example)) {
        this.#last = familiar;
        return familiar;
      }
    }
    return undefined;
  }

  #isExample(object: object, keys: readonly string[]): boolean {
    if (keys.length === 0 || keys.length > MAX_SHAPE_KEYS || keys.some(isIndex)) return false;
    return this.#hidden.isFast(object) && !holdsMore(object) && !hasProxyAbove(object);
  }
}

/** A Proxy that was revoked cannot be asked: it is no array here, and refused where objects are looked at in full. */
function isArray(object: object): object is unknown[] {
  try {
    return Array.isArray(object);
  } catch {
    return false;
  }
}

/** `for … in` would ask it for its keys. */
function hasProxyAbove(object: object): boolean {
  for (let above: unknown = Object.getPrototypeOf(object); above !== null; above = Object.getPrototypeOf(above))
    if (types.isProxy(above)) return true;
  return false;
}
