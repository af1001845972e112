/**
 * Own properties in the walk: the regular ones, which have columns, and all others, which are told one by one.
 *
 * Invariants
 * 1. No getter runs: values come from property descriptors, and an accessor is refused.
 * 2. Nothing that hangs on an object is passed over: hidden, read-only and symbol-keyed properties, properties beside
 *    the elements of an array or view, and whether the object is frozen, sealed or not extensible.
 */
import { types } from 'node:util';
import { ATTRIBUTE, INTEGRITY, type Integrity } from './graph-format.js';
import type { GraphSection } from './graph-section.js';
import { indexStep, keyStep, symbolStep } from './paths.js';
import { describePrimitive, property, type Reason } from './refusal.js';
import { symbolText } from './symbol-text.js';
import { Unsupported } from './unsupported.js';

export function integrityOf(object: object): Integrity {
  if (Object.isExtensible(object)) return INTEGRITY.open;
  // The properties of views are told with their attributes; V8 refuses to close elements, be there any or not.
  if (ArrayBuffer.isView(object)) return INTEGRITY.closed;
  if (Object.isFrozen(object) && !hidesWritable(object)) return INTEGRITY.frozen;
  return Object.isSealed(object) ? INTEGRITY.sealed : INTEGRITY.closed;
}

/** V8 says frozen of objects that are closed and have no property but one that it computes itself, writable as that is. */
function hidesWritable(object: object): boolean {
  const key = Array.isArray(object) ? 'length' : types.isNativeError(object) ? 'stack' : undefined;
  return key !== undefined && Object.getOwnPropertyDescriptor(object, key)?.writable === true;
}

const { enumerable, writable, configurable } = ATTRIBUTE;
const REGULAR: Readonly<Record<Integrity, number>> = {
  [INTEGRITY.open]: enumerable | writable | configurable,
  [INTEGRITY.closed]: enumerable | writable | configurable,
  [INTEGRITY.sealed]: enumerable | writable,
  [INTEGRITY.frozen]: enumerable,
};

function attributesOf(descriptor: PropertyDescriptor): number {
  return (descriptor.enumerable ? enumerable : 0) | (descriptor.writable ? writable : 0) | (descriptor.configurable ? configurable : 0);
}

/**
 * The values of an object all of whose properties are regular, into `values`, in the order of `names`.
 * @returns false when one of them is not
 */
export function regularValues(object: object, names: readonly string[], integrity: Integrity, values: unknown[]): boolean {
  if (Object.getOwnPropertySymbols(object).length > 0) return false;
  if (integrity !== INTEGRITY.open) return closedValues(object, names, integrity, values);
  for (let i = 0; i < names.length; i++) {
    const descriptor = Object.getOwnPropertyDescriptor(object, names[i] ?? '');
    if (descriptor === undefined || !descriptor.writable || !descriptor.enumerable || !descriptor.configurable) return false;
    values[i] = descriptor.value;
  }
  return true;
}

function closedValues(object: object, names: readonly string[], integrity: Integrity, values: unknown[]): boolean {
  for (let i = 0; i < names.length; i++) {
    const descriptor = Object.getOwnPropertyDescriptor(object, names[i] ?? '');
    if (descriptor === undefined || !('value' in descriptor) || attributesOf(descriptor) !== REGULAR[integrity]) return false;
    values[i] = descriptor.value;
  }
  return true;
}

/** Tells one property of the object that is scanned now. Left out of an array's elements means undefined there. */
export function tellProperty(section: GraphSection, object: object, key: string | symbol): void {
  const descriptor = Object.getOwnPropertyDescriptor(object, key);
  const fault = propertyFault(key, descriptor) ?? section.drops?.reasonOf(descriptor?.value);
  if (fault !== undefined) {
    const step = propertyStep(object, key);
    if (section.drops === undefined) throw new Unsupported(object, fault, step);
    section.drops.tell(object, step, fault);
    if (!Array.isArray(object) || !isIndex(key)) return;
  }
  const value: unknown = fault === undefined ? descriptor?.value : undefined;
  section.extra(key, value, attributesOf(descriptor ?? {}));
}

function propertyFault(key: string | symbol, descriptor: PropertyDescriptor | undefined): Reason | undefined {
  if (descriptor === undefined || !('value' in descriptor)) return property('an accessor (getter or setter)');
  return typeof key === 'symbol' && symbolText(key) === undefined ? describePrimitive(key) : undefined;
}

/** How to get from an object to its property. */
function propertyStep(object: object, key: string | symbol): string {
  if (typeof key === 'symbol') return symbolStep(key);
  return Array.isArray(object) && isIndex(key) ? indexStep(Number(key)) : keyStep(key);
}

/** Tells the own properties of a built-in object that are none of its kind's own. */
export function tellExtras(section: GraphSection, object: object, isOwn?: (key: string | symbol) => boolean): void {
  for (const key of Reflect.ownKeys(object)) if (isOwn?.(key) !== true) tellProperty(section, object, key);
}

/** Keys that are elements of an array or view. */
export function isIndex(key: string | symbol): boolean {
  if (typeof key === 'symbol' || key === '') return false;
  const index = Number(key);
  return Number.isInteger(index) && index >= 0 && index < 2 ** 32 - 1 && String(index) === key;
}

/** What a regular element's descriptor looks like under that integrity. */
export function isRegular(descriptor: PropertyDescriptor, integrity: Integrity): boolean {
  return 'value' in descriptor && attributesOf(descriptor) === REGULAR[integrity];
}
