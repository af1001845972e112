/**
 * Code that reads objects with certain keys, made for just these keys: V8 reads a property at a known place in a nanosecond
 * then, and else searches for it each time.
 *
 * Invariants
 * 1. The code is used for objects of one hidden class, with nothing but data under these keys: nothing of the program runs.
 * 2. Keys are in the code as literals of JSON, which cannot end a string of JavaScript.
 */
import type { Column } from './column.js';
import type { GraphSection } from './graph-section.js';

/** The values of an object into the columns of its keys. @returns false, having told nothing, for one with other elements than the example */
export type Reader = (object: object, section: GraphSection, columns: readonly Column[]) => boolean;

/** Objects of a shape that are looked at in full before there is code: making it takes as long as that. */
const BEFORE_CODE = 32;
const MOST = 256;

/** The code for a shape, which stays for later walks. */
export class ShapeCode {
  readonly #keys: readonly string[];
  readonly #byLoop: boolean;
  #asked = 0;
  #reader: Reader | undefined;

  constructor(keys: readonly string[], byLoop: boolean) {
    this.#keys = keys;
    this.#byLoop = byLoop;
  }

  /** Undefined for the first objects. */
  reader(): Reader | undefined {
    if (this.#reader === undefined && this.#asked++ >= BEFORE_CODE) this.#reader = made(this.#keys, this.#byLoop);
    return this.#reader;
  }
}

const codes = new Map<string, ShapeCode>();

/**
 * @param keys of the properties, none of them an index
 * @param byLoop whether `for … in` finds just these: it costs less than a list of them, unless a prototype has such properties
 */
export function codeFor(keys: readonly string[], byLoop: boolean): ShapeCode {
  const kind = JSON.stringify([byLoop, ...keys]);
  let code = codes.get(kind);
  if (code === undefined) {
    if (codes.size === MOST) codes.clear();
    code = new ShapeCode(keys, byLoop);
    codes.set(kind, code);
  }
  return code;
}

function made(keys: readonly string[], byLoop: boolean): Reader {
  const counted = byLoop ? 'let count = 0; for (const key in object) count++;' : 'const count = Object.keys(object).length;';
  const cells = keys.map(
    (key, index) => `
      value = object[${JSON.stringify(key)}];
      if (typeof value === 'number') columns[${index}].addNumber(value);
      else if (typeof value === 'string') columns[${index}].addText(value);
      else section.cell(columns[${index}], value);`,
  );
  const code = `${counted} if (count !== ${keys.length}) return false; let value; ${cells.join('')} return true;`;
  // Typed by what the code does.
  return new Function('object', 'section', 'columns', code) as Reader;
}
