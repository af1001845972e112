/**
 * Columns back to values (column.ts, growing.ts, texts.ts the other way round). What is read is hostile.
 *
 * Invariants
 * 1. Every list is as long as it is stated to be, and its bytes back that, before anything is built from it.
 * 2. What does not follow docs/image-format.md is BadGraph, never repaired.
 */
import { CELL, NUMBERS } from './graph-format.js';

export class BadGraph extends Error {}

type NumberList = Int8Array | Int16Array | Int32Array | Float64Array | Uint8Array | Uint16Array | Uint32Array;
export type CountList = Uint8Array | Uint16Array | Uint32Array;

export function list(wire: unknown, length: number, what: string): readonly unknown[] {
  if (!Array.isArray(wire) || wire.length !== length) throw new BadGraph(`${what} that is not a list of ${length}`);
  return wire;
}

export function readBytes(wire: unknown, what: string): Uint8Array {
  if (wire instanceof Uint8Array) return wire;
  throw new BadGraph(`${what} that is no bytes`);
}

function readNumbers(wire: unknown, what: string): NumberList {
  const [type, given] = list(wire, 2, what);
  const bytes = readBytes(given, what);
  // In memory of its own: elements must be aligned, and the bytes of the image may go.
  const own = new Uint8Array(bytes).buffer;
  const sizes: Readonly<Record<number, number>> = { 0: 1, 1: 2, 2: 4, 3: 8, 4: 1, 5: 2, 6: 4 };
  const size = typeof type === 'number' ? sizes[type] : undefined;
  if (size === undefined || bytes.length % size !== 0) throw new BadGraph(`${what} of an unknown type, or with half an element`);
  switch (type) {
    case NUMBERS.int8:
      return new Int8Array(own);
    case NUMBERS.int16:
      return new Int16Array(own);
    case NUMBERS.int32:
      return new Int32Array(own);
    case NUMBERS.float64:
      return new Float64Array(own);
    case NUMBERS.uint8:
      return new Uint8Array(own);
    case NUMBERS.uint16:
      return new Uint16Array(own);
    default:
      return new Uint32Array(own);
  }
}

/** Numbers of the state: signed or float64. */
export function readFloats(wire: unknown, length: number, what: string): Exclude<NumberList, CountList> {
  const numbers = readNumbers(wire, what);
  if (numbers.length !== length) throw new BadGraph(`${what}: ${numbers.length} numbers for ${length}`);
  if (isCounts(numbers)) throw new BadGraph(`${what} of an unsigned type`);
  return numbers;
}

/** Counts and references: unsigned; with `wide` four bytes each. */
export function readCounts(wire: unknown, length: number | undefined, what: string, wide = false): CountList {
  const counts = readNumbers(wire, what);
  if (length !== undefined && counts.length !== length) throw new BadGraph(`${what}: ${counts.length} numbers for ${length}`);
  if (!isCounts(counts) || (wide && !(counts instanceof Uint32Array))) throw new BadGraph(`${what} of another type`);
  return counts;
}

function isCounts(numbers: NumberList): numbers is CountList {
  return numbers instanceof Uint8Array || numbers instanceof Uint16Array || numbers instanceof Uint32Array;
}

export function readTexts(wire: unknown, length: number, what: string): readonly string[] {
  const [first, second] = list(wire, 2, what);
  if (!Array.isArray(first)) throw new BadGraph(`${what} without texts`);
  const head: unknown = first[0];
  if (!Array.isArray(head)) return cut(first, readCounts(second, length, what), what);
  const numbers = readCounts(second, length, what);
  const [blobs, lengths] = list(first, 2, what);
  if (!Array.isArray(blobs)) throw new BadGraph(`${what} without texts`);
  const different = cut(blobs, readCounts(lengths, undefined, what), what);
  return Array.from(numbers, (number) => {
    const text = different[number];
    if (text === undefined) throw new BadGraph(`${what}: text ${number} of ${different.length}`);
    return text;
  });
}

/** Cuts joined texts by their lengths, which must use up each of them exactly. */
function cut(blobs: readonly unknown[], lengths: CountList, what: string): string[] {
  const texts: string[] = [];
  const empties = (): void => {
    while (lengths[texts.length] === 0) texts.push('');
  };
  empties();
  for (const wire of blobs) {
    const blob = readText(wire, what);
    if (blob === '') throw new BadGraph(`${what} with an empty joined text`);
    for (let at = 0; at < blob.length; ) {
      const length = lengths[texts.length];
      if (length === undefined || at + length > blob.length) throw new BadGraph(`${what} whose lengths do not fit`);
      texts.push(length === blob.length ? blob : blob.slice(at, at + length));
      at += length;
    }
    empties();
  }
  if (texts.length !== lengths.length) throw new BadGraph(`${what} with fewer texts than lengths`);
  return texts;
}

