/**
 * The page map of a buffer: one byte a page says which image has it.
 *
 *   0 zero, stored nowhere    1 this image    2 + i the pages' source i
 *
 * Pages of one code lie one after the other in the buffer's own extents of the image that has them: the n-th page that an
 * image's map gives the code 1 is the n-th of its own. A base whose buffer has no page map has all its pages, in order.
 *
 * Invariants
 * 1. A map is believed only when its bytes have their hashes and its counts are those that the manifest states.
 * 2. The pages of a base are read by the base's own records and checked by the base's own hashes.
 */
import type { BufferRecord, ByteSource, Extent } from './contract.js';
import { corrupt } from './damage.js';
import { PAGE } from './format.js';
import { hash, hex } from './integrity.js';

export const ZERO_PAGE = 0;
export const OWN_PAGE = 1;
export const FIRST_SOURCE = 2;

export function pageCount(length: number): number {
  return Math.ceil(length / PAGE);
}

/** Bytes of a page; only the last of a buffer may be short. */
export function pageLength(page: number, length: number): number {
  return Math.min(PAGE, length - page * PAGE);
}

/** Reads and checks the map of a buffer (invariant 1); undefined when it has none. @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT */
export async function readPageMap(record: BufferRecord, source: ByteSource, name: string): Promise<Uint8Array | undefined> {
  const { pages, length, extents } = record;
  if (pages === undefined) return undefined;
  const map = new Uint8Array(pageCount(length));
  let at = 0;
  for (const { place, length: size, hash: expected } of pages.map) {
    const part = map.subarray(at, at + size);
    if (place.at !== 'own') throw corrupt(source.label, name, 'its page map is not in this image');
    await source.read(part, place.offset);
    if (hex(hash(part)) !== expected) throw corrupt(source.label, name, 'its page map differs from what was written');
    at += size;
  }
  const found = countCodes(map, length);
  const stated = [bytesOf(extents), ...pages.sources.map(({ bytes }) => bytes)];
  for (const [code, bytes] of found.entries()) {
    if (code !== ZERO_PAGE && bytes !== (stated[code - OWN_PAGE] ?? 0))
      throw corrupt(
        source.label,
        name,
        `its page map gives ${bytes} bytes to source ${code}, its manifest ${stated[code - OWN_PAGE] ?? 'none'}`,
      );
  }
  return map;
}

/** Bytes of each code. */
export function countCodes(map: Uint8Array, length: number): Float64Array {
  const bytes = new Float64Array(256);
  for (const code of map) bytes[code] = (bytes[code] ?? 0) + PAGE;
  const last = map.at(-1);
  if (last !== undefined) bytes[last] = (bytes[last] ?? 0) - (map.length * PAGE - length);
  return bytes;
}

export function bytesOf(extents: readonly Extent[]): number {
  return extents.reduce((sum, { length }) => sum + length, 0);
}
