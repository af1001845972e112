/**
 * Typed reading of a decoded manifest: each value has the type and range it must have, or the image is refused.
 *
 * Invariants
 * 1. Keys that are not asked for are ignored; keys that are asked for are checked.
 * 2. The place of what is wrong is named like `sections[2].length`.
 */
import type { CheckpointError } from '../base/errors.js';
import { isId } from '../base/ids.js';
import { hex } from './integrity.js';

const MAX_TEXT = 2 ** 20;

/** One map of the manifest, by field. */
export class Fields {
  readonly place: string;
  readonly #map: ReadonlyMap<unknown, unknown>;
  readonly #fail: (found: string) => CheckpointError;

  constructor(value: unknown, place: string, fail: (found: string) => CheckpointError) {
    this.place = place;
    this.#fail = fail;
    if (!(value instanceof Map)) throw this.wrong('', 'a map');
    this.#map = value;
  }

  wrong(key: string, expected: string): CheckpointError {
    const at = key === '' ? this.place : `${this.place === '' ? '' : `${this.place}.`}${key}`;
    return this.#fail(`expected ${expected} at ${at === '' ? 'the top' : at}, found something else`);
  }

  raw(key: string): unknown {
    return this.#map.get(key);
  }

  text(key: string): string {
    const value = this.raw(key);
    if (typeof value !== 'string' || value.length > MAX_TEXT) throw this.wrong(key, 'text');
    return value;
  }

  id(key: string): string {
    const value = this.text(key);
    if (!isId(value)) throw this.wrong(key, '32 hexadecimal digits');
    return value;
  }

  oneOf<T extends string>(key: string, choices: readonly T[]): T {
    const value = this.raw(key);
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw this.wrong(key, `one of ${choices.join(', ')}`);
    return found;
  }

  /** A safe integer of zero or more. */
  count(key: string): number {
    const value = this.raw(key);
    if (!isCount(value)) throw this.wrong(key, 'an integer of zero or more');
    return value;
  }

  number(key: string): number {
    const value = this.raw(key);
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.wrong(key, 'a finite number');
    return value;
  }

  flag(key: string): boolean {
    const value = this.raw(key);
    if (typeof value !== 'boolean') throw this.wrong(key, 'true or false');
    return value;
  }

  hash(key: string): string {
    const value = this.raw(key);
    if (!isHash(value)) throw this.wrong(key, '32 bytes');
    return hex(value);
  }

  has(key: string): boolean {
    return this.#map.has(key);
  }

  map(key: string): Fields {
    return new Fields(this.raw(key), this.#at(key), this.#fail);
  }

  list(key: string): readonly unknown[] {
    const value = this.raw(key);
    if (!Array.isArray(value)) throw this.wrong(key, 'a list');
    return value;
  }

  maps(key: string): Fields[] {
    return this.list(key).map((value, i) => new Fields(value, `${this.#at(key)}[${i}]`, this.#fail));
  }

  texts(key: string): string[] {
    return this.list(key).map((value) => {
      if (typeof value !== 'string' || value.length > MAX_TEXT) throw this.wrong(key, 'a list of texts');
      return value;
    });
  }

  /** All of the map as plain data: for records that are open to more fields. */
  plain(): Record<string, unknown> {
    return plainMap(this.#map);
  }

  #at(key: string): string {
    return this.place === '' ? key : `${this.place}.${key}`;
  }
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

export function isHash(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length === 32;
}

function plainMap(map: ReadonlyMap<unknown, unknown>): Record<string, unknown> {
  const target: Record<string, unknown> = {};
  for (const [key, value] of map) {
    const name = String(key);
    // Own data whatever the key is: `__proto__` must not reach the prototype.
    if (name === '__proto__')
      Object.defineProperty(target, name, { value: plainValue(value), writable: true, enumerable: true, configurable: true });
    else target[name] = plainValue(value);
  }
  return target;
}

/** Depth is bounded: the scan before refused more than MANIFEST_LIMITS.depth. */
function plainValue(value: unknown): unknown {
  if (value instanceof Map) return plainMap(value);
  if (Array.isArray(value)) return value.map(plainValue);
  return value instanceof Uint8Array ? value.slice() : value;
}

/** Map entries in all of a decoded value: fewer than its bytes held means that a key came twice. */
export function countEntries(value: unknown): number {
  let entries = 0;
  if (value instanceof Map) {
    entries = value.size;
    for (const [key, item] of value) entries += countEntries(key) + countEntries(item);
  } else if (Array.isArray(value)) {
    for (const item of value) entries += countEntries(item);
  }
  return entries;
}
