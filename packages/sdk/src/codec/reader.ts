/**
 * Code that reads objects with certain keys, made for just these keys: V8 reads a property at a known place in a nanosecond
 * then, and else searches for it each time.
 *
 * Invariants
 * 1. The code is used for objects of one hidden class, with nothing but data under these keys: nothing of the program runs.
 * 2. Keys are in the code as literals of JSON, which cannot end a string of JavaScript.
 */
import type { Column } from './column.js';
import { CELL } from './graph-format.js';
import type { GraphSection } from './graph-section.js';

/** The values of an object into the columns of its keys. @returns false, having told nothing, for one with other elements than the example */
export type Reader = (object: object, section: GraphSection, columns: readonly Column[]) => boolean;

/** Objects of a shape that are looked at in full before there is code: making it takes as long as that. */
const BEFORE_CODE = 32;
const MOST = 256;
/** Kinds of values that there is code for, of one shape. */
const MOST_KINDS = 8;
/** Objects that are read before their values go into the columns. */
const ROWS = 2048;

type Kind = 'number' | 'string' | 'boolean' | 'other';

function kindOf(value: unknown): Kind {
  const kind = typeof value;
  return kind === 'number' || kind === 'string' || kind === 'boolean' ? kind : 'other';
}

/** @returns how many were read: all before the first with other elements, or other kinds of values, than the example */
type ReadMany = (objects: readonly object[], from: number, rows: number, section: GraphSection, columns: readonly Column[]) => number;

type RowBuffer = Float64Array | Uint8Array | string[];

/** What values are read into, by kind and place of the key: one set for all shapes, as they are read one after the other. */
const buffers: Readonly<Record<Kind, RowBuffer[]>> = { number: [], string: [], boolean: [], other: [] };

function bufferFor(kind: Kind, index: number): RowBuffer {
  const known = buffers[kind][index];
  if (known !== undefined) return known;
  const made = kind === 'number' ? new Float64Array(ROWS) : kind === 'boolean' ? new Uint8Array(ROWS) : [];
  buffers[kind][index] = made;
  return made;
}

export class ManyReader {
  readonly #kinds: readonly Kind[];
  readonly #buffers: readonly RowBuffer[];
  readonly #read: ReadMany;

  constructor(keys: readonly string[], kinds: readonly Kind[], byLoop: boolean) {
    this.#kinds = kinds;
    this.#buffers = kinds.map(bufferFor);
    this.#read = madeForMany(keys, kinds, byLoop, this.#buffers);
  }

  /** Values of the next objects into the columns. @returns how many objects were read, none when the next is unlike */
  read(objects: readonly object[], from: number, section: GraphSection, columns: readonly Column[]): number {
    const more = objects.length - from;
    const rows = Math.min(more, ROWS);
    const read = this.#read(objects, from, rows, section, columns);
    for (const [index, buffer] of this.#buffers.entries()) {
      const column = columns[index];
      if (buffer instanceof Float64Array) column?.addNumbers(buffer, read, more - read);
      else if (buffer instanceof Uint8Array) column?.addKinds(buffer, read);
      else if (this.#kinds[index] === 'string') {
        column?.addTexts(buffer, read);
        // The buffers stay, the program's texts need not.
        if (read < ROWS) buffer.length = 0;
      }
    }
    return read;
  }
}

const FALSE = CELL.false;
const TRUE = CELL.true;

function madeForMany(keys: readonly string[], kinds: readonly Kind[], byLoop: boolean, buffers: readonly unknown[]): ReadMany {
  const takes = keys.map((key, index) => {
    const kind = kinds[index];
    const take = `const value${index} = object[${JSON.stringify(key)}];`;
    return kind === 'other' ? take : `${take} if (typeof value${index} !== '${kind}') break;`;
  });
  const puts = keys.map((_, index) => {
    if (kinds[index] === 'other') return `section.cell(columns[${index}], value${index});`;
    return `buffer${index}[row] = value${index}${kinds[index] === 'boolean' ? ` ? ${TRUE} : ${FALSE}` : ''};`;
  });
  const code = `const [${keys.map((_, index) => `buffer${index}`).join(', ')}] = buffers;
    return (objects, from, rows, section, columns) => {
      let row = 0;
      for (; row < rows; row++) {
        const object = objects[from + row];
        ${counting(byLoop)} if (count !== ${keys.length}) break;
        ${takes.join('\n')}
        ${puts.join('\n')}
      }
      return row;
    };`;
  return new Function('buffers', code)(buffers);
}

function counting(byLoop: boolean): string {
  return byLoop ? 'let count = 0; for (const key in object) count++;' : 'const count = Object.keys(object).length;';
}

/** The code for a shape, which stays for later walks. */
export class ShapeCode {
  readonly #keys: readonly string[];
  readonly #byLoop: boolean;
  #asked = 0;
  #reader: Reader | undefined;
  readonly #many = new Map<string, ManyReader>();

  constructor(keys: readonly string[], byLoop: boolean) {
    this.#keys = keys;
    this.#byLoop = byLoop;
  }

  /** Code that reads many objects whose values are of the same kinds as those of this one, plain data under these keys. */
  manyFor(object: object): ManyReader | undefined {
    const kinds = this.#keys.map((key) => kindOf(Reflect.get(object, key)));
    const key = kinds.join();
    let many = this.#many.get(key);
    if (many === undefined && this.#many.size < MOST_KINDS) {
      many = new ManyReader(this.#keys, kinds, this.#byLoop);
      this.#many.set(key, many);
    }
    return many;
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
  const cells = keys.map(
    (key, index) => `
      value = object[${JSON.stringify(key)}];
      if (typeof value === 'number') columns[${index}].addNumber(value);
      else if (typeof value === 'string') columns[${index}].addText(value);
      else section.cell(columns[${index}], value);`,
  );
  const code = `${counting(byLoop)} if (count !== ${keys.length}) return false; let value; ${cells.join('')} return true;`;
  // Typed by what the code does.
  return new Function('object', 'section', 'columns', code) as Reader;
}
