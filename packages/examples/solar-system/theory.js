/**
 * Where the planets are according to a published theory: VSOP87B (heliocentric, ecliptic and equinox J2000) with every term
 * that the package `astronomia` carries. Gives the integration its start and its end something to be compared with.
 *
 * Invariants
 * 1. Velocities are the exact derivatives of the series, not differences of positions.
 * 2. The third planet is the barycentre of Earth and Moon. VSOP87B gives the Earth itself, which wobbles about it by 6″ and
 *    12 m/s; the lunar theory ELP/MPP02 takes the wobble out.
 */

import elp from 'astronomia/data/elpMppDe';
import earth from 'astronomia/data/vsop87Bearth';
import jupiter from 'astronomia/data/vsop87Bjupiter';
import mars from 'astronomia/data/vsop87Bmars';
import mercury from 'astronomia/data/vsop87Bmercury';
import neptune from 'astronomia/data/vsop87Bneptune';
import saturn from 'astronomia/data/vsop87Bsaturn';
import uranus from 'astronomia/data/vsop87Buranus';
import venus from 'astronomia/data/vsop87Bvenus';
import { Moon } from 'astronomia/elp';
import { AU_KM, EARTH_MOON_RATIO, GM, J2000, NAMES } from './bodies.js';

/** @import { Series, Vsop87 } from 'astronomia/data/vsop87Bearth' */

/**
 * @typedef {object} PhaseSpace
 * @property {Float64Array} positions x, y, z of each body, AU
 * @property {Float64Array} velocities the same, AU per day
 */

/** In the order of NAMES, without the Sun. */
const PLANETS = [mercury, venus, earth, mars, jupiter, saturn, uranus, neptune];
const EARTH_INDEX = 3;
const DAYS_PER_MILLENNIUM = 365250;

/**
 * One spherical coordinate and its derivative: the sum over k of t^k * sum of A cos(B + C t).
 * @param {Series} series
 * @param {number} t Julian millennia from J2000
 * @returns {[value: number, rate: number]} the rate is per day
 */
function evaluate(series, t) {
  let value = 0;
  let rate = 0;
  for (const [power, terms] of Object.entries(series)) {
    const k = Number(power);
    let sum = 0;
    let sumRate = 0;
    for (const [amplitude, phase, frequency] of terms) {
      const angle = phase + frequency * t;
      sum += amplitude * Math.cos(angle);
      sumRate -= amplitude * frequency * Math.sin(angle);
    }
    value += sum * t ** k;
    rate += sumRate * t ** k + (k === 0 ? 0 : k * sum * t ** (k - 1));
  }
  return [value, rate / DAYS_PER_MILLENNIUM];
}

/**
 * Heliocentric rectangular position and velocity by one VSOP87B solution.
 * @param {Vsop87} planet
 * @param {number} julianDate
 * @returns {{ position: number[], velocity: number[] }} AU and AU per day
 */
function heliocentric(planet, julianDate) {
  const t = (julianDate - J2000) / DAYS_PER_MILLENNIUM;
  const [l, lRate] = evaluate(planet.L, t);
  const [b, bRate] = evaluate(planet.B, t);
  const [r, rRate] = evaluate(planet.R, t);
  const [sinL, cosL, sinB, cosB] = [Math.sin(l), Math.cos(l), Math.sin(b), Math.cos(b)];
  return {
    position: [r * cosB * cosL, r * cosB * sinL, r * sinB],
    velocity: [
      rRate * cosB * cosL - r * bRate * sinB * cosL - r * lRate * cosB * sinL,
      rRate * cosB * sinL - r * bRate * sinB * sinL + r * lRate * cosB * cosL,
      rRate * sinB + r * bRate * cosB,
    ],
  };
}

const moon = new Moon(elp);

/**
 * From the Earth to the barycentre of Earth and Moon.
 * @param {number} julianDate
 * @returns {number[]} AU
 */
function towardsBarycentre(julianDate) {
  const { x, y, z } = moon.positionXYZ(julianDate);
  const share = 1 / (AU_KM * (1 + EARTH_MOON_RATIO));
  return [x * share, y * share, z * share];
}

/**
 * Rate of the same vector by the eight-point central difference: its error, with a spacing of a tenth of a day, is far below
 * the theory's own.
 * @param {number} julianDate
 * @returns {number[]} AU per day
 */
function barycentreRate(julianDate) {
  const weights = [4 / 5, -1 / 5, 4 / 105, -1 / 280];
  const spacing = 0.125;
  const rate = [0, 0, 0];
  for (const [i, weight] of weights.entries()) {
    const after = towardsBarycentre(julianDate + (i + 1) * spacing);
    const before = towardsBarycentre(julianDate - (i + 1) * spacing);
    for (let axis = 0; axis < 3; axis++) rate[axis] += (weight * (after[axis] - before[axis])) / spacing;
  }
  return rate;
}

/**
 * Heliocentric positions and velocities of all bodies (the Sun at rest in the origin), ecliptic and equinox J2000.
 * @param {number} julianDate TDB
 * @returns {PhaseSpace}
 */
export function heliocentricTheory(julianDate) {
  const positions = new Float64Array(3 * NAMES.length);
  const velocities = new Float64Array(3 * NAMES.length);
  for (const [index, planet] of PLANETS.entries()) {
    const { position, velocity } = heliocentric(planet, julianDate);
    positions.set(position, 3 * (index + 1));
    velocities.set(velocity, 3 * (index + 1));
  }
  const offset = towardsBarycentre(julianDate);
  const rate = barycentreRate(julianDate);
  for (let axis = 0; axis < 3; axis++) {
    positions[3 * EARTH_INDEX + axis] += offset[axis];
    velocities[3 * EARTH_INDEX + axis] += rate[axis];
  }
  return { positions, velocities };
}

/**
 * Moves the origin to the common centre of mass, so that the Sun answers to the pull of its planets.
 * @param {PhaseSpace} heliocentricState changed in place
 * @returns {PhaseSpace}
 */
export function toBarycentric(heliocentricState) {
  const total = GM.reduce((sum, gm) => sum + gm, 0);
  for (const vectors of [heliocentricState.positions, heliocentricState.velocities]) {
    for (let axis = 0; axis < 3; axis++) {
      let centre = 0;
      for (let body = 0; body < GM.length; body++) centre += GM[body] * vectors[3 * body + axis];
      centre /= total;
      for (let body = 0; body < GM.length; body++) vectors[3 * body + axis] -= centre;
    }
  }
  return heliocentricState;
}

/**
 * Angle, seen from the Sun, between where each body is and where the theory has it at that date.
 * @param {Float64Array} positions barycentric, AU
 * @param {number} julianDate TDB
 * @returns {number[]} arc-seconds, in the order of NAMES; 0 for the Sun
 */
export function differences(positions, julianDate) {
  const expected = heliocentricTheory(julianDate).positions;
  return NAMES.map((_, body) => {
    if (body === 0) return 0;
    const [x, y, z] = [0, 1, 2].map((axis) => positions[3 * body + axis] - positions[axis]);
    const [u, v, w] = expected.subarray(3 * body, 3 * body + 3);
    const sine = Math.hypot(y * w - z * v, z * u - x * w, x * v - y * u);
    return (Math.atan2(sine, x * u + y * v + z * w) * 180 * 3600) / Math.PI;
  });
}
