/**
 * Everything the manifest of one image tells: what `ckpt stat` shows.
 *
 * Invariant: only the verified manifest is told; nothing here opens a section.
 */
import type { DroppedValues } from '../codec/contract.js';
import { storedBytes as storedInFile } from '../image/arrangement.js';
import type {
  BaseRecord,
  BufferRecord,
  Extent,
  FileRecord,
  Manifest,
  MemberRecord,
  Method,
  Provenance,
  SectionRecord,
} from '../image/contract.js';
import type { ImageEntry } from '../store/contract.js';
import { chooseEntry, describeImage, type ListedImage, readEntry } from './inventory.js';
import { type LineageView, openStore, viewLineage } from './open-store.js';
import { checkNameOrId } from './tool-options.js';

/** Where the bytes of something lie, in bytes. */
export interface StoredBytes {
  /** In this image, compressed or not. */
  readonly own: number;
  /** In its bases. */
  readonly base: number;
  /** All zero, stored nowhere. */
  readonly zero: number;
}

export interface CompressedBytes {
  readonly methods: readonly Method[];
  /** Bytes that they stand for. */
  readonly length: number;
  /** Bytes in this image. */
  readonly stored: number;
}

export interface SectionDetails {
  readonly member: string;
  readonly name: string;
  readonly kind: string;
  /** Schema version of the provider. */
  readonly version: number;
  readonly encoding: string;
  /** Bytes of the structured part. */
  readonly length: number;
  /** Bytes of the bulk memory it refers to; memory that two sections share counts in both. */
  readonly bulk: number;
  /** Where the structured part and the bulk memory lie. */
  readonly stored: StoredBytes;
  /** What of the structured part is compressed. */
  readonly compressed?: CompressedBytes;
  /** Generation of the image that a provider wrote it into, where it has been carried since without one. */
  readonly carriedFrom?: number;
  /** What was left out of the provider's value (`onUnsupported: 'drop'`): in how many places, and the first of them. */
  readonly dropped?: DroppedValues;
}

export interface BufferDetails {
  readonly member: string;
  readonly kind: string;
  /** Bytes. */
  readonly length: number;
  readonly stored: StoredBytes;
}

export interface ImageDetails extends ListedImage {
  /** Run time summed over all incarnations at the capture, ms. */
  readonly clockMs: number;
  readonly run: Manifest['run'];
  readonly producer: Manifest['producer'];
  readonly provenance: Provenance;
  readonly sections: readonly SectionDetails[];
  readonly buffers: readonly BufferDetails[];
  readonly bases: readonly BaseRecord[];
  readonly members: readonly MemberRecord[];
  readonly files: readonly FileRecord[];
  /** Pins the content of the image, hex. */
  readonly manifestHash: string;
}

function storedBytes(extents: readonly Extent[]): StoredBytes {
  const sum = { own: 0, base: 0, zero: 0 };
  for (const extent of extents) {
    const { at } = extent.place;
    sum[at === 'compressed' ? 'own' : at] += storedInFile(extent);
  }
  return sum;
}

function compressedBytes(extents: readonly Extent[]): CompressedBytes | undefined {
  const methods = new Set<Method>();
  let [length, stored] = [0, 0];
  for (const extent of extents) {
    if (extent.place.at !== 'compressed') continue;
    methods.add(extent.place.method);
    length += extent.length;
    stored += extent.place.stored;
  }
  return methods.size === 0 ? undefined : { methods: [...methods], length, stored };
}

function bufferBytes({ length, extents, pages }: BufferRecord): StoredBytes {
  const stored = storedBytes(extents);
  if (pages === undefined) return stored;
  const base = pages.sources.reduce((sum, { bytes }) => sum + bytes, 0);
  return { own: stored.own, base, zero: length - stored.own - base };
}

function addBytes(a: StoredBytes, b: StoredBytes): StoredBytes {
  return { own: a.own + b.own, base: a.base + b.base, zero: a.zero + b.zero };
}

export function sectionDetails(section: SectionRecord, buffers: readonly BufferRecord[]): SectionDetails {
  const { member, name, kind, version, encoding, length, extents, carriedFrom, dropped } = section;
  let stored = storedBytes(extents);
  let bulk = 0;
  for (const index of section.buffers) {
    const buffer = buffers[index];
    if (buffer === undefined) continue;
    bulk += buffer.length;
    stored = addBytes(stored, bufferBytes(buffer));
  }
  const compressed = compressedBytes(extents);
  const more = {
    ...(compressed === undefined ? {} : { compressed }),
    ...(carriedFrom === undefined ? {} : { carriedFrom }),
    ...(dropped === undefined ? {} : { dropped }),
  };
  return { member, name, kind, version, encoding, length, bulk, stored, ...more };
}

export function detailsOf(entry: ImageEntry, view: LineageView, manifest: Manifest, manifestHash: string): ImageDetails {
  return {
    ...describeImage(entry, view, manifest),
    clockMs: manifest.image.clockMs,
    run: manifest.run,
    producer: manifest.producer,
    provenance: manifest.provenance,
    sections: manifest.sections.map((section) => sectionDetails(section, manifest.buffers)),
    buffers: manifest.buffers.map((buffer) => ({
      member: buffer.member,
      kind: buffer.kind,
      length: buffer.length,
      stored: bufferBytes(buffer),
    })),
    bases: manifest.bases,
    members: manifest.members,
    files: manifest.files,
    manifestHash,
  };
}

/**
 * What one image's manifest tells.
 * @param dir the store; default CKPT_DIR, else ./ckpt
 * @param nameOrId a name, an id or at least six digits of one; default (and `latest`): the newest on the lineage
 * @throws CheckpointError ERR_CKPT_NO_IMAGE, _NOT_FOUND, _IMAGE_CORRUPT, _IMAGE_INCOMPLETE, _IMAGE_LIMIT,
 *   _IMAGE_VERSION, _IMAGE_FEATURE, _STORE_UNUSABLE, _STORE_UNSAFE, _IO
 */
export async function statImage(dir?: string, nameOrId?: string): Promise<ImageDetails> {
  checkNameOrId(nameOrId, 'statImage');
  const { store } = await openStore(dir, 'statImage');
  const view = await viewLineage(store);
  const entry = await chooseEntry(store, view, nameOrId);
  const { manifest, manifestHash } = await readEntry(store, entry);
  return detailsOf(entry, view, manifest, manifestHash);
}
