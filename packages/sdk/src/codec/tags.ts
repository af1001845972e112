/**
 * The numbers of the encoding `tree-1`, normative in docs/image-format.md.
 *
 * Invariants
 * 1. A number given to a tag, a view kind or a memory kind never gets another meaning.
 * 2. What the encoder accepts the decoder accepts: both use the limits of this file.
 */
import type { BufferKind } from './contract.js';

export const TREE_1 = 'tree-1';

/** A tagged value is a msgpack map with exactly one integer key, the tag. */
export const TAG = {
  undefined: 0,
  negativeZero: 1,
  bigint: 2,
  text: 3,
  pairs: 4,
  nullPrototype: 5,
  map: 6,
  set: 7,
  date: 8,
  buffer: 9,
  view: 10,
} as const;

/** View kinds; the index is the number in the image. Buffer is Node's subclass of Uint8Array. */
export const VIEW_KINDS = [
  'DataView',
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
  'Float16Array',
  'Buffer',
] as const;

export type ViewKind = (typeof VIEW_KINDS)[number];

/** Memory kinds; the index is the number in the image. */
export const MEMORY_KINDS: readonly BufferKind[] = ['ArrayBuffer', 'SharedArrayBuffer'];

/** Memory of this many bytes and more is bulk. */
export const BULK_BYTES = 4096;

/** How deep containers may be nested in a value. */
const MAX_DEPTH = 1000;

/** Most bytes of one encoded section. */
export const MAX_SECTION_BYTES: number = 1.5 * 2 ** 30;

export interface MsgpackLimits {
  /** Nesting of arrays and maps. */
  readonly depth: number;
  /** Values in all, keys included. */
  readonly values: number;
  /** Arrays and maps in all. */
  readonly containers: number;
  /** False where there are no maps at all. */
  readonly maps?: false;
}

/** A container takes at most two levels of msgpack, the deepest leaf (an inline view) three. */
export const TREE_LIMITS: MsgpackLimits = { depth: 2 * MAX_DEPTH + 4, values: 2 ** 27, containers: 16_000_000 };
