/**
 * The Gray-Scott reaction: two substances on a square that is closed to a ring in both directions. U is fed and V is taken
 * away; V makes more of itself out of U, and both spread. Out of a few drops of V come spots that divide.
 */

/** @typedef {{ step: number, size: number, u: Float32Array, v: Float32Array }} Reaction */

const SPREAD_U = 0.16;
const SPREAD_V = 0.08;
const FEED = 0.0367;
const KILL = 0.0649;

/** A square of U with some drops of V. @param {number} size cells along an edge @returns {Reaction} */
export function begin(size) {
  const u = new Float32Array(size * size).fill(1);
  const v = new Float32Array(size * size);
  const drops = Math.max(3, Math.round((size / 64) ** 2));
  for (let drop = 0; drop < drops; drop++) {
    const [left, top] = [(drop * 7919 + size / 2) % size, (drop * 6007 + size / 2) % size];
    for (let cell = 0; cell < 12 * 12; cell++) {
      const at = ((top + Math.floor(cell / 12)) % size) * size + ((left + (cell % 12)) % size);
      u[at] = 0.5;
      v[at] = 0.25 + ((cell * 31 + drop * 17) % 13) / 260;
    }
  }
  return { step: 0, size, u, v };
}

/**
 * Two steps: there into other memory and back, so that the state always lies in the same. What is in between is computed
 * anew each time and belongs to no image.
 * @param {Reaction} reaction @param {{ u: Float32Array, v: Float32Array }} between
 */
export function forward(reaction, between) {
  react(reaction, between, reaction.size);
  react(between, reaction, reaction.size);
  reaction.step += 2;
}

/** @typedef {{ u: Float32Array, v: Float32Array }} Fields */
/** @param {Fields} from @param {Fields} to @param {number} size */
function react({ u, v }, to, size) {
  const [nextU, nextV] = [to.u, to.v];
  for (let y = 0; y < size; y++) {
    const row = y * size;
    const above = (y === 0 ? size - 1 : y - 1) * size;
    const below = (y === size - 1 ? 0 : y + 1) * size;
    for (let x = 0; x < size; x++) {
      const left = x === 0 ? size - 1 : x - 1;
      const right = x === size - 1 ? 0 : x + 1;
      const [a, b] = [u[row + x], v[row + x]];
      const spreadU = u[row + left] + u[row + right] + u[above + x] + u[below + x] - 4 * a;
      const spreadV = v[row + left] + v[row + right] + v[above + x] + v[below + x] - 4 * b;
      const made = a * b * b;
      nextU[row + x] = a + SPREAD_U * spreadU - made + FEED * (1 - a);
      nextV[row + x] = b + SPREAD_V * spreadV + made - (FEED + KILL) * b;
    }
  }
}
