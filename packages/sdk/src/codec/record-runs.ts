/**
 * Records that are met in one Map or array, all of one shape and told apart by a number in them: their numbers are given at once,
 * without a look into the table of identities (met-runs.ts), and their values are read by code made for their kinds (reader.ts).
 *
 * Invariants
 * 1. Each record was compared with an example that was looked at in full, after code of the program last ran: what holds of the
 *    example's properties holds of its own until such code runs again. Then the rest is looked at in full.
 * 2. Numbers are those that the walk gives without runs; bytes do not depend on whether there are any.
 */
import { types } from 'node:util';
import type { ClassDefinition, ClassRegistry } from './classes.js';
import type { Familiars } from './familiar.js';
import { INTEGRITY } from './graph-format.js';
import { integrityOf, regularValues } from './graph-properties.js';
import type { GraphSection } from './graph-section.js';
import type { HiddenClasses } from './hidden-class.js';
import type { QueuedRun } from './queue.js';

/** A key is tried when so many of the first records are told apart by it. */
const TRIED = 64;
/** Records in between that are unlike the one before; then the rest is read one by one. */
const MOST_UNLIKE = 32;

/** @returns the first record from `next` on that is unlike the example, or holds no greater number than the one before it, the first of which is behind `last` */
type Orderer = (records: readonly unknown[], example: object, same: HiddenClasses['same'], last: number, next: number) => number;

export class RecordRuns {
  readonly #hidden: HiddenClasses;
  readonly #familiars: Familiars;
  readonly #classes: ClassRegistry;

  constructor(hidden: HiddenClasses, familiars: Familiars, classes: ClassRegistry) {
    this.#hidden = hidden;
    this.#familiars = familiars;
    this.#classes = classes;
  }

  /** @returns the key that puts them in order; undefined unless all of them are records of one shape that have one */
  ordered(records: readonly unknown[]): string | undefined {
    const [first] = records;
    if (typeof first !== 'object' || first === null) return undefined;
    const keys = this.#looked(first);
    const key = keys?.find((name) => isOrdered(records, name));
    if (keys === undefined || key === undefined) return undefined;
    let example: unknown = first;
    let next = 0;
    for (let looks = 0; looks < MOST_UNLIKE && isObject(example); looks++) {
      const last: unknown = next === 0 ? Number.NEGATIVE_INFINITY : Reflect.get(Object(records[next - 1]), key);
      next = ordererFor(key)(records, example, this.#hidden.same, Number(last), next);
      if (next === records.length) return key;
      example = records[next];
      if (!isObject(example) || this.#hidden.same(example, first) || !this.#isAlike(example, first, keys)) return undefined;
    }
    return undefined;
  }

  /** Tells the records of a run. */
  scan(section: GraphSection, { objects, epoch }: QueuedRun, single: (section: GraphSection, object: object) => void): void {
    let unlike = 0;
    for (let next = 0; next < objects.length; next++) {
      if (unlike < MOST_UNLIKE && epoch === this.#familiars.epoch) {
        const before = next;
        next = this.#familiars.scanMany(section, objects, next);
        if (next - before < TRIED) unlike++;
      }
      const object = objects[next];
      if (object !== undefined) single(section, object);
    }
  }

  /** The keys of a record that was looked at in full and can be an example. */
  #looked(record: object): readonly string[] | undefined {
    if (types.isProxy(record) || Array.isArray(record)) return undefined;
    const prototype: unknown = Object.getPrototypeOf(record);
    if (typeof prototype !== 'object' || prototype === null) return undefined;
    let of: ClassDefinition | undefined;
    if (prototype !== Object.prototype) {
      of = this.#classes.of(prototype);
      if (of === undefined || of.encode !== undefined) return undefined;
    }
    const names = Object.getOwnPropertyNames(record);
    if (integrityOf(record) !== INTEGRITY.open || !regularValues(record, names, INTEGRITY.open, [])) return undefined;
    this.#familiars.learn(record, of, names);
    return this.#familiars.knows(record) ? names : undefined;
  }

  /** Looks at a record of another hidden class in full: V8 keeps objects apart that hold other kinds of numbers. */
  #isAlike(record: object, first: object, keys: readonly string[]): boolean {
    const names = this.#looked(record);
    if (names?.length !== keys.length || names.some((name, index) => name !== keys[index])) return false;
    return Object.getPrototypeOf(record) === Object.getPrototypeOf(first);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** As far as the first tell, whatever they are: an accessor or a Proxy is not asked. */
function isOrdered(records: readonly unknown[], key: string): boolean {
  let last = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < TRIED && i < records.length; i++) {
    const record = records[i];
    if (!isObject(record) || types.isProxy(record)) return false;
    const value: unknown = Object.getOwnPropertyDescriptor(record, key)?.value;
    if (typeof value !== 'number' || !(value > last)) return false;
    last = value;
  }
  return true;
}

const orderers = new Map<string, Orderer>();
const MOST = 256;

function ordererFor(key: string): Orderer {
  let orderer = orderers.get(key);
  if (orderer === undefined) {
    // Keys are in the code as literals of JSON, which cannot end a string of JavaScript.
    const code = `for (; next < records.length; next++) {
        const record = records[next];
        if (typeof record !== 'object' || record === null || !same(record, example)) break;
        const value = record[${JSON.stringify(key)}];
        if (typeof value !== 'number' || !(value > last)) break;
        last = value;
      }
      return next;`;
    if (orderers.size === MOST) orderers.clear();
    orderer = new Function('records', 'example', 'same', 'last', 'next', code) as Orderer; // typed by what the code does
    orderers.set(key, orderer);
  }
  return orderer;
}
