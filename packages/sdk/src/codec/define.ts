/** Own properties by definition, lengths and integrity: no setter runs, and no prototype is asked. */
import { ATTRIBUTE, INTEGRITY } from './graph-format.js';
import { BadGraph } from './read-columns.js';

export const REGULAR: number = ATTRIBUTE.enumerable | ATTRIBUTE.writable | ATTRIBUTE.configurable;

export function define(target: unknown, key: string | symbol, value: unknown, attributes: number): void {
  const defined = Reflect.defineProperty(Object(target), key, {
    value,
    enumerable: (attributes & ATTRIBUTE.enumerable) !== 0,
    writable: (attributes & ATTRIBUTE.writable) !== 0,
    configurable: (attributes & ATTRIBUTE.configurable) !== 0,
  });
  if (!defined) throw new BadGraph(`a property ${String(key)} that cannot be`);
}

/** All properties of `data` as they are, in `target`. */
export function defineAll(target: unknown, data: unknown): void {
  for (const key of Reflect.ownKeys(Object(data))) {
    const descriptor = Object.getOwnPropertyDescriptor(Object(data), key);
    if (descriptor !== undefined) Object.defineProperty(target, key, descriptor);
  }
}

export function close(object: unknown, integrity: number): void {
  if (typeof object !== 'object' || object === null) return;
  if (integrity === INTEGRITY.frozen) Object.freeze(object);
  else if (integrity === INTEGRITY.sealed) Object.seal(object);
  else Object.preventExtensions(object);
}

/** With `sparsely`, V8 sets no memory aside for the holes: an element far away makes a dictionary of them. */
export function lengthen(array: unknown[], length: number, sparsely: boolean): void {
  if (sparsely) {
    define(array, String(length - 1), undefined, REGULAR);
    Reflect.deleteProperty(array, length - 1);
  } else array.length = length;
}
