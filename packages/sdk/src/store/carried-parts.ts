/**
 * The parts of a section that goes on unchanged from an earlier image: extents of bases, and bytes where no base has them.
 *
 * Invariants
 * 1. One extent at a time is in memory; what is written again has the hash that it was written with.
 */
import type { ByteSource, Extent } from '../image/contract.js';
import { corrupt } from '../image/damage.js';
import { hash, hex } from '../image/integrity.js';
import type { Reuse } from './base-leases.js';
import type { Store } from './contract.js';
import { quietly } from './failure.js';
import type { OldSection } from './previous-image.js';

/** @throws CheckpointError ERR_CKPT_NOT_FOUND, ERR_CKPT_IMAGE_CORRUPT when bytes that no base holds cannot be had */
export async function* carriedParts(
  store: Pick<Store, 'openImage'>,
  { record, extents }: OldSection,
  reuse: Reuse,
): AsyncGenerator<Uint8Array | Extent> {
  const sources = new Map<string, ByteSource>();
  try {
    for (const extent of extents) {
      const again = reuse(extent);
      if (again !== undefined || extent.image === undefined) {
        yield again ?? { place: { at: 'zero' }, length: extent.length };
        continue;
      }
      const source = sources.get(extent.image.id) ?? (await store.openImage(extent.image));
      sources.set(extent.image.id, source);
      const bytes = new Uint8Array(extent.length);
      await source.read(bytes, extent.offset);
      if (hex(hash(bytes)) !== extent.hash) throw corrupt(source.label, record.name, 'bytes differ from what was written');
      yield bytes;
    }
  } finally {
    for (const source of sources.values()) await quietly(() => source.close());
  }
}
