/**
 * The numbers of the encoding `graph-1`, normative in docs/image-format.md.
 *
 * Invariants
 * 1. A number given to a kind of cell, group, number list or attribute never gets another meaning.
 * 2. What the encoder accepts the decoder accepts: both use the limits of this file.
 */
import type { MsgpackLimits } from './tags.js';

export const GRAPH_1 = 'graph-1';

/** What one value is. Only number, text, ref, bigint and symbol have a payload. */
export const CELL = { null: 0, undefined: 1, true: 2, false: 3, hole: 4, number: 5, text: 6, ref: 7, bigint: 8, symbol: 9 } as const;

/** What the objects of one group are. */
export const GROUP = {
  object: 0,
  dictionary: 1,
  array: 2,
  map: 3,
  set: 4,
  date: 5,
  regexp: 6,
  error: 7,
  boxed: 8,
  url: 9,
  bulk: 10,
  memory: 11,
  view: 12,
  window: 13,
  encoded: 14,
  import: 15,
} as const;

export type GroupKind = (typeof GROUP)[keyof typeof GROUP];

/** How far an object is closed to changes. */
export const INTEGRITY = { open: 0, closed: 1, sealed: 2, frozen: 3 } as const;
export type Integrity = (typeof INTEGRITY)[keyof typeof INTEGRITY];

/** Bits of a property's attributes, where they are told. */
export const ATTRIBUTE = { enumerable: 1, writable: 2, configurable: 4 } as const;

/** Element types of a number list. Refs, sizes and other counts are unsigned, numbers of the state signed or float64. */
export const NUMBERS = { int8: 0, int16: 1, int32: 2, float64: 3, uint8: 4, uint16: 5, uint32: 6 } as const;

/** Prototypes of errors that are no class of the program's. */
export const ERRORS = [
  'Error',
  'EvalError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'TypeError',
  'URIError',
  'AggregateError',
] as const;

/** Most objects of all sections of a member: the identity table of V8 holds no more. */
export const MAX_OBJECTS = 16_000_000;

/** Objects with more properties than this, or of more shapes than that, are written key by key. */
export const MAX_SHAPE_KEYS = 64;
export const MAX_SHAPES = 1024;

/** The structure is flat whatever the state is like: lists of groups of columns. */
export const GRAPH_LIMITS: MsgpackLimits = { depth: 12, values: 2 ** 27, containers: 16_000_000, maps: false };

/** Holes at the end of arrays that are not told: what they cost, all in a section together. */
export const MAX_UNTOLD_HOLES = 500_000;
/** For more holes than this, beyond as many as there are items, no memory is set aside: they count as LONG_RUN. */
export const UNTOLD_COST = 4096;
export const LONG_RUN = 8;
const LEAST_RUN = 4;

/** What an array of `length` costs of MAX_UNTOLD_HOLES, of which `told` items are told. */
export function untoldCost(length: number, told: number): number {
  const holes = length - told;
  if (holes <= told) return 0;
  return holes > UNTOLD_COST ? LONG_RUN : Math.max(holes, LEAST_RUN);
}
