/**
 * Writing an image: header, sections, buffers, manifest, trailer, in this order and never backwards.
 *
 * Invariants
 * 1. Input memory is neither changed nor kept; what is streamed is in memory for one extent at a time.
 * 2. The bases of the image are those that its extents refer to, and no others.
 */

import type { BufferRecord, ByteSink, Extent, ImageInput, Manifest, PagedBuffer, SectionRecord, WrittenImage } from './contract.js';
import { ALIGNMENT, FEATURE, makeHeader, makeTrailer, PAGE, TRAILER_BYTES } from './format.js';
import { hash, hex } from './integrity.js';
import { encodeManifest } from './manifest-write.js';
import { Output } from './output.js';
import { countCodes, OWN_PAGE, pageCount } from './page-map.js';
import { writeRun } from './run.js';

/**
 * Rejects with what the sink or a streamed part rejects with; TypeError when the head is not plain data, or when a part
 * is neither bytes nor an extent of zeros or of one of the bases.
 */
export async function writeImage(sink: ByteSink, input: ImageInput): Promise<WrittenImage> {
  const header = makeHeader(input.head.image.id, requiredFeatures(input));
  const out = new Output(sink);
  await out.write(header);
  const { bases = [] } = input;
  const sections: SectionRecord[] = [];
  for (const { chunks, compression, ...section } of input.sections) {
    sections.push({ ...section, ...(await writeRun(out, chunks, { alignment: ALIGNMENT, bases: bases.length, compression })) });
  }
  const buffers: BufferRecord[] = [];
  for (const one of input.buffers) {
    if (isPaged(one)) {
      buffers.push(await writePages(out, one));
      continue;
    }
    const { chunks, ...buffer } = one;
    const stated = lengthOf(one);
    const run = await writeRun(out, chunks, { alignment: stated >= PAGE ? PAGE : ALIGNMENT, bases: bases.length });
    if (run.length !== stated) throw new TypeError(`write image: a buffer of ${stated} bytes was announced, ${run.length} came`);
    buffers.push({ ...buffer, ...run });
  }
  return finish(out, header, withUsedBases({ ...input.head, sections, buffers, bases }));
}

function requiredFeatures({ sections, buffers, methods = [] }: ImageInput): bigint {
  let features = sections.some((section) => section.numbers !== undefined) ? FEATURE.numbers : 0n;
  if (buffers.some(isPaged)) features |= FEATURE.pages;
  for (const method of [...methods, ...sections.map(({ compression }) => compression)])
    if (method !== undefined) features |= FEATURE[method];
  return features;
}

function isPaged(input: ImageInput['buffers'][number]): input is PagedBuffer {
  return 'map' in input;
}

async function writePages(out: Output, { map, sources, chunks, ...buffer }: PagedBuffer): Promise<BufferRecord> {
  const own = await writeRun(out, chunks, { alignment: PAGE, bases: 0, storeZeros: true });
  const stored = await writeRun(out, [map], { alignment: ALIGNMENT, bases: 0, storeZeros: true });
  const found = countCodes(map, buffer.length);
  const stated = [own.length, ...sources.map(({ bytes }) => bytes)];
  if (map.length !== pageCount(buffer.length) || stated.some((bytes, index) => bytes !== found[index + OWN_PAGE]))
    throw new TypeError('write image: the page map of a buffer and its pages do not agree');
  return { ...buffer, extents: own.extents, pages: { map: stored.extents, sources } };
}

/** Bytes of a section or buffer that is in memory, or of a buffer that says its length before. */
export function lengthOf(input: { readonly length: number } | { readonly chunks: readonly Uint8Array[] }): number {
  return 'length' in input ? input.length : input.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}

/** Invariant 2. */
function withUsedBases(manifest: Manifest): Manifest {
  const used = new Set<number>();
  for (const { extents } of [...manifest.sections, ...manifest.buffers]) {
    for (const { place } of extents) if (place.at === 'base') used.add(place.base);
  }
  for (const { pages } of manifest.buffers) for (const { base } of pages?.sources ?? []) used.add(base);
  if (used.size === manifest.bases.length) return manifest;
  const bases = manifest.bases.filter((_, index) => used.has(index));
  const places = new Map([...used].sort((a, b) => a - b).map((index, position) => [index, position]));
  const placeOf = (index: number): number => places.get(index) ?? index;
  const moved = <T extends { readonly extents: readonly Extent[] }>(record: T): T => ({
    ...record,
    extents: record.extents.map((extent) => {
      const { place } = extent;
      return place.at === 'base' ? { ...extent, place: { ...place, base: placeOf(place.base) } } : extent;
    }),
  });
  const buffers = manifest.buffers.map(moved).map(({ pages, ...buffer }) => {
    if (pages === undefined) return buffer;
    const sources = pages.sources.map((source) => ({ ...source, base: placeOf(source.base) }));
    return { ...buffer, pages: { ...pages, sources } };
  });
  return { ...manifest, sections: manifest.sections.map(moved), buffers, bases };
}

async function finish(out: Output, header: Uint8Array, manifest: Manifest): Promise<WrittenImage> {
  const bytes = encodeManifest(manifest);
  const manifestHash = hash(bytes);
  await out.align(ALIGNMENT);
  const manifestOffset = out.position;
  await out.write(bytes);
  await out.align(ALIGNMENT);
  const size = out.position + TRAILER_BYTES;
  await out.write(makeTrailer(header, { manifestOffset, manifestLength: bytes.length, fileLength: size, manifestHash }));
  await out.flush();
  out.end();
  return { manifest, manifestHash: hex(manifestHash), size };
}
