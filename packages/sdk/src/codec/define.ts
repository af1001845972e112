/** Own properties by definition: no setter runs, and no prototype is asked. */
import { ATTRIBUTE } from './graph-format.js';
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
