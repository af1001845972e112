/// <reference lib="es2024.string" />
/**
 * The manifest as msgpack (docs/image-format.md has its keys).
 *
 * Invariants
 * 1. Integers are written as msgpack integers, also beyond 32 bits; hashes as 32 bytes; extents as short lists.
 * 2. What is undefined is left out.
 */
import { packMsgpack } from '../codec/msgpack.js';
import type { Extent, Manifest, PagesRecord } from './contract.js';
import { MAX_MANIFEST_BYTES } from './format.js';
import { METHODS, PLACE } from './manifest-extents.js';
import { MANIFEST_LIMITS } from './manifest-read.js';

/** @throws TypeError when the head holds something that is not plain data, or too much of it */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const bytes = packMsgpack(
    plain({
      ...manifest,
      sections: manifest.sections.map((section) => ({ ...section, extents: section.extents.map(extentList) })),
      buffers: manifest.buffers.map(({ pages, ...buffer }) => ({
        ...buffer,
        extents: buffer.extents.map(extentList),
        pages: pagesMap(pages),
      })),
      bases: manifest.bases.map((base) => ({ ...base, manifestHash: Buffer.from(base.manifestHash, 'hex') })),
    }),
  );
  if (bytes.length > MAX_MANIFEST_BYTES)
    throw new TypeError(`write image: its manifest takes ${bytes.length} bytes, more than ${MAX_MANIFEST_BYTES}`);
  return bytes;
}

function pagesMap(pages: PagesRecord | undefined): object | undefined {
  if (pages === undefined) return undefined;
  return { map: pages.map.map(extentList), sources: pages.sources.map(({ base, buffer, bytes }) => [base, buffer, bytes]) };
}

function extentList({ place, length, hash }: Extent): unknown[] {
  if (place.at === 'zero') return [PLACE.zero, length];
  const bytes = Buffer.from(hash ?? '', 'hex');
  if (place.at === 'compressed') return [PLACE.compressed, length, METHODS.indexOf(place.method), place.stored, place.offset, bytes];
  return place.at === 'own' ? [PLACE.own, length, place.offset, bytes] : [PLACE.base, length, place.base, place.offset, bytes];
}

function plain(value: unknown, depth = 1): unknown {
  switch (typeof value) {
    case 'string':
      return value.toWellFormed();
    case 'number':
      return number(value);
    case 'boolean':
      return value;
    case 'object':
      break;
    default:
      throw new TypeError(`write image: the manifest cannot hold a ${typeof value}`);
  }
  if (value === null || value instanceof Uint8Array) return value;
  if (depth > MANIFEST_LIMITS.depth)
    throw new TypeError(`write image: the manifest is nested more than ${MANIFEST_LIMITS.depth} levels deep`);
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return new Map(entries.map(([key, item]) => [key.toWellFormed(), plain(item, depth + 1)]));
}

/** msgpackr writes integers beyond 32 bits as floats unless they are BigInts. */
function number(value: number): number | bigint {
  if (value === 0) return 0;
  return Number.isSafeInteger(value) && (value > 0xffff_ffff || value < -0x8000_0000) ? BigInt(value) : value;
}
