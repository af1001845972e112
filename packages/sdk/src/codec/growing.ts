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

/** Counts and references: whole numbers below 2^32. */
export class Counts {
  length = 0;
  #values = new Uint32Array(FIRST);
  #highest = 0;

  add(value: number): void {
    if (this.length === this.#values.length) this.#grow();
    this.#values[this.length++] = value;
    if (value > this.#highest) this.#highest = value;
  }

  /** Adds `value` so many times. */
  fill(value: number, times: number): void {
    while (this.length + times > this.#values.length) this.#grow();
    this.#values.fill(value, this.length, this.length + times);
    this.length += times;
    if (times > 0 && value > this.#highest) this.#highest = value;
  }

  /** Adds `first` and the numbers that follow it, so many in all. */
  addFrom(first: number, count: number): void {
    if (count === 0) return;
    while (this.length + count > this.#values.length) this.#grow();
    for (let i = 0; i < count; i++) this.#values[this.length + i] = first + i;
    this.length += count;
    this.#highest = Math.max(this.#highest, first + count - 1);
  }

  get(index: number): number {
    return this.#values[index] ?? 0;
  }

  set(index: number, value: number): void {
    this.#values[index] = value;
    if (value > this.#highest) this.#highest = value;
  }

  /** With `wide` four bytes each, whatever the values are: see the limits in docs/image-format.md. */
  wire(wide = false): NumbersWire {
    const values = this.#values.subarray(0, this.length);
    if (this.#highest <= 0xff && !wide) return [NUMBERS.uint8, Uint8Array.from(values)];
    if (this.#highest <= 0xffff && !wide) return [NUMBERS.uint16, bytesOf(Uint16Array.from(values))];
    return [NUMBERS.uint32, bytesOf(values)];
  }

  #grow(): void {
    const grown = new Uint32Array(this.#values.length * 2);
    grown.set(this.#values);
    this.#values = grown;
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
