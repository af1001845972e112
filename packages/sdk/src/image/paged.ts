/**
 * The buffers of an opened image that are stored page by page, with who holds their pages.
 *
 * Invariants
 * 1. Maps are read and checked before anything is allocated for what they stand for.
 * 2. A base's own maps are believed as far as its manifest, which the image pins, says what they are.
 */
import { namedRecords } from './arrangement.js';
import type { Bases } from './bases.js';
import { corrupt } from './damage.js';
import type { OpenedImage } from './open.js';
import { FIRST_SOURCE, OWN_PAGE, readPageMap } from './page-map.js';
import type { Holding, PagedRecord } from './page-pieces.js';

/** @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT */
export async function readPaged(image: OpenedImage): Promise<PagedRecord[]> {
  const { manifest, source } = image;
  const records = namedRecords(manifest);
  const paged: PagedRecord[] = [];
  for (const [index, buffer] of manifest.buffers.entries()) {
    const record = manifest.sections.length + index;
    const name = records[record]?.name ?? '';
    const map = await readPageMap(buffer, source, name);
    if (map !== undefined) paged.push({ record, name, buffer, map });
  }
  return paged;
}

/**
 * Who holds what: first the image itself, then base by base, each in the order of the base's buffers.
 * @param bases without them only what the image holds itself
 * @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT when a base does not hold what it is said to
 */
export async function findHoldings(image: OpenedImage, records: readonly PagedRecord[], bases: Bases | undefined): Promise<Holding[]> {
  const own = records.map(({ record, name, buffer, map }): Holding => {
    const { label } = image.source;
    return { record, name, base: undefined, held: buffer, heldMap: map, map, code: OWN_PAGE, length: buffer.length, label };
  });
  if (bases === undefined) return own;
  const others: Holding[] = [];
  for (const { record, name, buffer, map } of records) {
    for (const [index, { base, buffer: at }] of (buffer.pages?.sources ?? []).entries()) {
      const holder = bases.images[base];
      const held = holder?.manifest.buffers[at];
      if (holder === undefined || held === undefined) throw corrupt(image.source.label, name, `base ${base} has no buffer ${at}`);
      const { label } = holder.source;
      const heldMap = await readPageMap(held, holder.source, name);
      others.push({ record, name, base, held, heldMap, map, code: FIRST_SOURCE + index, length: buffer.length, label });
    }
  }
  const place = ({ base = 0, held }: Holding): number => bases.images[base]?.manifest.buffers.indexOf(held) ?? 0;
  return [...own, ...others.sort((a, b) => (a.base ?? 0) - (b.base ?? 0) || place(a) - place(b))];
}
