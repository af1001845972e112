/**
 * What an image that was committed before holds of the contents of files: where each of their extents lies now.
 *
 * Invariants
 * 1. Extents are told by the image that holds their bytes, never by a chain: a base's own bases do not matter.
 * 2. Everything comes from a verified manifest, and the image is pinned by that manifest's hash.
 */
import type { BaseRecord, Extent, ImageRef, Manifest, SectionRecord } from '../image/contract.js';
import { readManifest } from '../image/reader.js';
import type { Store } from '../store/contract.js';
import { CONTENT_KIND } from './content-sections.js';

/** An extent of an earlier image; `image` is undefined for zeros that are stored nowhere. */
export interface OldExtent {
  readonly length: number;
  readonly image: BaseRecord | undefined;
  /** Where in that image's file. */
  readonly offset: number;
  readonly hash: string;
}

export interface OldSection {
  readonly record: SectionRecord;
  readonly extents: readonly OldExtent[];
}

export interface OldContents {
  readonly image: BaseRecord;
  readonly sections: readonly OldSection[];
}

export function oldContents(manifest: Manifest, manifestHash: string): OldContents {
  const { id, epoch, generation } = manifest.image;
  const image: BaseRecord = { id, epoch, generation, manifestHash };
  const placed = ({ place, length, hash = '' }: Extent): OldExtent => {
    if (place.at === 'zero') return { length, image: undefined, offset: 0, hash };
    return { length, image: place.at === 'own' ? image : manifest.bases[place.base], offset: place.offset, hash };
  };
  const sections = manifest.sections.filter(({ kind }) => kind === CONTENT_KIND);
  return { image, sections: sections.map((record) => ({ record, extents: record.extents.map(placed) })) };
}

/** From the store: cheap, only the manifest is read. @throws CheckpointError when it is gone or damaged */
export async function loadOldContents(store: Pick<Store, 'openImage'>, image: ImageRef): Promise<OldContents> {
  const source = await store.openImage(image);
  try {
    const { manifest, manifestHash } = await readManifest(source, image);
    return oldContents(manifest, manifestHash);
  } finally {
    await source.close();
  }
}

/** Size of a base's file; 0 when it is gone or not the one that is meant. */
export async function baseSize(store: Pick<Store, 'openImage'>, base: BaseRecord): Promise<number> {
  try {
    const source = await store.openImage(base);
    try {
      const { manifestHash } = await readManifest(source, base);
      return manifestHash === base.manifestHash ? source.size : 0;
    } finally {
      await source.close();
    }
  } catch {
    // Whatever is wrong with it, its bytes are written again.
    return 0;
  }
}
