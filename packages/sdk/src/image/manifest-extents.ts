/**
 * The part of a manifest that tells where bytes lie: extents, and buffers with their pages.
 *
 * Invariants
 * 1. Extents of a record add up to its length; those of a buffer with pages hold at most that, and with what is taken
 *    from bases no more either.
 * 2. No two sources of an image name the same buffer of a base: what is read of a base is at most the base.
 */
import type { BufferRecord, Extent, Method, PageSource, PagesRecord } from './contract.js';
import { EXTENT_BYTES, MAX_BASES, PAGE } from './format.js';
import { hex } from './integrity.js';
import { type Fields, isCount, isHash } from './manifest-fields.js';

/** First element of an extent's list. */
export const PLACE = { own: 0, zero: 1, base: 2, compressed: 3 } as const;

/** Numbers of the methods in an extent's list. */
export const METHODS: readonly Method[] = ['zstd', 'brotli'];

export function buffer(fields: Fields, bases: number): BufferRecord {
  const length = fields.count('length');
  const kind = fields.oneOf('kind', ['ArrayBuffer', 'SharedArrayBuffer']);
  const member = fields.text('member');
  const record: BufferRecord = fields.has('pages')
    ? { member, kind, length, ...paged(fields, length, bases) }
    : { member, kind, length, extents: uncompressed(fields, extents(fields, length, bases)) };
  if (!fields.has('maxLength')) return record;
  const maxLength = fields.count('maxLength');
  if (maxLength < length) throw fields.wrong('maxLength', 'no less than length');
  return { ...record, maxLength };
}

function paged(fields: Fields, length: number, bases: number): { extents: Extent[]; pages: PagesRecord } {
  const inner = fields.map('pages');
  const own = ownExtents(fields, 'extents');
  const map = ownExtents(inner, 'map');
  const sources = inner.list('sources').map((item): PageSource => {
    const [base, index, bytes] = Array.isArray(item) && item.length === 3 ? item : [];
    if (!isCount(base) || base >= bases || !isCount(index) || !isCount(bytes) || bytes === 0)
      throw inner.wrong('sources', 'a list of sources');
    return { base, buffer: index, bytes };
  });
  if (sources.length > MAX_BASES) throw inner.wrong('sources', `at most ${MAX_BASES} sources`);
  if (sum(map) !== Math.ceil(length / PAGE) || length === 0) throw inner.wrong('map', 'one byte for each page');
  if (own.slice(0, -1).some((extent) => extent.length % PAGE !== 0)) throw fields.wrong('extents', 'whole pages');
  const held = sources.reduce((total, { bytes }) => total + bytes, sum(own));
  if (held > length) throw fields.wrong('extents', `pages of at most ${length} bytes`);
  return { extents: own, pages: { map, sources } };
}

function ownExtents(fields: Fields, key: string): Extent[] {
  return fields.list(key).map((item) => {
    const extent = Array.isArray(item) ? oneExtent(item, 0) : undefined;
    if (extent?.place.at !== 'own') throw fields.wrong(key, 'a list of extents of this image');
    return extent;
  });
}

function sum(list: readonly { readonly length: number }[]): number {
  return list.reduce((total, { length }) => total + length, 0);
}

export function extents(fields: Fields, length: number, bases: number): Extent[] {
  const read = fields.list('extents').map((item) => {
    const extent = Array.isArray(item) ? oneExtent(item, bases) : undefined;
    if (extent === undefined) throw fields.wrong('extents', 'a list of extents');
    return extent;
  });
  if (sum(read) !== length) throw fields.wrong('extents', `extents that add up to ${length}`);
  return read;
}

/** Buffers are what pages of later images are taken from. */
function uncompressed(fields: Fields, list: Extent[]): Extent[] {
  if (list.some(({ place }) => place.at === 'compressed')) throw fields.wrong('extents', 'extents that are not compressed');
  return list;
}

/** undefined when the list is not an extent. */
function oneExtent(list: readonly unknown[], bases: number): Extent | undefined {
  const [place, length] = list;
  if (!isCount(length) || length === 0) return undefined;
  if (place === PLACE.zero) return list.length === 2 ? { place: { at: 'zero' }, length } : undefined;
  const hash = list.at(-1);
  const offset = list.at(-2);
  if (length > EXTENT_BYTES || !isHash(hash) || !isCount(offset)) return undefined;
  if (place === PLACE.own) return list.length === 4 ? { place: { at: 'own', offset }, length, hash: hex(hash) } : undefined;
  if (place === PLACE.compressed) {
    const [, , number, stored] = list;
    const method = isCount(number) ? METHODS[number] : undefined;
    if (list.length !== 6 || method === undefined || !isCount(stored) || stored === 0 || stored >= length) return undefined;
    return { place: { at: 'compressed', offset, stored, method }, length, hash: hex(hash) };
  }
  const index = list[2];
  if (place !== PLACE.base || list.length !== 5 || !isCount(index) || index >= bases) return undefined;
  return { place: { at: 'base', base: index, offset }, length, hash: hex(hash) };
}
