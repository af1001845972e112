/**
 * When the demo kills its program: at moments drawn from a seed, so that a run can be repeated. A moment is a place in the
 * simulated time and a few milliseconds after it was reported; it does not depend on how fast the machine is.
 *
 * Invariants
 * 1. Every moment lies well before the end of the run, and at least one after the named image.
 * 2. The same seed gives the same plan.
 */

/**
 * @typedef {object} Kill
 * @property {number} fraction share of the run after which to kill
 * @property {number} delayMs how long after the program has reported that place
 * @property {boolean} thenFromName whether the restart goes back to the named image
 */

/**
 * The shares of the run among which each moment is drawn. The fourth lies before the third: by then the program has been set
 * back to its named image, taken at a quarter.
 */
const WINDOWS = [
  [0.06, 0.2],
  [0.28, 0.42],
  [0.5, 0.7],
  [0.3, 0.45],
  [0.5, 0.62],
  [0.66, 0.8],
];
const BACK_TO_NAME_AFTER = 3;
const LONGEST_DELAY_MS = 25;

/**
 * The generator mulberry32.
 * @param {number} seed
 * @returns {() => number} numbers in [0, 1)
 */
function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @param {number} seed
 * @returns {Kill[]}
 */
export function planKills(seed) {
  const random = seededRandom(seed);
  return WINDOWS.map(([from, to], index) => ({
    fraction: from + (to - from) * random(),
    delayMs: random() * LONGEST_DELAY_MS,
    thenFromName: index + 1 === BACK_TO_NAME_AFTER,
  }));
}
