/**
 * A typed array as an .npy file, version 1.0, for NumPy and everything that reads its files.
 *
 * Invariants
 * 1. The elements are little-endian, in order, bit for bit those of the image; the header is padded to 64 bytes.
 */
import { endianness } from 'node:os';
import { types } from 'node:util';
import { bytesOf, elementsOf, kindOf } from './value-kinds.js';

const DTYPES: Readonly<Record<string, string>> = {
  Int8Array: '|i1',
  Uint8Array: '|u1',
  Uint8ClampedArray: '|u1',
  Int16Array: '<i2',
  Uint16Array: '<u2',
  Int32Array: '<i4',
  Uint32Array: '<u4',
  Float16Array: '<f2',
  Float32Array: '<f4',
  Float64Array: '<f8',
  BigInt64Array: '<i8',
  BigUint64Array: '<u8',
};

/** @throws TypeError for anything but a typed array */
export function npyOf(value: unknown, path: string): readonly [header: Uint8Array, elements: Uint8Array] {
  const dtype = types.isTypedArray(value) ? DTYPES[kindOf(value)] : undefined;
  if (!types.isTypedArray(value) || dtype === undefined) {
    throw new TypeError(
      `--npy: expected ${path} to be a typed array or a slice of one, found ${kindOf(value)}; use --json for other values`,
    );
  }
  const elements = elementsOf(value);
  const dictionary = `{'descr': '${dtype}', 'fortran_order': False, 'shape': (${elements.length},), }`;
  const length = Math.ceil((10 + dictionary.length + 1) / 64) * 64 - 10;
  const text = `${dictionary.padEnd(length - 1)}\n`;
  const header = Buffer.concat([
    Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, length & 255, length >> 8]),
    Buffer.from(text, 'latin1'),
  ]);
  return [header, littleEndian(bytesOf(elements), elements.BYTES_PER_ELEMENT)];
}

function littleEndian(bytes: Uint8Array, size: number): Uint8Array {
  if (endianness() === 'LE' || size === 1) return bytes;
  const turned = Buffer.from(bytes);
  return size === 2 ? turned.swap16() : size === 4 ? turned.swap32() : turned.swap64();
}
