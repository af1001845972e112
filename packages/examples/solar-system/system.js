/**
 * The state of the integration: what the program registers, how it begins, what one step does to it, and the row of the
 * trajectory that stands for it. Everything a run needs to go on from any step is in here.
 *
 * Invariants
 * 1. `forward` is synchronous: between two calls the state is whole.
 * 2. The numbers in the CSV are the shortest that read back as the same bits.
 */
import { createHash } from 'node:crypto';
import { GM, J2000, JULIAN_YEAR, NAMES } from './bodies.js';
import { advance } from './integrator.js';
import { heliocentricTheory, toBarycentric } from './theory.js';

/** 45 minutes. A power of two, so that the date is exact; at a quarter of a day Mercury's error nearly doubles. */
export const STEPS_PER_DAY = 32;
export const STEPS_PER_YEAR = STEPS_PER_DAY * JULIAN_YEAR;

const STEPS_PER_ROW = 15 * STEPS_PER_DAY;

/**
 * @typedef {object} System
 * @property {number} years how far this run goes
 * @property {number} step steps done
 * @property {Float64Array} positions barycentric, ecliptic and equinox J2000, AU
 * @property {Float64Array} velocities the same, AU per day
 */

/**
 * The solar system at J2000, by the theory.
 * @param {number} years
 * @returns {System}
 */
export function begin(years) {
  const { positions, velocities } = toBarycentric(heliocentricTheory(J2000));
  return { years, step: 0, positions, velocities };
}

/**
 * The step that ends the run.
 * @param {{ years: number }} system
 */
export function lastStep({ years }) {
  return years * STEPS_PER_YEAR;
}

/**
 * One step.
 * @param {System} system
 */
export function forward(system) {
  advance(system.positions, system.velocities, GM, 1 / STEPS_PER_DAY);
  system.step++;
}

/**
 * Julian date (TDB) of a state.
 * @param {System} system
 */
export function julianDate(system) {
  return J2000 + system.step / STEPS_PER_DAY;
}

/** The first line of the trajectory. */
export function header() {
  return `${['julian_date', ...NAMES.flatMap((name) => ['x', 'y', 'z'].map((axis) => `${name}_${axis}`))].join(',')}\n`;
}

/**
 * The row for where the bodies are now, if there is one for this step.
 * @param {System} system
 */
export function row(system) {
  return system.step % STEPS_PER_ROW === 0 ? `${julianDate(system)},${system.positions.join(',')}\n` : undefined;
}

/**
 * A hash over every bit of the state.
 * @param {System} system
 */
export function digest({ years, step, positions, velocities }) {
  const hash = createHash('sha256');
  for (const part of [Float64Array.of(years, step), positions, velocities]) hash.update(part);
  return hash.digest('hex');
}
