/**
 * What is inside of two values of one kind, put side by side.
 *
 * Invariants
 * 1. Elements of arrays go by index, properties and primitive keys by name or value. Objects as keys of a Map or items of a
 *    Set go with the object that they were met with elsewhere, and otherwise one by one in the order of iteration.
 * 2. Whatever the codec carries is looked at: holes, attributes, order, properties beside elements. Nothing runs.
 * 3. Arrays of numbers only are told as a sum; elements that one side has beyond the other as one run.
 */
import { types } from 'node:util';
import { integrityOf } from '../codec/graph-properties.js';
import { indexStep, keyStep, mapStep, setStep, symbolStep } from '../codec/paths.js';
import { ElementCount } from './diff-elements.js';
import type { Inside } from './diff-parts.js';
import { elementIndexes, entriesOf, isObject, itemsOf, propertyKeys } from './value-kinds.js';

const INTEGRITIES = ['open', 'closed', 'sealed', 'frozen'] as const;

/** Of plain objects, which most are. */
export function comparePlain(a: object, b: object, inside: Inside): void {
  compareProperties(a, b, Reflect.ownKeys(a), Reflect.ownKeys(b), inside, compareIntegrity(a, b, inside));
}

/** Elements, entries, items and properties; both are of one kind, and no instances of classes. */
export function compareContents(a: object, b: object, inside: Inside): void {
  const same = compareIntegrity(a, b, inside);
  if (Array.isArray(a) && Array.isArray(b)) compareArrays(a, b, inside, same);
  else if (types.isMap(a) && types.isMap(b)) compareMaps(a, b, inside);
  else if (types.isSet(a) && types.isSet(b)) compareSets(a, b, inside);
  compareProperties(a, b, keysOf(a), keysOf(b), inside, same);
}

/** @returns whether it is the same; when not, attributes follow from it and are not told */
export function compareIntegrity(a: object, b: object, inside: Inside): boolean {
  const [integrity, other] = [integrityOf(a), integrityOf(b)];
  if (integrity !== other) inside.differs('integrity', { text: INTEGRITIES[integrity] }, { text: INTEGRITIES[other] });
  return integrity === other;
}

type Keys = readonly (string | symbol)[];

function compareProperties(a: object, b: object, keys: Keys, others: Keys, inside: Inside, attributes: boolean): void {
  const common: (string | symbol)[] = [];
  for (const key of keys) {
    const [left, right] = [Object.getOwnPropertyDescriptor(a, key), Object.getOwnPropertyDescriptor(b, key)];
    if (left === undefined) continue;
    if (right === undefined) {
      inside.only('-', stepTo(key), { value: left.value });
      continue;
    }
    common.push(key);
    if (attributes) compareAttributes(left, right, stepTo(key), inside);
    inside.both(stepTo(key), left.value, right.value);
  }
  for (const key of others)
    if (!Object.hasOwn(a, key)) inside.only('+', stepTo(key), { value: Object.getOwnPropertyDescriptor(b, key)?.value });
  const inOrder = common.length === others.length ? others : others.filter((key) => Object.hasOwn(a, key));
  if (common.some((key, place) => key !== inOrder[place])) inside.differs('order', { text: 'keys' }, { text: 'keys in another order' });
}

function keysOf(object: object): Keys {
  return types.isRegExp(object) ? Reflect.ownKeys(object) : propertyKeys(object);
}

function stepTo(key: string | symbol): string {
  return typeof key === 'symbol' ? symbolStep(key) : keyStep(key);
}

function compareAttributes(a: PropertyDescriptor, b: PropertyDescriptor, step: string, inside: Inside): void {
  if (a.writable === b.writable && a.enumerable === b.enumerable && a.configurable === b.configurable) return;
  inside.differs('attributes', { text: attributesOf(a) }, { text: attributesOf(b) }, step);
}

function attributesOf({ writable, enumerable, configurable }: PropertyDescriptor): string {
  return `${writable === true ? 'writable' : 'read-only'}, ${enumerable === true ? 'enumerable' : 'hidden'}, ${configurable === true ? 'configurable' : 'fixed'}`;
}

