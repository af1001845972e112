/**
 * Which bytes of two runs can differ, told from their extents alone.
 *
 * Invariants
 * 1. Bytes outside of the ranges are equal: both are zero, or lie at the same place of the same image, or have the same hash.
 * 2. Ranges begin and end at multiples of ALIGNMENT, so that no number lies half outside.
 */
import type { BaseRecord, Extent, ImageRef } from '../image/contract.js';
import type { LazyImage, Wanted } from '../image/lazy.js';

/** Bytes [from, to). */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A section or buffer of an image. */
export interface PlacedRun {
  readonly image: Pick<LazyImage, 'manifest' | 'manifestHash'>;
  readonly length: number;
  readonly extents: readonly Extent[];
}

/** A buffer of an image; where it is stored page by page, each run of pages is an extent. */
export async function placedBuffer(image: LazyImage, index: number): Promise<PlacedRun> {
  return { image, length: image.manifest.buffers[index]?.length ?? 0, extents: await image.placesOf(index) };
}

/** At least the size of the largest element of a typed array. */
const ALIGNMENT = 16;

/** In order, apart from each other. */
export function changedRanges(a: PlacedRun, b: PlacedRun): readonly Range[] {
  const ranges: Range[] = [];
  const [left, right] = [new Cursor(a), new Cursor(b)];
  const common = Math.min(a.length, b.length);
  let at = 0;
  for (; at < common && left.extent !== undefined && right.extent !== undefined; ) {
    const to = Math.min(left.end, right.end);
    if (to > at && !sameBytes(left, right, at)) add(ranges, at, to);
    at = to;
    if (left.end === to) left.next();
    if (right.end === to) right.next();
  }
  const end = Math.max(a.length, b.length);
  if (at < end) add(ranges, at, end);
  return ranges;
}

/** What must be read for these ranges. */
export function wantedIn(ranges: readonly Range[]): Wanted {
  return ({ length }, offset) => {
    const next = ranges[firstBehind(ranges, offset)];
    return next !== undefined && next.from < offset + length;
  };
}

/** The parts of the ranges that lie within. */
export function within(ranges: readonly Range[], { from, to }: Range): readonly Range[] {
  const found: Range[] = [];
  for (let index = firstBehind(ranges, from); index < ranges.length; index++) {
    const range = ranges[index];
    if (range === undefined || range.from >= to) break;
    found.push({ from: Math.max(range.from, from), to: Math.min(range.to, to) });
  }
  return found;
}

/** What of `whole` the ranges, in any order, leave out. */
export function outside(ranges: readonly Range[], whole: Range): readonly Range[] {
  const found: Range[] = [];
  let at = whole.from;
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    if (from > at) found.push({ from: at, to: Math.min(from, whole.to) });
    at = Math.max(at, to);
  }
  if (at < whole.to) found.push({ from: at, to: whole.to });
  return found;
}

class Cursor {
  readonly run: PlacedRun;
  start = 0;
  #index = 0;

  constructor(run: PlacedRun) {
    this.run = run;
  }

  get extent(): Extent | undefined {
    return this.run.extents[this.#index];
  }

  get end(): number {
    return this.start + (this.extent?.length ?? 0);
  }

  next(): void {
    this.start = this.end;
    this.#index++;
  }
}

/** Whether the extents hold the same from `at` on, as far as both go. */
function sameBytes(left: Cursor, right: Cursor, at: number): boolean {
  const { extent: a } = left;
  const { extent: b } = right;
  if (a === undefined || b === undefined) return false;
  if (a.place.at === 'zero' || b.place.at === 'zero') return a.place.at === b.place.at;
  const [like, other] = [a, b].map(({ place }) => (place.at === 'compressed' ? place.method : 'plain'));
  const hashed = a.hash !== undefined && a.hash === b.hash && like === other;
  if (hashed && left.start === right.start && a.length === b.length) return true;
  if (like !== 'plain' || other !== 'plain') return false;
  const [mine, theirs] = [fileOf(left.run.image, a), fileOf(right.run.image, b)];
  const sameFile = mine !== undefined && mine.id === theirs?.id && mine.manifestHash === theirs.manifestHash;
  return sameFile && a.place.offset + at - left.start === b.place.offset + at - right.start;
}

function fileOf(
  { manifest, manifestHash }: PlacedRun['image'],
  { place }: Extent,
): (ImageRef & Pick<BaseRecord, 'manifestHash'>) | undefined {
  return place.at === 'base' ? manifest.bases[place.base] : { ...manifest.image, manifestHash };
}

function add(ranges: Range[], from: number, to: number): void {
  const range = { from: from - (from % ALIGNMENT), to: Math.ceil(to / ALIGNMENT) * ALIGNMENT };
  const last = ranges.at(-1);
  if (last !== undefined && range.from <= last.to) ranges[ranges.length - 1] = { from: last.from, to: Math.max(last.to, range.to) };
  else ranges.push(range);
}

/** Index of the first range that ends after `offset`. */
function firstBehind(ranges: readonly Range[], offset: number): number {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle]?.to ?? 0) > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}
