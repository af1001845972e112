/**
 * The state that is measured: doubles that no zero page and no compression can make smaller.
 */

/** @param {number} bytes @returns {Float64Array} */
export function makeField(bytes) {
  const field = new Float64Array(bytes / 8);
  let x = 0x9e3779b9;
  for (let i = 0; i < field.length; i++) {
    x = Math.imul(x ^ (x >>> 15), 0x85ebca6b) + 0x6d2b79f5;
    field[i] = x / 4096;
  }
  return field;
}

/** Changes something on every page of 4 KiB, so that nothing is the same as in the image before. @param {Float64Array} field */
export function touchAll(field) {
  for (let i = 0; i < field.length; i += 512) field[i] = (field[i] ?? 0) + 1;
}

/** Tells whether a field is what makeField and `rounds` of touchAll made of it, by samples. @param {Float64Array} field @param {number} rounds */
export function assertField(field, rounds) {
  const expected = makeField(Math.min(field.byteLength, 1 << 20));
  for (let i = 0; i < expected.length; i += 1) {
    const value = (expected[i] ?? 0) + (i % 512 === 0 ? rounds : 0);
    if (!Object.is(field[i], value)) throw new Error(`bench: the restored state differs at ${i}: expected ${value}, found ${field[i]}`);
  }
}

/** Of every bit of it, the order included. @param {Float64Array} field */
export function checksum(field) {
  const words = new Int32Array(field.buffer, field.byteOffset, field.length * 2);
  let sum = 0;
  for (let i = 0; i < words.length; i++) sum = (Math.imul(sum, 31) + (words[i] ?? 0)) | 0;
  return sum;
}
