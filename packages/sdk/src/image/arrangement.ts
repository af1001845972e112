/**
 * Where the parts of an image lie in its file, and what it claims to stand for in all.
 *
 * Invariants
 * 1. Parts do not overlap and lie between header and trailer; what is between them is short and must be zero.
 *    So no byte of the file is left uncovered, and what own extents stand for is at most the file's size.
 * 2. What it stands for without storing it is bounded (MAX_UNSTORED_BYTES): zeros, and what compression saved; bytes from
 *    bases in bases.ts.
 */
import type { Extent, Manifest } from './contract.js';
import { beyondLimit, corrupt } from './damage.js';
import { HEADER_BYTES, MAX_UNSTORED_BYTES, PAGE, TRAILER_BYTES, type Trailer } from './format.js';
import { bytesOf } from './page-map.js';

/** Bytes of the file that must be zero. */
export interface Gap {
  readonly start: number;
  readonly end: number;
}

interface Part extends Gap {
  readonly name: string;
}

/** Bytes of the file that hold it, where that is an image's own. */
export function storedBytes({ place, length }: Extent): number {
  return place.at === 'compressed' ? place.stored : length;
}

/** A section or buffer with the name that damages of it are told under. */
export interface NamedRecord {
  readonly name: string;
  readonly extents: readonly Extent[];
  /** Its extents are own pages, not the buffer from beginning to end. */
  readonly paged?: boolean;
}

/** Sections first, then buffers, in the order of the manifest. */
export function namedRecords(manifest: Manifest): NamedRecord[] {
  const several = new Set(manifest.sections.map(({ member }) => member)).size > 1;
  const users: string[][] = manifest.buffers.map(() => []);
  const sections = manifest.sections.map((section): NamedRecord => {
    const name = several ? `${section.member}/${section.name}` : section.name;
    for (const index of section.buffers) users[index]?.push(name);
    return { name, extents: section.extents };
  });
  const buffers = manifest.buffers.map(({ extents, pages }, i): NamedRecord => {
    const of = users[i]?.join(', ');
    const name = of === undefined || of === '' ? `buffer ${i}` : `${of} (buffer ${i})`;
    return pages === undefined ? { name, extents } : { name, extents, paged: true };
  });
  return [...sections, ...buffers];
}

/** @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT, ERR_CKPT_IMAGE_LIMIT */
export function arrange(manifest: Manifest, trailer: Trailer, label: string): Gap[] {
  const parts: Part[] = [];
  let unstored = 0;
  const records = namedRecords(manifest);
  for (const [index, { length, extents, pages }] of manifest.buffers.entries()) {
    if (pages === undefined) continue;
    records.push({ name: `page map of ${records[manifest.sections.length + index]?.name ?? ''}`, extents: pages.map });
    unstored += length - bytesOf(extents) - pages.sources.reduce((sum, { bytes }) => sum + bytes, 0);
  }
  for (const { name, extents } of records) {
    for (const { place, length } of extents) {
      if (place.at === 'own') parts.push({ name, start: place.offset, end: place.offset + length });
      else if (place.at === 'zero') unstored += length;
      else if (place.at === 'compressed') {
        parts.push({ name, start: place.offset, end: place.offset + place.stored });
        unstored += length - place.stored;
      }
    }
  }
  if (unstored > MAX_UNSTORED_BYTES)
    throw beyondLimit(label, 'manifest', `it stands for ${unstored} bytes that it does not store, more than ${MAX_UNSTORED_BYTES}`);
  parts.sort((a, b) => a.start - b.start);
  const { manifestOffset, manifestLength, fileLength } = trailer;
  parts.push({ name: 'manifest', start: manifestOffset, end: manifestOffset + manifestLength });
  parts.push({ name: 'trailer', start: fileLength - TRAILER_BYTES, end: fileLength });
  const gaps: Gap[] = [];
  let end = HEADER_BYTES;
  for (const part of parts) {
    if (part.start < end) throw corrupt(label, part.name, `it begins at ${part.start}, inside what ends at ${end}`);
    if (part.start - end >= PAGE) throw corrupt(label, part.name, `${part.start - end} bytes before ${part.start} belong to nothing`);
    if (part.start > end) gaps.push({ start: end, end: part.start });
    end = part.end;
  }
  return gaps;
}
