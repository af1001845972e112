/**
 * The bases that an image under way is built upon: chosen among those that hold what it goes on with, and leased.
 *
 * Invariants
 * 1. Each base is leased from before it is relied on until the new image is committed or has failed; the commit checks it
 *    once more.
 * 2. What a base cannot be relied on for (gone, damaged, not chosen) is written again.
 */
import { isCheckpointError } from '../base/errors.js';
import type { BaseRecord, Extent } from '../image/contract.js';
import { MAX_BASES } from '../image/format.js';
import { type BaseCandidate, chooseBases } from './choose-bases.js';
import type { Lease, Store } from './contract.js';
import { quietly } from './failure.js';
import { baseSize, type OldExtent, type OldSection } from './previous-image.js';

/** The extent for the next image, or undefined when its bytes have to be written again. */
export type Reuse = (old: OldExtent) => Extent | undefined;

export interface LeasedBases {
  readonly records: readonly BaseRecord[];
  readonly reuse: Reuse;
  /** Must follow, whether the image was committed or not. */
  release(): Promise<void>;
}

interface LeasedBase {
  readonly base: BaseRecord;
  readonly lease: Lease;
}

export interface BasesWanted {
  /** What the new image goes on with. */
  readonly sections: readonly OldSection[];
  /** Most bytes that may be kept on the disk beside them. */
  readonly spare: number;
  /** Bases that the image has in any case; leased by whoever chose them. */
  readonly already: readonly BaseRecord[];
}

export async function leaseBases(
  store: Pick<Store, 'openImage' | 'lease'>,
  { sections, spare, already }: BasesWanted,
): Promise<LeasedBases> {
  const known = new Set(already.map(({ id }) => id));
  const candidates = (await candidatesOf(store, sections)).filter(({ record }) => !known.has(record.id));
  const chosen = chooseBases(candidates, spare, MAX_BASES - already.length);
  const outcomes = await Promise.allSettled(chosen.map((base) => lease(store, base)));
  const leased = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? (outcome.value ?? []) : []));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) {
    await releaseAll(leased);
    throw failed.reason;
  }
  const records = [...already, ...leased.map(({ base }) => base)];
  return { records, reuse: reuseOf(records), release: () => releaseAll(leased) };
}

async function candidatesOf(store: Pick<Store, 'openImage'>, sections: readonly OldSection[]): Promise<BaseCandidate[]> {
  const live = new Map<string, { readonly record: BaseRecord; bytes: number }>();
  for (const { image, length } of sections.flatMap(({ extents }) => extents)) {
    if (image === undefined) continue;
    const known = live.get(image.id) ?? { record: image, bytes: 0 };
    known.bytes += length;
    live.set(image.id, known);
  }
  return Promise.all([...live.values()].map(async ({ record, bytes }) => ({ record, live: bytes, size: await baseSize(store, record) })));
}

/** A base that is gone by now is none. */
async function lease(store: Pick<Store, 'lease'>, base: BaseRecord): Promise<LeasedBase | undefined> {
  try {
    return { base, lease: await store.lease(base, 'a checkpoint is built upon it') };
  } catch (error) {
    if (isCheckpointError(error, 'ERR_CKPT_NOT_FOUND')) return undefined;
    throw error;
  }
}

async function releaseAll(leased: readonly LeasedBase[]): Promise<void> {
  await Promise.all(leased.map(({ lease }) => quietly(() => lease.release())));
}

function reuseOf(bases: readonly BaseRecord[]): Reuse {
  const index = new Map(bases.map(({ id }, position) => [id, position]));
  return ({ image, length, offset, hash }: OldExtent) => {
    if (image === undefined) return { place: { at: 'zero' }, length };
    const base = index.get(image.id);
    return base === undefined ? undefined : { place: { at: 'base', base, offset }, length, hash };
  };
}