function readText(wire: unknown, what: string): string {
  if (typeof wire === 'string') return wire;
  const bytes = readBytes(wire, what);
  if (bytes.length % 2 !== 0) throw new BadGraph(`${what} that is not UTF-16`);
  return Buffer.from(bytes).toString('utf16le');
}

const HEXADECIMAL = /^-?(?:0|[1-9a-f][0-9a-f]*)$/;

function readBigint(text: string): bigint {
  if (!HEXADECIMAL.test(text) || text === '-0') throw new BadGraph('a bigint that is not written in hexadecimal');
  return text.startsWith('-') ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`);
}

function readSymbol(text: string): symbol {
  if (text.startsWith('#')) return Symbol.for(text.slice(1));
  const wellKnown: unknown = text.startsWith('@') ? Reflect.get(Symbol, text.slice(1)) : undefined;
  if (typeof wellKnown !== 'symbol') throw new BadGraph('a symbol that this Node.js does not have');
  return wellKnown;
}

/** What `next` returns for a hole, and for a reference, whose number is then in `ref`. */
export const HOLE: unique symbol = Symbol('hole');
export const REF: unique symbol = Symbol('ref');

/** The cells of a column, one after the other. */
export class Cells {
  /** The object of the last cell that was a reference. */
  ref = 0;
  readonly length: number;
  /** Whether cells are references. */
  readonly refers: boolean;
  /** Whether cells are holes. */
  readonly holed: boolean;
  /** The values, where all are numbers or all texts. */
  readonly alone: ArrayLike<unknown> | undefined;
  readonly #kinds: Uint8Array | number;
  readonly #numbers: ArrayLike<number>;
  readonly #texts: readonly string[];
  readonly #refs: ArrayLike<number>;
  readonly #others: readonly unknown[];
  #at = 0;
  #number = 0;
  #text = 0;
  #ref = 0;
  #other = 0;

  /** @param objects how many objects there are to refer to */
  constructor(wire: unknown, length: number, objects: number, what: string) {
    const [kinds, numbers, texts, refs, others] = list(wire, 5, what);
    this.length = length;
    this.#kinds = readKinds(kinds, length, what);
    const counts = count(this.#kinds, length);
    const of = (kind: number): number => counts[kind] ?? 0;
    this.#numbers = of(CELL.number) === 0 ? none(numbers, what) : readFloats(numbers, of(CELL.number), what);
    this.#texts = of(CELL.text) === 0 ? none(texts, what) : readTexts(texts, of(CELL.text), what);
    this.#refs = of(CELL.ref) === 0 ? none(refs, what) : readRefs(refs, of(CELL.ref), objects, what);
    const named = of(CELL.bigint) + of(CELL.symbol);
    this.#others = named === 0 ? none(others, what) : list(others, named, what);
    this.refers = of(CELL.ref) > 0;
    this.holed = of(CELL.hole) > 0;
    this.alone = length === 0 ? undefined : of(CELL.number) === length ? this.#numbers : of(CELL.text) === length ? this.#texts : undefined;
  }

  next(): unknown {
    const kind = typeof this.#kinds === 'number' ? this.#kinds : this.#kinds[this.#at++];
    switch (kind) {
      case CELL.number:
        return this.#numbers[this.#number++];
      case CELL.text:
        return this.#texts[this.#text++];
      case CELL.ref:
        this.ref = this.#refs[this.#ref++] ?? 0;
        return REF;
      case CELL.null:
        return null;
      case CELL.undefined:
        return undefined;
      case CELL.true:
        return true;
      case CELL.false:
        return false;
      case CELL.hole:
        return HOLE;
      default:
        return this.#named(kind);
    }
  }

  #named(kind: number | undefined): bigint | symbol {
    const text = readText(this.#others[this.#other++], 'a bigint or symbol');
    return kind === CELL.bigint ? readBigint(text) : readSymbol(text);
  }
}

function readKinds(kinds: unknown, length: number, what: string): Uint8Array | number {
  if (kinds instanceof Uint8Array) {
    if (kinds.length !== length) throw new BadGraph(`${what}: ${kinds.length} kinds for ${length} cells`);
    for (const kind of kinds) if (kind > CELL.symbol) throw new BadGraph(`${what} with a cell of an unknown kind`);
    return kinds;
  }
  if (typeof kinds === 'number' && Number.isInteger(kinds) && kinds >= CELL.number && kinds <= CELL.symbol) return kinds;
  throw new BadGraph(`${what} without kinds`);
}

function count(kinds: Uint8Array | number, length: number): number[] {
  const counts: number[] = new Array(CELL.symbol + 1).fill(0);
  if (typeof kinds === 'number') counts[kinds] = length;
  else for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

function none(wire: unknown, what: string): [] {
  if (wire !== null) throw new BadGraph(`${what} with values that no cell has`);
  return [];
}

function readRefs(wire: unknown, length: number, objects: number, what: string): CountList {
  const refs = readCounts(wire, length, what);
  for (const ref of refs) if (ref >= objects) throw new BadGraph(`${what}: a reference to object ${ref} of ${objects}`);
  return refs;
}
