/**
 * The tables that the program and the demo print. Plain text; colours only where a terminal wants them (NO_COLOR is respected).
 */
import pc from 'picocolors';
import { NAMES, TOLERANCE_ARCSEC } from './bodies.js';

/**
 * Differences between the integration and the theory, one line a planet.
 * @param {readonly number[]} arcSeconds in the order of NAMES
 * @returns {string[]}
 */
export function theoryTable(arcSeconds) {
  const lines = NAMES.slice(1).map((name, index) => {
    const value = arcSeconds[index + 1];
    const limit = TOLERANCE_ARCSEC[index + 1];
    const text = `${value.toFixed(1).padStart(6)}″`;
    return `  ${name.padEnd(12)}${value <= limit ? text : pc.red(text)}  ${pc.dim(`of ${limit}″`)}`;
  });
  return [pc.bold('Difference from the theory VSOP87 at the end'), ...lines];
}

/**
 * A duration as a person says it.
 * @param {number} ms
 */
export function duration(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(1)} ms`;
}

/** @param {readonly number[]} values at least one */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * A line of the summary.
 * @param {string} what
 * @param {string} value
 */
export function fact(what, value) {
  return `  ${what.padEnd(22)}${pc.bold(value)}`;
}

/**
 * A line that is drawn over and over while the demo runs, on a terminal only.
 * @param {NodeJS.WriteStream} stream
 */
export function liveLine(stream) {
  const clear = () => void (stream.isTTY && stream.write('\r\x1b[2K'));
  return {
    clear,
    /**
     * @param {number} fraction
     * @param {string} text
     */
    draw(fraction, text) {
      if (!stream.isTTY) return;
      clear();
      const done = Math.round(fraction * 30);
      stream.write(`  ${pc.cyan('━'.repeat(done))}${pc.dim('━'.repeat(30 - done))} ${text}`);
    },
    /** @param {string} text a line that stays */
    print(text) {
      clear();
      stream.write(`${text}\n`);
    },
  };
}
