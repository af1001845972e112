/**
 * Plain objects of one shape out of their columns, by code made for their keys: as an object literal V8 makes them in one piece.
 *
 * Invariants
 * 1. Keys are in the code as literals of JSON, which cannot end a string of JavaScript; `__proto__`, which would not be a
 *    property there, never.
 * 2. A column that refers to objects is left undefined: these may not be there yet.
 */
import { MAX_SHAPE_KEYS } from './graph-format.js';
import type { Cells } from './read-columns.js';

/** Keys and columns of objects of one shape. */
export interface ReadShape {
  readonly keys: readonly string[];
  readonly columns: readonly Cells[];
}

/** Makes the object of that row; the rows come in their order. */
export type ObjectMaker = (row: number) => object;

/** Fewer objects are not worth code of their own. */
const LEAST = 32;

/** Undefined when objects of these keys are to be made property by property. */
export function objectMaker({ keys, columns }: ReadShape, objects: number): ObjectMaker | undefined {
  if (objects < LEAST || keys.length > MAX_SHAPE_KEYS || keys.includes('__proto__')) return undefined;
  const properties = keys.map((key, index) => `${JSON.stringify(key)}: ${source(columns[index], index)}`);
  const code = `const [${keys.map((_, index) => `column${index}`).join(', ')}] = columns;
    return (row) => ({ ${properties.join(', ')} });`;
  try {
    return new Function('columns', code)(columns.map((column) => column.alone ?? column));
  } catch {
    // A process may forbid to make code.
    return undefined;
  }
}

function source(column: Cells | undefined, index: number): string {
  if (column === undefined || column.refers) return 'undefined';
  return column.alone === undefined ? `column${index}.next()` : `column${index}[row]`;
}
