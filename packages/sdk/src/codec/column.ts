/**
 * A column: the values of one property of many objects, or the items of many arrays, each of any kind.
 *
 * Invariants
 * 1. Payloads of one kind lie together, in order; a column of one kind states the kind once.
 * 2. A kind without payload is stated for each cell, so that what is built from a column is bounded by its bytes.
 */
import { CELL } from './graph-format.js';
import { Bytes, Counts, Floats, type NumbersWire } from './growing.js';
import { Texts, type TextsWire, type TextWire, textWire } from './texts.js';

export type ColumnWire = readonly [
  kinds: number | Uint8Array,
  numbers: NumbersWire | null,
  texts: TextsWire | null,
  refs: NumbersWire | null,
  others: readonly TextWire[] | null,
];

const NONE = -1;
const MIXED = -2;

export class Column {
  length = 0;
  #kind = NONE;
  #kinds: Bytes | undefined;
  #numbers: Floats | undefined;
  #texts: Texts | undefined;
  #refs: Counts | undefined;
  #others: string[] | undefined;

  addNumber(value: number): void {
    this.#add(CELL.number);
    this.#numbers ??= new Floats();
    this.#numbers.add(value);
  }

  addText(value: string): void {
    this.#add(CELL.text);
    this.#texts ??= new Texts();
    this.#texts.add(value);
  }

  addRef(id: number): void {
    this.#add(CELL.ref);
    this.#refs ??= new Counts();
    this.#refs.add(id);
  }

  /** A bigint in hexadecimal, or a symbol by its description. */
  addOther(kind: typeof CELL.bigint | typeof CELL.symbol, text: string): void {
    this.#add(kind);
    this.#others ??= [];
    this.#others.push(text);
  }

  addPlain(kind: number): void {
    this.#add(kind);
  }

  /** The first `count` of the values; about so many more will follow. */
  addNumbers(values: Float64Array, count: number, more: number): void {
    this.#addMany(CELL.number, count);
    this.#numbers ??= new Floats();
    this.#numbers.addAll(values, count, more);
  }

  /** The first `count` of the values. */
  addTexts(values: readonly string[], count: number): void {
    this.#addMany(CELL.text, count);
    if (count === 0) return;
    this.#texts ??= new Texts();
    for (let i = 0; i < count; i++) this.#texts.add(values[i] ?? '');
  }

  /** Objects of following numbers. */
  addRefs(first: number, count: number): void {
    this.#addMany(CELL.ref, count);
    this.#refs ??= new Counts();
    this.#refs.addFrom(first, count);
  }

  /** The first `count` of the kinds, all of them without payload. */
  addKinds(kinds: Uint8Array, count: number): void {
    let next = 0;
    while (next < count && this.#kinds === undefined) this.#add(kinds[next++] ?? 0);
    this.#kinds?.addAll(kinds.subarray(next), count - next);
    this.length += count - next;
  }

  wire(): ColumnWire {
    const kinds = this.#kinds?.wire() ?? (this.#kind < CELL.number ? this.#stated() : this.#kind);
    return [
      kinds,
      this.#numbers?.wire() ?? null,
      this.#texts?.wire() ?? null,
      this.#refs?.wire() ?? null,
      this.#others?.map(textWire) ?? null,
    ];
  }

  #add(kind: number): void {
    if (kind !== this.#kind) this.#mix(kind);
    this.#kinds?.add(kind);
    this.length++;
  }

  #addMany(kind: number, count: number): void {
    if (count === 0) return;
    if (kind !== this.#kind) this.#mix(kind);
    this.#kinds?.fill(kind, count);
    this.length += count;
  }

  #mix(kind: number): void {
    if (this.#kind === NONE) {
      this.#kind = kind;
    } else if (this.#kind !== MIXED) {
      this.#kinds = new Bytes();
      this.#kinds.fill(this.#kind, this.length);
      this.#kind = MIXED;
    }
  }

  /** Invariant 2; also an empty column. */
  #stated(): Uint8Array {
    return new Uint8Array(this.length).fill(Math.max(this.#kind, 0));
  }
}
