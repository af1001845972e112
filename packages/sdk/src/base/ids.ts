/**
 * Identifiers and names.
 *
 * Invariants
 * 1. An id is 32 lower-case hex digits (128 random bits), so it is safe in a file name on every system.
 * 2. A name can never be mistaken for a keyword of `restart` or for an id.
 */
import { randomFillSync } from 'node:crypto';

const ID = /^[0-9a-f]{32}$/;
const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;
const RESERVED: ReadonlySet<string> = new Set(['latest', 'never', 'auto', 'must']);

/** Bytes for many ids at once: asking for them costs more than an id, and an id is made while the program stands. */
const pool = Buffer.alloc(1024);
let left = 0;

export function newId(): string {
  if (left === 0) left = randomFillSync(pool).length;
  left -= 16;
  return pool.toString('hex', left, left + 16);
}

export function isId(text: string): boolean {
  return ID.test(text);
}

export function isImageName(text: string): boolean {
  return NAME.test(text) && !RESERVED.has(text) && !isId(text);
}

/** @throws TypeError when `name` cannot name an image. */
export function assertImageName(name: unknown, call: string): asserts name is string {
  if (typeof name === 'string' && isImageName(name)) return;
  throw new TypeError(
    `${call}: an image name is 1 to 64 of A-Z a-z 0-9 _ . - beginning with a letter or digit, and none of ` +
      `${[...RESERVED].join(', ')} nor an id; got ${JSON.stringify(name) ?? String(name)}`,
  );
}
