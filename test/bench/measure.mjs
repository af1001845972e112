/**
 * Samples and what is said of them: the median, and the smallest and largest beside it.
 */

/** @typedef {{ median: number, min: number, max: number, samples: number }} Spread */
/** What a row's program prints: for each quantity its samples, and what else is worth saying. @typedef {{ samples: Record<string, number[]>, note?: string }} Measured */

/** @param {readonly number[]} samples @returns {Spread} */
export function spread(samples) {
  if (samples.length === 0) throw new Error('spread: expected at least one sample');
  const sorted = [...samples].sort((a, b) => a - b);
  /** @param {number} at */
  const value = (at) => sorted[at] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return {
    median: (value(Math.floor(middle)) + value(Math.ceil(middle))) / 2,
    min: value(0),
    max: value(sorted.length - 1),
    samples: sorted.length,
  };
}

/** @param {readonly number[]} samples @param {number} share 0 to 1 */
export function percentile(samples, share) {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** Milliseconds that `work` takes. @param {() => unknown} work */
export function timed(work) {
  const began = performance.now();
  work();
  return performance.now() - began;
}

/** Milliseconds until what `work` returns is settled. @param {() => unknown} work */
export async function timedAsync(work) {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** The result of a row's program, for the one that started it. @param {Measured} measured */
export function report(measured) {
  process.stdout.write(`${JSON.stringify(measured)}\n`);
}
