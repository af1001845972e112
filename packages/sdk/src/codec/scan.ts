/**
 * Looks through msgpack before anything is built from it: well-formed, and within limits.
 *
 * Invariants
 * 1. No recursion, no allocation that grows with a length the bytes merely claim.
 * 2. What passes has no extension types, no trailing bytes, only valid UTF-8, and lengths that the bytes back.
 */
import { isUtf8 } from 'node:buffer';
import type { MsgpackLimits } from './tags.js';

export type Scan =
  | { readonly fault: undefined /** Map entries in all: fewer after decoding means that a key came twice. */; readonly entries: number }
  | { readonly fault: 'malformed' | 'limit'; readonly reason: string };

/** What a type byte says: bytes of header after it, and what its length counts. */
type Kind = 'fixed' | 'text' | 'bytes' | 'array' | 'map';

const LENGTH_HEADERS: Readonly<Record<number, readonly [kind: Kind, width: 1 | 2 | 4]>> = {
  0xc4: ['bytes', 1],
  0xc5: ['bytes', 2],
  0xc6: ['bytes', 4],
  0xd9: ['text', 1],
  0xda: ['text', 2],
  0xdb: ['text', 4],
  0xdc: ['array', 2],
  0xdd: ['array', 4],
  0xde: ['map', 2],
  0xdf: ['map', 4],
};

/** Bytes after the type byte of values of fixed length: nil, booleans, floats, integers. */
const FIXED: Readonly<Record<number, number>> = {
  0xc0: 0,
  0xc2: 0,
  0xc3: 0,
  0xca: 4,
  0xcb: 8,
  0xcc: 1,
  0xcd: 2,
  0xce: 4,
  0xcf: 8,
  0xd0: 1,
  0xd1: 2,
  0xd2: 4,
  0xd3: 8,
};

class Cursor {
  at = 0;
  kind: Kind = 'fixed';
  /** Of what was read last: bytes (fixed, text, bytes), elements (array) or entries (map). */
  length = 0;
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Reads one type byte and its length; returns what is wrong, if anything. */
  head(): string | undefined {
    const { bytes } = this;
    const type = bytes[this.at++];
    if (type === undefined) return 'it ends inside a value';
    if (type < 0x80 || type >= 0xe0) this.#is('fixed', 0);
    else if (type < 0x90) this.#is('map', type & 0x0f);
    else if (type < 0xa0) this.#is('array', type & 0x0f);
    else if (type < 0xc0) this.#is('text', type & 0x1f);
    else {
      const fixed = FIXED[type];
      if (fixed !== undefined) this.#is('fixed', fixed);
      else {
        const header = LENGTH_HEADERS[type];
        if (header === undefined) return `type byte 0x${type.toString(16)} is not allowed`;
        let length = 0;
        for (let i = 0; i < header[1]; i++) length = length * 256 + (bytes[this.at++] ?? 0);
        this.#is(header[0], length);
      }
    }
    const needs = this.kind === 'map' ? 2 * this.length : this.length;
    return needs > bytes.length - this.at ? 'a length goes beyond its end' : undefined;
  }

  #is(kind: Kind, length: number): void {
    this.kind = kind;
    this.length = length;
  }

  /** Passes over the bytes of what was read last; false when they are not valid UTF-8 text. */
  pass(): boolean {
    const { bytes, at, length } = this;
    this.at += length;
    if (this.kind !== 'text') return true;
    for (let i = at; i < at + length; i++) if ((bytes[i] ?? 0) >= 0x80) return isUtf8(bytes.subarray(i, at + length));
    return true;
  }
}

export function scanMsgpack(bytes: Uint8Array, limits: MsgpackLimits): Scan {
  const cursor = new Cursor(bytes);
  /** Values that each open container still waits for. */
  const open: number[] = [];
  let values = 0;
  let containers = 0;
  let entries = 0;
  do {
    const wrong = cursor.head();
    if (wrong !== undefined) return malformed(wrong);
    if (++values > limits.values) return { fault: 'limit', reason: `more than ${limits.values} values` };
    if (cursor.kind === 'array' || cursor.kind === 'map') {
      if (cursor.kind === 'map') {
        if (limits.maps === false) return malformed('a map, where there are none');
        entries += cursor.length;
      }
      open.push(cursor.kind === 'map' ? 2 * cursor.length : cursor.length);
      if (open.length > limits.depth) return { fault: 'limit', reason: `nested more than ${limits.depth} levels deep` };
      if (++containers > limits.containers) return { fault: 'limit', reason: `more than ${limits.containers} arrays and maps` };
    } else {
      if (!cursor.pass()) return malformed('a string is not valid UTF-8');
      finishOne(open);
    }
    while (open.at(-1) === 0) {
      open.pop();
      finishOne(open);
    }
  } while (open.length > 0);
  return cursor.at === bytes.length ? { fault: undefined, entries } : malformed('bytes follow the value');
}

function finishOne(open: number[]): void {
  const top = open.length - 1;
  if (top >= 0) open[top] = (open[top] ?? 0) - 1;
}

function malformed(reason: string): Scan {
  return { fault: 'malformed', reason };
}
