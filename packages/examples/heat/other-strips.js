/** From the strips of an image to another number of strips. */
import { rowsOf } from './grid.js';

/**
 * What each of `parts` strips begins with: rows of the whole plate, or of shared memory, which is there already, only the step.
 * @param {import('@ckpt/sdk').RescaledSet} old @param {number} parts @param {number} size
 * @returns {import('@ckpt/sdk').Rescaled}
 */
export function otherStrips({ members, messages }, parts, size) {
  const plate = new Float64Array(size * size);
  const steps = new Set();
  for (const { workerData, args, sections } of members) {
    /** @type {{ step: number, rows?: Float64Array }} */
    const { step, rows } = /** @type {any} */ (sections.strip ?? sections.at);
    steps.add(step);
    /** @type {number[]} */
    const [part = 0, strips = 1] = /** @type {any} */ (workerData) ?? args.map(Number);
    const { first, end } = rowsOf(part, strips, size);
    const above = part > 0 ? 1 : 0; // a row of the neighbour, as it was a step before
    if (rows !== undefined) plate.set(rows.subarray(above * size, (above + end - first) * size), first * size);
  }
  if (steps.size > 1) throw new Error('some strips are done already: go on with as many workers as before');
  const [step] = steps;
  const given = Array.from({ length: parts }, (_, part) => {
    if (members[0]?.sections.at !== undefined) return [`strip-${part}`, { at: { step } }];
    const { first, end } = rowsOf(part, parts, size);
    const rows = plate.slice(Math.max(0, first - 1) * size, Math.min(size, end + 1) * size);
    return [`strip-${part}`, { strip: { step, rows } }];
  });
  return { members: Object.fromEntries(given), dropped: messages }; // strips that are all done send their rows again
}
