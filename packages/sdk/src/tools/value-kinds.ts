/**
 * What kind of value something out of an image is, and how to look into it without running anything.
 *
 * Invariants
 * 1. Only data is looked at: an accessor is never called, and what a value says of itself (`toString`, `inspect`) never asked.
 */
import { types } from 'node:util';
import { Tagged } from '../codec/classes.js';
import { ERRORS } from '../codec/graph-format.js';
import { isBareView } from '../codec/own-properties.js';
import { boxedPrimitive, viewKind, viewLength, viewMemory, viewOffset } from '../codec/slots.js';

export function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** `null`, `number`, `Map`, `Float64Array`, `class Particle`, … */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (!isObject(value)) return typeof value;
  if (value instanceof Tagged) return `class ${value.class}`;
  if (types.isTypedArray(value)) return viewKind(value);
  const [kind] = KINDS.find(([, is]) => is(value)) ?? ['object'];
  return kind;
}

/** As kindOf, of a value out of an image; tells apart what differs in its prototype only, and boxed primitives. */
export function exactKind(value: unknown): string {
  if (!isObject(value)) return kindOf(value);
  // Most are plain, and asking for each kind is slow: what is decoded has the prototype of its kind.
  if (Object.getPrototypeOf(value) === Object.prototype) return 'object';
  if (value instanceof Tagged) return kindOf(value);
  if (Buffer.isBuffer(value)) return 'Buffer';
  if (types.isNativeError(value)) return ERRORS.find((name) => Object.getPrototypeOf(value) === globalThis[name].prototype) ?? 'Error';
  if (types.isBoxedPrimitive(value)) return `boxed ${typeof boxedPrimitive(value)}`;
  const kind = kindOf(value);
  return kind === 'object' && Object.getPrototypeOf(value) === null ? 'object without a prototype' : kind;
}

const KINDS: readonly (readonly [kind: string, is: (value: object) => boolean])[] = [
  ['Array', Array.isArray],
  ['Map', types.isMap],
  ['Set', types.isSet],
  ['Date', types.isDate],
  ['ArrayBuffer', types.isArrayBuffer],
  ['SharedArrayBuffer', types.isSharedArrayBuffer],
  ['DataView', types.isDataView],
  ['RegExp', types.isRegExp],
  ['Error', types.isNativeError],
  ['URL', (value) => value instanceof URL],
];

/** An own property that holds data. */
export function ownValue(object: object, key: PropertyKey): { readonly value: unknown } | undefined {
  const descriptor = Object.getOwnPropertyDescriptor(object, key);
  return descriptor !== undefined && 'value' in descriptor ? { value: descriptor.value } : undefined;
}

/** The keys of an object that are no elements, and that matter; not `lastIndex` where it says nothing. */
export function propertyKeys(object: object): readonly (string | symbol)[] {
  if (types.isRegExp(object)) return Reflect.ownKeys(object).filter((key) => key !== 'lastIndex' || ownValue(object, key)?.value !== 0);
  if (ArrayBuffer.isView(object)) {
    const length = viewLength(object);
    return isBareView(object, length) ? [] : Reflect.ownKeys(object).slice(types.isDataView(object) ? 0 : length);
  }
  const keys = Reflect.ownKeys(object);
  // Element keys come first, in order, then `length`: only what follows is looked at.
  return Array.isArray(object) ? keys.slice(keys.indexOf('length') + 1) : keys;
}

/** After so many holes the rest is looked up by what is there. */
const MANY_HOLES = 10_000;

/** Of the elements that an array has, in order; its holes cost next to nothing, however long it is. */
export function* elementIndexes(array: readonly unknown[]): Generator<number> {
  let holes = 0;
  for (let index = 0; index < array.length; index++) {
    if (Object.hasOwn(array, index)) {
      yield index;
      holes = 0;
    } else if (++holes === MANY_HOLES) {
      const keys = Reflect.ownKeys(array);
      for (const key of keys.slice(0, keys.indexOf('length'))) if (Number(key) > index) yield Number(key);
      return;
    }
  }
}

/** The bytes that a buffer or view shows. */
export function bytesOf(value: ArrayBufferLike | NodeJS.ArrayBufferView): Uint8Array {
  if (!ArrayBuffer.isView(value)) return new Uint8Array(value);
  return new Uint8Array(viewMemory(value), viewOffset(value), elementsOf(value).byteLength);
}

/** A view of its own on the same elements, whatever properties the given one has; of a DataView, its bytes. */
export function elementsOf(view: ArrayBufferView): NodeJS.TypedArray {
  const kind = types.isDataView(view) ? 'Uint8Array' : viewKind(view);
  // The kind is the name of a built-in typed array; their constructors take these arguments.
  const Maker = Reflect.get(globalThis, kind) as new (memory: ArrayBufferLike, offset: number, length: number) => NodeJS.TypedArray;
  return new Maker(viewMemory(view), viewOffset(view), viewLength(view));
}

export function isBuffer(value: unknown): value is ArrayBufferLike {
  return types.isAnyArrayBuffer(value);
}

/** The entries of a Map, whatever properties it has of its own. */
export function entriesOf(map: Map<unknown, unknown>): IterableIterator<[unknown, unknown]> {
  return Map.prototype.entries.call(map);
}

export function itemsOf(set: Set<unknown>): IterableIterator<unknown> {
  return Set.prototype.values.call(set);
}

/** As ownValue, of the entries of a Map. */
export function held(map: Map<unknown, unknown>, key: unknown): { readonly value: unknown } | undefined {
  return Map.prototype.has.call(map, key) ? { value: Map.prototype.get.call(map, key) } : undefined;
}
