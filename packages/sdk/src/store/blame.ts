/**
 * Blame: which images failed to decode or to be restored, and how often.
 *
 * Invariants
 * 1. An image is blamed at most once per epoch; two epochs make it blamed.
 * 2. Only what its file name says counts; the content is for people.
 */
import type { ImageRef } from '../image/contract.js';
import type { StoreContext } from './context.js';
import { putRecord } from './durable.js';
import { ifPresent, translated } from './failure.js';
import { blamePath, parseBlameFile } from './layout.js';

const ENOUGH = 2;
const LONGEST_REASON = 4_000;

async function countBlame(store: StoreContext): Promise<ReadonlyMap<string, number>> {
  const { journal } = store.paths;
  const files = await translated({ operation: 'list', path: journal }, () => ifPresent(() => store.fs.readdir(journal)));
  const counts = new Map<string, number>();
  for (const file of files ?? []) {
    const found = parseBlameFile(file);
    if (found !== undefined) counts.set(found.image, (counts.get(found.image) ?? 0) + 1);
  }
  return counts;
}

/** @returns in how many epochs the image has been blamed, this one included */
export async function blameImage(store: StoreContext, image: ImageRef, epoch: number, why: string): Promise<number> {
  await putRecord(store, blamePath(store.paths, image.id, epoch), { image: image.id, epoch, why: why.slice(0, LONGEST_REASON) }, epoch);
  return (await countBlame(store)).get(image.id) ?? 0;
}

export async function blamedImages(store: StoreContext): Promise<ReadonlySet<string>> {
  const counts = await countBlame(store);
  return new Set([...counts].filter(([, count]) => count >= ENOUGH).map(([image]) => image));
}
