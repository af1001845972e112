/**
 * The bases of an image: opened once each, held to the content that the image was written on.
 *
 * Invariants
 * 1. A base is used only when its manifest has the hash that the image pins.
 * 2. What an image takes from a base is at most the base's size, and lies in its data: no small base can be made
 *    to stand for endless memory.
 */
import { isCheckpointError } from '../base/errors.js';
import { arrange } from './arrangement.js';
import type { ByteSource, OpenBase } from './contract.js';
import { beyondLimit, corrupt, damage } from './damage.js';
import { HEADER_BYTES } from './format.js';
import { type OpenedImage, openImage } from './open.js';

export interface Bases {
  /** By index in the manifest; undefined for those that no extent refers to. */
  readonly images: readonly (OpenedImage | undefined)[];
  close(): Promise<void>;
}

/** @throws CheckpointError ERR_CKPT_BASE_MISSING, ERR_CKPT_IMAGE_CORRUPT, _INCOMPLETE, _LIMIT */
export async function openBases(image: OpenedImage, openBase: OpenBase): Promise<Bases> {
  const { manifest } = image;
  const label = image.source.label;
  const needs = basesNeeded(image);
  const sources: ByteSource[] = [];
  const images: (OpenedImage | undefined)[] = manifest.bases.map(() => undefined);
  const close = async (): Promise<void> => {
    for (const source of sources) await source.close();
  };
  try {
    for (const [index, record] of manifest.bases.entries()) {
      const need = needs[index];
      if (need === undefined) continue;
      const source = await openBase(record);
      sources.push(source);
      const name = `base ${record.id}`;
      const base = await openImage(source, record).catch((error: unknown) => {
        throw isCheckpointError(error) ? damage(error.code, label, name, error.message, error) : error;
      });
      if (base.manifestHash !== record.manifestHash)
        throw corrupt(label, name, 'expected the manifest that the image was written on, found another');
      if (need.bytes > source.size) throw beyondLimit(label, name, `${need.bytes} bytes are taken from its ${source.size}`);
      if (need.end > base.trailer.manifestOffset)
        throw corrupt(label, name, `bytes up to ${need.end} are taken from it, its data ends before`);
      if (need.pages) arrange(base.manifest, base.trailer, source.label);
      images[index] = base;
    }
    return { images, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Need {
  readonly bytes: number;
  readonly end: number;
  /** Pages are taken, by the base's own records. */
  readonly pages: boolean;
}

function basesNeeded({ manifest, source }: OpenedImage): (Need | undefined)[] {
  const needs: (Need | undefined)[] = manifest.bases.map(() => undefined);
  for (const { extents } of [...manifest.sections, ...manifest.buffers]) {
    for (const { place, length } of extents) {
      if (place.at !== 'base') continue;
      if (place.offset < HEADER_BYTES)
        throw corrupt(source.label, 'manifest', `an extent lies at ${place.offset} of a base, inside its header`);
      const { bytes, end } = needs[place.base] ?? { bytes: 0, end: 0 };
      needs[place.base] = { bytes: bytes + length, end: Math.max(end, place.offset + length), pages: false };
    }
  }
  for (const { base, bytes: more } of manifest.buffers.flatMap(({ pages }) => pages?.sources ?? [])) {
    const { bytes, end } = needs[base] ?? { bytes: 0, end: 0 };
    needs[base] = { bytes: bytes + more, end, pages: true };
  }
  return needs;
}
