/**
 * Lists of numbers that grow, and the narrowest way to write them.
 *
 * Invariants
 * 1. What is read back is bit for bit what was added; −0 and NaN are written as float64.
 */
import { NUMBERS } from './graph-format.js';

/** A number list for msgpack: element type and little-endian bytes. */
export type NumbersWire = readonly [type: number, bytes: Uint8Array];

const FIRST = 16;
const BYTE = 0xff;
const SHORT = 0xffff;
const WORD = 0xffff_ffff;

/** Numbers of the state. */
export class Floats {
  length = 0;
  #values = new Float64Array(FIRST);

  add(value: number): void {
    if (this.length === this.#values.length) this.#grow();
    this.#values[this.length++] = value;
  }

  /** Adds the first `count` of the values; about so many more will follow. */
  addAll(values: Float64Array, count: number, more: number): void {
    if (this.length + count > this.#values.length) this.#grow(this.length + count + more);
    this.#values.set(values.subarray(0, count), this.length);
    this.length += count;
  }

  wire(): NumbersWire {
    const values = this.#values.subarray(0, this.length);
    let low = 0;
    let high = 0;
    for (const value of values) {
      if ((value | 0) !== value || (value === 0 && Object.is(value, -0))) return [NUMBERS.float64, bytesOf(values)];
      if (value < low) low = value;
      else if (value > high) high = value;
    }
    if (low >= -128 && high <= 127) return [NUMBERS.int8, bytesOf(Int8Array.from(values))];
    if (low >= -32_768 && high <= 32_767) return [NUMBERS.int16, bytesOf(Int16Array.from(values))];
    return [NUMBERS.int32, bytesOf(Int32Array.from(values))];
  }

  #grow(least = 0): void {
    const grown = new Float64Array(Math.max(this.#values.length * 2, least));
    grown.set(this.#values);
    this.#values = grown;
  }
}

/** Counts and references: whole numbers below 2^32, in the narrowest elements that hold them all, as they are written. */
export class Counts {
  length = 0;
  #values: Uint8Array | Uint16Array | Uint32Array = new Uint8Array(FIRST);
  #room = FIRST;
  #most = BYTE;
  // One of them is `#values`: what is stored is stored to an array of one kind, which takes a third of the time.
  #bytes = this.#values as Uint8Array;
  #shorts = new Uint16Array(0);
  #words = new Uint32Array(0);

  add(value: number): void {
    if (value > this.#most || this.length === this.#room) this.#grow(this.length + 1, value);
    this.set(this.length++, value);
  }

  /** Adds `value` so many times. */
  fill(value: number, times: number): void {
    if (times === 0) return;
    const end = this.length + times;
    if (value > this.#most || end > this.#room) this.#grow(end, value);
    this.#values.fill(value, this.length, end);
    this.length = end;
  }

  /** Adds `first` and the numbers that follow it, so many in all. */
  addFrom(first: number, count: number): void {
    if (count === 0) return;
    const end = this.length + count;
    const last = first + count - 1;
    if (last > this.#most || end > this.#room) this.#grow(end, last);
    for (let i = 0; i < count; i++) this.set(this.length + i, first + i);
    this.length = end;
  }

  get(index: number): number {
    return this.#values[index] ?? 0;
  }

  /** @param value no greater than one that was added */
  set(index: number, value: number): void {
    if (this.#most === BYTE) this.#bytes[index] = value;
    else if (this.#most === SHORT) this.#shorts[index] = value;
    else this.#words[index] = value;
  }

  /** With `wide` four bytes each, whatever the values are: see the limits in docs/image-format.md. */
  wire(wide = false): NumbersWire {
    const values = this.#values.subarray(0, this.length);
    if (wide && this.#most < WORD) return [NUMBERS.uint32, bytesOf(Uint32Array.from(values))];
    return [this.#most === BYTE ? NUMBERS.uint8 : this.#most === SHORT ? NUMBERS.uint16 : NUMBERS.uint32, bytesOf(values)];
  }

  #grow(length: number, value: number): void {
    const room = length > this.#room ? Math.max(this.#room * 2, length) : this.#room;
    const before = this.#values.subarray(0, this.length);
    this.#most = Math.max(this.#most, value <= BYTE ? BYTE : value <= SHORT ? SHORT : WORD);
    if (this.#most === BYTE) this.#values = this.#bytes = new Uint8Array(room);
    else if (this.#most === SHORT) this.#values = this.#shorts = new Uint16Array(room);
    else this.#values = this.#words = new Uint32Array(room);
    this.#values.set(before);
    this.#room = room;
  }
}

export class Bytes {
  length = 0;
  #values = new Uint8Array(FIRST);

  add(value: number): void {
    if (this.length === this.#values.length) this.#grow();
    this.#values[this.length++] = value;
  }

  /** Adds `value` so many times. */
  fill(value: number, times: number): void {
    for (let i = 0; i < times; i++) this.add(value);
  }

  /** Adds the first `count` of the values. */
  addAll(values: Uint8Array, count: number): void {
    while (this.length + count > this.#values.length) this.#grow();
    this.#values.set(values.subarray(0, count), this.length);
    this.length += count;
  }

  #grow(): void {
    const grown = new Uint8Array(this.#values.length * 2);
    grown.set(this.#values);
    this.#values = grown;
  }

  wire(): Uint8Array {
    return this.#values.subarray(0, this.length);
  }
}

function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
