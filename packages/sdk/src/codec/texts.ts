/**
 * Strings of one column: joined to a few long texts with their lengths, which costs a fraction of writing each alone.
 *
 * Invariants
 * 1. Every string comes back with its UTF-16 code units. A joined text that str cannot carry is written in UTF-16.
 * 2. A joined text is short enough that a string cut out of it does not keep much else in memory.
 * 3. What is written depends on the texts alone, not on how they were told.
 */
import { Counts, type NumbersWire } from './growing.js';
import { isCarried } from './text.js';

/** A text that msgpack carries as str, or the UTF-16 of any other. */
export type TextWire = string | Uint8Array;

/** Either the texts themselves, joined, with their lengths; or the different ones, and for each its number. */
export type TextsWire = readonly [texts: readonly TextWire[], lengths: NumbersWire] | readonly [different: TextsWire, numbers: NumbersWire];

const JOINED_TEXTS = 2048;
const JOINED_UNITS = 16_384;
/** Fewer are never looked through for repetitions. */
const LEAST_REPEATED = 128;
/** The share of different ones among those that are written by their numbers. */
const MOST_NEW = 0.875;
const MOST_DIFFERENT = 4096;

export function textWire(text: string): TextWire {
  return isCarried(text) ? text : new Uint8Array(Buffer.from(text, 'utf16le'));
}

/** The texts one after the other, cut into pieces that are joined as soon as they are whole: while the texts are at hand. */
class JoinedTexts {
  readonly #joined: TextWire[] = [];
  readonly #lengths = new Counts();
  readonly #next: string[] = [];
  #units = 0;

  add(text: string): void {
    const { length } = text;
    if (this.#next.length > 0 && (this.#units + length > JOINED_UNITS || this.#next.length === JOINED_TEXTS)) this.#join();
    this.#next.push(text);
    this.#lengths.add(length);
    this.#units += length;
  }

  wire(): TextsWire {
    this.#join();
    return [this.#joined, this.#lengths.wire()];
  }

  #join(): void {
    const next = this.#next;
    if (this.#units > 0) this.#joined.push(textWire(next.length === 1 ? (next[0] ?? '') : next.join('')));
    next.length = 0;
    this.#units = 0;
  }
}

/** Texts that are told one after the other, from the first on by their numbers among the different ones, until those are too many. */
export class Texts {
  readonly #known = new Map<string, number>();
  readonly #numbers = new Counts();
  #joined: JoinedTexts | undefined;

  add(text: string): void {
    if (this.#joined !== undefined) {
      this.#joined.add(text);
      return;
    }
    const known = this.#known.get(text);
    if (known !== undefined) this.#numbers.add(known);
    else if (this.#known.size < MOST_DIFFERENT) {
      this.#numbers.add(this.#known.size);
      this.#known.set(text, this.#known.size);
    } else {
      this.#joined = this.#join();
      this.#joined.add(text);
    }
  }

  wire(): TextsWire {
    if (this.#joined !== undefined) return this.#joined.wire();
    const { length } = this.#numbers;
    if (length < LEAST_REPEATED || this.#known.size > length * MOST_NEW) return this.#join().wire();
    return [joined(this.#known.keys()), this.#numbers.wire()];
  }

  /** All that were told, one by one. */
  #join(): JoinedTexts {
    const different = [...this.#known.keys()];
    const texts = new JoinedTexts();
    for (let i = 0; i < this.#numbers.length; i++) texts.add(different[this.#numbers.get(i)] ?? '');
    this.#known.clear();
    return texts;
  }
}

/** Texts of which none comes again. */
export function joined(texts: Iterable<string>): TextsWire {
  const all = new JoinedTexts();
  for (const text of texts) all.add(text);
  return all.wire();
}
