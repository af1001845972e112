/**
 * Which images there are, and which of them a restart may choose by itself.
 *
 * Invariants
 * 1. Order is by epoch and generation, never by time.
 * 2. The walk starts at the newest sealed epoch and follows what each incarnation started from: a sibling branch is
 *    never on it.
 * 3. An image is *late* when a newer sealed epoch did not see its generation: a fenced life wrote it. It is found by
 *    its id and in no other way, unless an incarnation was started from it by that id.
 */
import { join } from 'node:path';
import { someAtOnce } from '../base/at-once.js';
import type { ImageRef } from '../image/contract.js';
import type { StoreContext } from './context.js';
import type { Seal } from './contract.js';
import { type EpochIndex, readEpochs, readSeal } from './epochs.js';
import { ifPresent, translated } from './failure.js';
import { parseImageFile } from './layout.js';

/** An image file as its name tells it. */
export interface ImageFile extends ImageRef {
  readonly path: string;
  readonly size: number;
}

/** All that selection needs to know about the incarnations. */
export interface History {
  readonly index: EpochIndex;
  /** The seals of sealed epochs that are not void. */
  readonly seals: ReadonlyMap<number, Seal>;
  readonly newestSeal: Seal | undefined;
}

export interface Walk {
  readonly candidates: readonly ImageFile[];
  readonly acknowledged: boolean;
  /** Epochs newer than every candidate whose acknowledged images are gone: retention never takes those. */
  readonly lost: readonly number[];
}

function byAge(a: ImageRef, b: ImageRef): number {
  return a.epoch - b.epoch || a.generation - b.generation || (a.id < b.id ? -1 : 1);
}

/**
 * Everything that has the name of an image, oldest first; what is no regular file is found out, and told, when it is read.
 * @param epoch only those of this one
 */
export async function listImages(store: StoreContext, epoch?: number): Promise<ImageFile[]> {
  const named = await listRefs(store);
  const wanted = epoch === undefined ? named : named.filter((ref) => ref.epoch === epoch);
  const found = await someAtOnce(wanted, async ({ path, ...ref }): Promise<ImageFile | undefined> => {
    const stat = await translated({ operation: 'look at', path }, () => ifPresent(() => store.fs.lstat(path)));
    return stat === undefined ? undefined : { ...ref, path, size: stat.size };
  });
  return found.filter((file) => file !== undefined).sort(byAge);
}

/** The same by their names alone, without a look at each, in no order. */
export async function listRefs(store: StoreContext): Promise<Omit<ImageFile, 'size'>[]> {
  const { images } = store.paths;
  const files = await translated({ operation: 'list', path: images }, () => store.fs.readdir(images));
  return files.flatMap((file) => {
    const ref = parseImageFile(file);
    return ref === undefined ? [] : [{ ...ref, path: join(images, file) }];
  });
}

export async function readHistory(store: StoreContext): Promise<History> {
  const index = await readEpochs(store);
  const sealed = index.sealed();
  const seals = new Map<number, Seal>();
  for (const seal of await someAtOnce(sealed, (epoch) => readSeal(store, epoch))) seals.set(seal.epoch, seal);
  const newest = sealed.at(-1);
  return { index, seals, newestSeal: newest === undefined ? undefined : seals.get(newest) };
}

/** Invariant 3. */
export function isLate(history: History, image: Pick<ImageRef, 'epoch' | 'generation'>): boolean {
  for (const seal of history.seals.values()) {
    if (seal.epoch > image.epoch && seal.frontier < image.generation) return true;
  }
  return false;
}

/** The images of the lineage, newest first (invariant 2). */
export function walkLineage({ index, seals, newestSeal }: History, files: readonly ImageFile[]): Walk {
  const candidates: ImageFile[] = [];
  const lost: number[] = [];
  let acknowledged = false;
  let seal = newestSeal;
  let below = Number.POSITIVE_INFINITY;
  while (seal !== undefined) {
    const { epoch, source } = seal;
    acknowledged ||= index.has(epoch, 'images');
    candidates.push(...files.filter((file) => file.epoch === epoch && file.generation < below).reverse());
    if (candidates.length === 0 && index.has(epoch, 'images')) lost.push(epoch);
    if (source.kind === 'fresh') break;
    candidates.push(...files.filter((file) => file.id === source.id && file.epoch === source.epoch));
    below = source.generation;
    // Epochs only decrease along sources (records.ts), so the walk ends. A source's epoch may be void or lost.
    const older = seals.get(source.epoch);
    if (older === undefined) {
      acknowledged ||= index.has(source.epoch, 'images');
      candidates.push(...files.filter((file) => file.epoch === source.epoch && file.generation < below).reverse());
    }
    seal = older;
  }
  return { candidates, acknowledged, lost };
}

/** Highest generation that this store knows of, from files and from what the seals remember of deleted ones. */
export function highestGeneration(history: History, images: readonly ImageRef[]): number {
  const sealed = [...history.seals.values()].flatMap((seal) => [seal.frontier, seal.source.kind === 'image' ? seal.source.generation : 0]);
  return [...images.map(({ generation }) => generation), ...sealed].reduce((highest, generation) => Math.max(highest, generation), 0);
}
