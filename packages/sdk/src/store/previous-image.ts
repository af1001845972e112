/**
 * What an image that was committed before holds: where each extent of its sections lies now.
 *
 * Invariants
 * 1. Extents are told by the image that holds their bytes, never by a chain: a base's own bases do not matter.
 * 2. A section of which anything is compressed is not among them: what goes on from it is written anew.
 * 3. Everything comes from a verified manifest, and the image is pinned by that manifest's hash.
 */
import type { BaseRecord, Extent, ImageRef, Manifest, SectionRecord } from '../image/contract.js';
import { readManifest } from '../image/reader.js';
import type { Store } from './contract.js';

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

export interface PreviousImage {
  readonly image: BaseRecord;
  readonly sections: readonly OldSection[];
}

/** Remembers the last committed image; after a restart of the thread or the program, the manifest of the parent tells. */
export class PreviousImages {
  readonly #store: Pick<Store, 'openImage'>;
  #last: PreviousImage | undefined;

  constructor(store: Pick<Store, 'openImage'>) {
    this.#store = store;
  }

  /** @throws CheckpointError when the image is gone or damaged */
  async of(image: ImageRef): Promise<PreviousImage> {
    return this.#last?.image.id === image.id ? this.#last : await this.#load(image);
  }

  committed(manifest: Manifest, manifestHash: string): void {
    this.#last = previousImage(manifest, manifestHash);
  }

  /** Cheap: only the manifest is read. */
  async #load(image: ImageRef): Promise<PreviousImage> {
    const source = await this.#store.openImage(image);
    try {
      const { manifest, manifestHash } = await readManifest(source, image);
      return previousImage(manifest, manifestHash);
    } finally {
      await source.close();
    }
  }
}

function previousImage(manifest: Manifest, manifestHash: string): PreviousImage {
  const { id, epoch, generation } = manifest.image;
  const image: BaseRecord = { id, epoch, generation, manifestHash };
  const placed = ({ place, length, hash = '' }: Extent): OldExtent => {
    if (place.at === 'zero' || place.at === 'compressed') return { length, image: undefined, offset: 0, hash };
    return { length, image: place.at === 'own' ? image : manifest.bases[place.base], offset: place.offset, hash };
  };
  const plain = manifest.sections.filter(({ extents }) => extents.every(({ place }) => place.at !== 'compressed'));
  return { image, sections: plain.map((record) => ({ record, extents: record.extents.map(placed) })) };
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
