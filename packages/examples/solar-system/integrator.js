/**
 * One step of the gravitational N-body problem by the fourth-order symplectic method of Forest and Ruth (Physica D 43, 1990,
 * 105-117; found independently by Yoshida, Physics Letters A 150, 1990, 262-268): four drifts with three kicks between them.
 * Symplectic: the energy error swings but does not grow, which is what a century of Mercury needs.
 *
 * Invariants
 * 1. Bit-deterministic: the same input gives the same bits, in one process or over many, on every version of Node. Only
 *    + - * / and Math.sqrt are used, which IEEE 754 rounds exactly, and no state is kept between calls.
 * 2. Nothing is allocated.
 */

/** A literal: Math.cbrt may differ in the last bit between versions of Node (invariant 1). */
const CUBE_ROOT_OF_2 = 1.2599210498948732;
const THETA = 1 / (2 - CUBE_ROOT_OF_2);

/** Shares of the time step. */
const DRIFTS = Float64Array.of(THETA / 2, (1 - THETA) / 2, (1 - THETA) / 2, THETA / 2);
const KICKS = Float64Array.of(THETA, 1 - 2 * THETA, THETA);

/**
 * @param {Float64Array} positions
 * @param {Float64Array} velocities
 * @param {number} dt
 */
function drift(positions, velocities, dt) {
  for (let i = 0; i < positions.length; i++) positions[i] += velocities[i] * dt;
}

/**
 * @param {Float64Array} positions
 * @param {Float64Array} velocities
 * @param {Float64Array} gm
 * @param {number} dt
 */
function kick(positions, velocities, gm, dt) {
  for (let a = 0; a < gm.length; a++) {
    const i = 3 * a;
    for (let b = a + 1; b < gm.length; b++) {
      const j = 3 * b;
      const x = positions[j] - positions[i];
      const y = positions[j + 1] - positions[i + 1];
      const z = positions[j + 2] - positions[i + 2];
      const squared = x * x + y * y + z * z;
      const pull = dt / (squared * Math.sqrt(squared));
      const onA = gm[b] * pull;
      const onB = gm[a] * pull;
      velocities[i] += onA * x;
      velocities[i + 1] += onA * y;
      velocities[i + 2] += onA * z;
      velocities[j] -= onB * x;
      velocities[j + 1] -= onB * y;
      velocities[j + 2] -= onB * z;
    }
  }
}

/**
 * Advances all bodies by one step, in place.
 * @param {Float64Array} positions x, y, z of each body
 * @param {Float64Array} velocities the same
 * @param {Float64Array} gm gravitational parameter of each body
 * @param {number} dt
 */
export function advance(positions, velocities, gm, dt) {
  for (let stage = 0; stage < KICKS.length; stage++) {
    drift(positions, velocities, DRIFTS[stage] * dt);
    kick(positions, velocities, gm, KICKS[stage] * dt);
  }
  drift(positions, velocities, DRIFTS[KICKS.length] * dt);
}
