/**
 * Where the bytes of a buffer lie that is stored page by page, told as extents.
 *
 * Invariants
 * 1. They cover the buffer from its beginning to its end; pages that lie nowhere are zeros.
 * 2. They have no hashes: what proves the pages is the hash of the stored extent around them.
 */
import type { Extent } from './contract.js';
import { type Holding, pagePieces } from './page-pieces.js';

/** @param holdings of this buffer, all of them */
export function pagePlaces(holdings: readonly Holding[], length: number): readonly Extent[] {
  const runs = holdings.flatMap((holding) =>
    [...pagePieces(holding)].flatMap((piece) => (piece.scatter ?? []).map((copy) => ({ piece, copy }))),
  );
  runs.sort((a, b) => a.copy.to - b.copy.to);
  const places: Extent[] = [];
  let at = 0;
  const zerosTo = (end: number): void => {
    if (end > at) places.push({ place: { at: 'zero' }, length: end - at });
  };
  for (const { piece, copy } of runs) {
    zerosTo(copy.to);
    const offset = piece.position + copy.from;
    places.push({
      place: piece.base === undefined ? { at: 'own', offset } : { at: 'base', base: piece.base, offset },
      length: copy.length,
    });
    at = copy.to + copy.length;
  }
  zerosTo(length);
  return places;
}
