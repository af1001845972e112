/**
 * Strings of one column: joined to a few long texts with their lengths, which costs a fraction of writing each alone.
 *
 * Invariants
 * 1. Every string comes back with its UTF-16 code units. A joined text that str cannot carry is written in UTF-16.
 * 2. A joined text is short enough that a string cut out of it does not keep much else in memory.
 */
import { Counts, type NumbersWire } from './growing.js';
import { isCarried } from './text.js';

/** A text that msgpack carries as str, or the UTF-16 of any other. */
export type TextWire = string | Uint8Array;

/** Either the texts themselves, joined, with their lengths; or the different ones, and for each its number. */
export type TextsWire = readonly [texts: readonly TextWire[], lengths: NumbersWire] | readonly [different: TextsWire, numbers: NumbersWire];

const JOINED_TEXTS = 2048;
const JOINED_UNITS = 16_384;
/** Texts looked at before it is decided whether to look for repetitions. */
const SAMPLE = 512;
const LEAST_REPEATED = 128;
/** The share of those looked at that may be met for the first time. */
const MOST_NEW = 0.875;
const MOST_DIFFERENT = 4096;

export function textWire(text: string): TextWire {
  return isCarried(text) ? text : new Uint8Array(Buffer.from(text, 'utf16le'));
}

export function textsWire(texts: readonly string[]): TextsWire {
  return repeated(texts) ?? joined(texts);
}

function joined(texts: readonly string[]): TextsWire {
  const lengths = new Counts();
  const blobs: TextWire[] = [];
  let from = 0;
  let units = 0;
  for (let i = 0; i < texts.length; i++) {
    const { length } = texts[i] ?? '';
    if (i > from && (units + length > JOINED_UNITS || i - from === JOINED_TEXTS)) {
      if (units > 0) blobs.push(textWire(join(texts, from, i)));
      from = i;
      units = 0;
    }
    lengths.add(length);
    units += length;
  }
  if (units > 0) blobs.push(textWire(join(texts, from, texts.length)));
  return [blobs, lengths.wire()];
}

function join(texts: readonly string[], from: number, to: number): string {
  return to - from === 1 ? (texts[from] ?? '') : texts.slice(from, to).join('');
}

/** Different texts that come again and again; undefined when they do not. */
function repeated(texts: readonly string[]): TextsWire | undefined {
  if (texts.length < LEAST_REPEATED || !looksRepeated(texts)) return undefined;
  const numbers = new Map<string, number>();
  const column = new Counts();
  for (const text of texts) {
    let number = numbers.get(text);
    if (number === undefined) {
      if (numbers.size === MOST_DIFFERENT) return undefined;
      number = numbers.size;
      numbers.set(text, number);
    }
    column.add(number);
  }
  return [joined([...numbers.keys()]), column.wire()];
}

/** Of some texts all over the list, many are the same. */
function looksRepeated(texts: readonly string[]): boolean {
  const looks = Math.min(SAMPLE, texts.length / 2);
  const step = texts.length / looks;
  const found = new Set<string>();
  for (let i = 0; i < looks; i++) found.add(texts[Math.floor(i * step)] ?? '');
  return found.size <= looks * MOST_NEW;
}