function compareArrays(a: readonly unknown[], b: readonly unknown[], inside: Inside, attributes: boolean): void {
  const common = Math.min(a.length, b.length);
  const numbers = onlyNumbers(a, common) && onlyNumbers(b, common);
  const [lefts, rights] = [[...elementIndexes(a)], [...elementIndexes(b)]];
  const count = new ElementCount(common);
  const run = new Run(inside);
  let place = 0;
  for (const index of lefts) {
    for (let right = rights[place]; right !== undefined && right < index; right = rights[++place]) run.add('+', right, b[right]);
    if (rights[place] !== index) {
      run.add('-', index, a[index]);
      continue;
    }
    place++;
    run.end();
    if (attributes) {
      const [left, right] = [Object.getOwnPropertyDescriptor(a, index), Object.getOwnPropertyDescriptor(b, index)];
      if (left !== undefined && right !== undefined) compareAttributes(left, right, indexStep(index), inside);
    }
    if (numbers) count.compare(index, a[index], b[index]);
    else inside.both(indexStep(index), a[index], b[index]);
  }
  for (; place < rights.length; place++) run.add('+', rights[place] ?? 0, b[rights[place] ?? 0]);
  run.end();
  if (count.found !== undefined) inside.elements(a, b, count.found);
  const told = (a.length > b.length ? lefts : rights).at(-1) === Math.max(a.length, b.length) - 1;
  if (a.length !== b.length && !told) inside.differs('length', { value: a.length }, { value: b.length });
}

function onlyNumbers(array: readonly unknown[], length: number): boolean {
  for (let index = 0; index < length; index++) if (typeof array[index] !== 'number') return false;
  return length > 0;
}

/** Neighbouring elements of one side, told together. */
class Run {
  readonly #inside: Inside;
  #mark: '+' | '-' = '+';
  #from = 0;
  #to = 0;
  #first: unknown;

  constructor(inside: Inside) {
    this.#inside = inside;
  }

  add(mark: '+' | '-', index: number, value: unknown): void {
    if (this.#to !== index || this.#mark !== mark || this.#from === this.#to) {
      this.end();
      this.#mark = mark;
      this.#from = index;
      this.#first = value;
    }
    this.#to = index + 1;
  }

  end(): void {
    const count = this.#to - this.#from;
    if (count === 1) this.#inside.only(this.#mark, indexStep(this.#from), { value: this.#first });
    else if (count > 1) this.#inside.only(this.#mark, `[${this.#from}:${this.#to}]`, { text: `${count} elements` });
    this.#to = this.#from;
  }
}

/** Which key or item of B each of A goes with, by their places in the order of iteration. */
function partners(as: readonly unknown[], bs: readonly unknown[], inside: Inside): (number | undefined)[] {
  const places = new Map(bs.map((key, place) => [key, place]));
  const free = new Set(bs.flatMap((key, place) => (isObject(key) ? [place] : [])));
  const found = as.map((key) => {
    if (!isObject(key)) return places.get(key);
    const partner = inside.partnerOf(key);
    const place = partner === undefined ? undefined : places.get(partner);
    return place !== undefined && free.delete(place) ? place : undefined;
  });
  const rest = free.values();
  return found.map((place, at) => (place === undefined && isObject(as[at]) ? rest.next().value : place));
}

function compareMaps(a: Map<unknown, unknown>, b: Map<unknown, unknown>, inside: Inside): void {
  const [lefts, rights] = [[...entriesOf(a)], [...entriesOf(b)]];
  const keys = (entries: readonly [unknown, unknown][]): unknown[] => entries.map(([key]) => key);
  const found = partners(keys(lefts), keys(rights), inside);
  for (const [place, [key, value]] of lefts.entries()) {
    const right = rights[found[place] ?? -1];
    if (right === undefined) {
      inside.only('-', mapStep(key, place, false), { value });
      continue;
    }
    if (isObject(key)) inside.both(mapStep(key, place, true), key, right[0]);
    inside.both(mapStep(key, place, false), value, right[1]);
  }
  const matched = new Set(found);
  for (const [place, [key, value]] of rights.entries()) if (!matched.has(place)) inside.only('+', mapStep(key, place, false), { value });
  compareOrder(found, 'entries', inside);
}

function compareSets(a: Set<unknown>, b: Set<unknown>, inside: Inside): void {
  const [lefts, rights] = [[...itemsOf(a)], [...itemsOf(b)]];
  const found = partners(lefts, rights, inside);
  for (const [place, item] of lefts.entries()) {
    const partner = found[place];
    if (partner === undefined) inside.only('-', setStep(place), { value: item });
    else if (isObject(item)) inside.both(setStep(place), item, rights[partner]);
  }
  const matched = new Set(found);
  for (const [place, item] of rights.entries()) if (!matched.has(place)) inside.only('+', setStep(place), { value: item });
  compareOrder(found, 'items', inside);
}

function compareOrder(found: readonly (number | undefined)[], what: string, inside: Inside): void {
  let last = -1;
  for (const place of found) {
    if (place === undefined) continue;
    if (place < last) {
      inside.differs('order', { text: what }, { text: `${what} in another order` });
      return;
    }
    last = place;
  }
}
