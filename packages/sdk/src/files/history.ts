/**
 * The history that leads to an image: which moments of which lives the program's state comes from. What a life did to files
 * after the moment that was gone on from, and what a life did that nobody went on from, is no part of it.
 *
 * Invariants
 * 1. What is not known to be abandoned counts as part of the history: then nothing is put back because of it.
 */
import type { ImageRef } from '../image/contract.js';
import type { SealSource } from '../store/contract.js';

/** What an image and a baseline are compared by. */
export type Moment = Pick<ImageRef, 'epoch' | 'generation'>;

/** What each life started from, by its epoch. */
export type Sources = ReadonlyMap<number, SealSource>;

/** The same with what the life of that epoch, of which the store knows nothing yet, starts from; null: fresh. */
export function withSource(sources: Sources, epoch: number, source: ImageRef | null): Sources {
  return new Map(sources).set(epoch, source === null ? { kind: 'fresh' } : { ...source, kind: 'image' });
}

/**
 * Whether something done at `moment` (when that generation was the newest) is part of the history of `image`; null: of a
 * fresh start, which has none.
 */
export function isPartOf(image: Moment | null, moment: Moment, sources: Sources): boolean {
  for (let at = image; at !== null; ) {
    if (moment.epoch === at.epoch) return moment.generation < at.generation;
    if (moment.epoch > at.epoch) return false;
    const source = sources.get(at.epoch);
    if (source === undefined) return true; // invariant 1
    at = source.kind === 'image' ? source : null;
  }
  return false;
}

/** Whether the life that did something at `moment` had gone on from `image`, by itself or after a restart. */
export function goesOnFrom(image: Moment, moment: Moment, sources: Sources): boolean {
  for (let at = moment; at.epoch >= image.epoch; ) {
    if (at.epoch === image.epoch) return at.generation >= image.generation;
    const source = sources.get(at.epoch);
    if (source?.kind !== 'image') return false;
    at = source;
  }
  return false;
}
