/** Own properties by definition: no setter runs, and no prototype is asked. */
import { ATTRIBUTE } from './graph-format.js';

export const REGULAR: number = ATTRIBUTE.enumerable | ATTRIBUTE.writable | ATTRIBUTE.configurable;

export function define(target: unknown, key: string | symbol, value: unknown, attributes: number): void {
  Reflect.defineProperty(Object(target), key, {
    value,
    enumerable: (attributes & ATTRIBUTE.enumerable) !== 0,
    writable: (attributes & ATTRIBUTE.writable) !== 0,
    configurable: (attributes & ATTRIBUTE.configurable) !== 0,
  });
}

/** All properties of `data` as regular ones of `target`. */
export function defineAll(target: unknown, data: unknown): void {
  for (const key of Reflect.ownKeys(Object(data))) define(target, key, Reflect.get(Object(data), key), REGULAR);
}
