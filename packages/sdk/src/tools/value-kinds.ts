/**
 * What kind of value something out of an image is, and how to look into it without running anything.
 *
 * Invariants
 * 1. Only data is looked at: an accessor is never called, and what a value says of itself (`toString`, `inspect`) never asked.
 */
import { types } from 'node:util';
import { Tagged } from '../codec/classes.js';

const TYPED_TAG = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)?.get;

export function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** `Float64Array` and its like, from the internal slot. */
export function typedName(array: NodeJS.TypedArray): string {
  return String(TYPED_TAG?.call(array));
}

/** `null`, `number`, `Map`, `Float64Array`, `class Particle`, … */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (!isObject(value)) return typeof value;
  if (value instanceof Tagged) return `class ${value.class}`;
  if (types.isTypedArray(value)) return typedName(value);
  const [kind] = KINDS.find(([, is]) => is(value)) ?? ['object'];
  return kind;
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

/** The keys of an object that are no elements, and that matter: those that assignment makes, and symbols. */
export function propertyKeys(object: object): readonly (string | symbol)[] {
  if (!Array.isArray(object)) return Reflect.ownKeys(object).filter((key) => !(types.isRegExp(object) && key === 'lastIndex'));
  // Element keys come first, in order, then `length`: only what follows is looked at.
  const keys = Reflect.ownKeys(object);
  return keys.slice(keys.indexOf('length') + 1);
}

/** Of the elements that an array has, in order; its holes cost nothing, however long it is. */
export function elementIndexes(array: readonly unknown[]): readonly number[] {
  const keys = Reflect.ownKeys(array);
  return keys.slice(0, keys.indexOf('length')).map(Number);
}

/** The bytes that a buffer or view shows. */
export function bytesOf(value: ArrayBufferLike | NodeJS.ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
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
