/** The heat equation on a square plate: what every variant of the example computes, in the same order of operations. */

/** How much of the difference to its neighbours a cell takes over in a step. */
const FLOW = 0.2;

/**
 * Rows of one worker, of all as evenly as it goes.
 * @param {number} part @param {number} parts @param {number} size
 */
export function rowsOf(part, parts, size) {
  return { first: Math.floor((part * size) / parts), end: Math.floor(((part + 1) * size) / parts) };
}

/**
 * The plate at the beginning: hot spots on a cold plate.
 * @param {Float64Array} rows to fill, whole rows @param {number} first number of the first of them @param {number} size
 */
export function heatUp(rows, first, size) {
  for (let at = 0; at < rows.length; at++) {
    const [x, y] = [at % size, first + Math.floor(at / size)];
    rows[at] = (x * 7 + y * 13) % 31 === 0 ? 100 + ((x * y) % 17) : 0;
  }
}

/**
 * One step for the rows from `begin` to `end` of `from`, whose neighbours above and below are in it too; the plate's own edges
 * keep what they have.
 * @param {Float64Array} from @param {Float64Array} to @param {number} begin @param {number} end @param {number} size
 */
export function relax(from, to, begin, end, size) {
  for (let y = begin; y < end; y++) {
    for (let x = 0; x < size; x++) {
      const at = y * size + x;
      const here = from[at] ?? 0;
      const left = x > 0 ? (from[at - 1] ?? 0) : here;
      const right = x < size - 1 ? (from[at + 1] ?? 0) : here;
      const above = from[at - size] ?? here;
      const below = from[at + size] ?? here;
      to[at] = here + FLOW * (left + right + above + below - 4 * here);
    }
  }
}
