/**
 * What a file was before a life changed it, as pieces: bytes that are in the file still, bytes that a put-back took away, and
 * content that was kept whole.
 *
 * Invariants
 * 1. Read from the entry that counts on (baselines.ts), each narrows what is needed of the file behind it: a handle that
 *    writes at the end leaves what was there, a put-back leaves what it kept, and kept content needs nothing more.
 */
import type { Baseline, HashedRange } from './contract.js';

/** A file in `tails/`: its first byte lay at `at` of the earlier file. */
export interface SavedBytes {
  readonly file: string;
  readonly at: number;
  readonly size: number;
  readonly hash: string;
  /** What came before it in the earlier file. */
  readonly prefix?: HashedRange;
}

/** The bytes [from, to) of the earlier file; without `saved` they are in the file still. */
export interface Piece {
  readonly from: number;
  readonly to: number;
  readonly saved?: SavedBytes;
}

/** The first `size` bytes of an earlier file. */
export interface Earlier {
  readonly size: number;
  /** In order, without gaps. */
  readonly pieces: readonly Piece[];
  /** Up to here it is what the file has now; what lies there behind may be of another branch. */
  readonly own: number;
}

/**
 * @param entries from the one that counts on
 * @param most how many bytes of it are wanted
 * @returns undefined where nothing tells what they were
 */
export function earlierFile(entries: readonly Baseline[], most: number): Earlier | undefined {
  const pieces: Piece[] = [];
  const [first] = entries;
  const size = first === undefined || first.was.kind === 'absent' ? most : Math.min(most, first.was.size);
  let left = size;
  for (const { was } of entries) {
    if (left === 0) break;
    if (was.kind === 'absent') return undefined;
    if (was.size < left) return undefined; // it was shorter when it should have had them
    const piece = savedPiece(was, left);
    if (piece === undefined) continue;
    pieces.unshift(piece);
    left = piece.from;
  }
  if (left > 0) pieces.unshift({ from: 0, to: left });
  return { size, pieces, own: left };
}

function savedPiece(was: Exclude<Baseline['was'], { readonly kind: 'absent' }>, to: number): Piece | undefined {
  if (was.kind === 'present') {
    const { copy, size, check } = was;
    return copy === undefined ? undefined : { from: 0, to, saved: { file: copy, at: 0, size, hash: check.hash } };
  }
  const { keep, tail } = was;
  return keep >= to ? undefined : { from: keep, to, saved: { ...tail, at: keep } };
}

/** Those of the entries, from the one that counts on, without which the file would not come back as it was. */
export function shaping(entries: readonly Baseline[]): Baseline[] {
  const found: Baseline[] = [];
  let left = Number.POSITIVE_INFINITY;
  for (const entry of entries) {
    const { was } = entry;
    if (was.kind === 'absent') return [...found, entry];
    const narrows = was.size < left;
    left = Math.min(left, was.size);
    const piece = savedPiece(was, left);
    if (narrows || piece !== undefined) found.push(entry);
    left = piece?.from ?? left;
    if (left === 0) break;
  }
  return found;
}
