/**
 * The bodies of the integration and their masses.
 *
 * Source: P. Bretagnon and G. Francou, "Planetary theories in rectangular and spherical variables. VSOP87 solutions",
 * Astronomy and Astrophysics 202 (1988), 309-315: the theory is fitted to the JPL ephemeris DE200 and uses the IAU 1976
 * system of masses (reciprocals of the Sun's mass, satellites included). With other masses the integration would be
 * another problem than the one the theory solves. The Sun's GM is the square of Gauss's constant.
 */

/** Gauss's gravitational constant, AU^(3/2) per day and square root of a solar mass. */
const GAUSS = 0.01720209895;

/** Mass of the Earth divided by that of the Moon, DE405: what the lunar theory ELP/MPP02 is fitted to here. */
export const EARTH_MOON_RATIO = 81.30056;

/** Kilometres in an astronomical unit, DE405. */
export const AU_KM = 149597870.691;

/** Sun first, then the planets from the inside out; the third is the barycentre of Earth and Moon. */
export const NAMES = Object.freeze(['Sun', 'Mercury', 'Venus', 'Earth–Moon', 'Mars', 'Jupiter', 'Saturn', 'Uranus', 'Neptune']);

/** The Sun's mass over that of each body, in the order of NAMES. */
const RECIPROCAL_MASSES = [1, 6023600, 408523.5, 328900.5, 3098710, 1047.355, 3498.5, 22869, 19314];

/** GM of each body, AU³ per day², in the order of NAMES. */
export const GM = Float64Array.from(RECIPROCAL_MASSES, (reciprocal) => (GAUSS * GAUSS) / reciprocal);

/** Julian date of the epoch J2000 (TDB). */
export const J2000 = 2451545;

/** Days in a Julian year. */
export const JULIAN_YEAR = 365.25;

/** How far an integration without relativity, satellites and asteroids may be off after a century, in arc-seconds. */
export const TOLERANCE_ARCSEC = Object.freeze([0, 120, 60, 60, 60, 60, 60, 60, 60]);
