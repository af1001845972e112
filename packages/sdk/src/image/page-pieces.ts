/**
 * What has to be read to bring back the pages of buffers: each image that holds some is swept once, from its beginning to
 * its end.
 *
 * Invariants
 * 1. Whole extents are read, because their hashes are of the whole; extents without a page that is wanted are not.
 * 2. Pieces of one image come in the order in which they lie in it.
 */
import type { BufferRecord, Extent } from './contract.js';
import { corrupt } from './damage.js';
import { PAGE } from './format.js';
import { OWN_PAGE, pageLength } from './page-map.js';
import { type Copy, PIECE_BYTES, type Piece } from './pieces.js';

/** A buffer whose map has been read. */
export interface PagedRecord {
  /** Its position among namedRecords. */
  readonly record: number;
  readonly name: string;
  readonly buffer: BufferRecord;
  readonly map: Uint8Array;
}

/** Pages of one buffer in one image that holds some of them. */
export interface Holding {
  readonly record: number;
  readonly name: string;
  readonly base: number | undefined;
  /** The buffer's record in that image, and its map there; no map: all pages are its own. */
  readonly held: BufferRecord;
  readonly heldMap: Uint8Array | undefined;
  /** The map in the image that wants them, and the code of this holding in it. */
  readonly map: Uint8Array;
  readonly code: number;
  /** Of the buffer that wants them. */
  readonly length: number;
  readonly label: string;
}

/** @param range pages [from, to) that are wanted; default: all */
export function* pagePieces(holding: Holding, range: readonly [number, number] = [0, holding.map.length]): Generator<Piece> {
  let piece: (Piece & { length: number; extents: Extent[]; scatter: Copy[] }) | undefined;
  for (const { extent, copies } of wantedExtents(holding, range)) {
    const { place, length } = extent;
    if (place.at !== 'own') throw corrupt(holding.label, holding.name, 'its pages do not lie in the image that is said to hold them');
    if (piece !== undefined && (place.offset !== piece.position + piece.length || piece.length + length > PIECE_BYTES)) {
      yield piece;
      piece = undefined;
    }
    const { record, base } = holding;
    piece ??= { record, base, position: place.offset, offset: copies[0]?.to ?? 0, length: 0, extents: [], scatter: [] };
    for (const copy of copies) addCopy(piece.scatter, { ...copy, from: copy.from + piece.length });
    piece.extents.push(extent);
    piece.length += length;
  }
  if (piece !== undefined) yield piece;
}

function addCopy(copies: Copy[], copy: Copy): void {
  const last = copies.at(-1);
  if (last !== undefined && last.from + last.length === copy.from && last.to + last.length === copy.to)
    copies[copies.length - 1] = { ...last, length: last.length + copy.length };
  else copies.push(copy);
}

interface WantedExtent {
  readonly extent: Extent;
  readonly copies: readonly Copy[];
}

function* wantedExtents(
  { held, heldMap, map, code, length, label, name }: Holding,
  [from, to]: readonly [number, number],
): Generator<WantedExtent> {
  let page = -1;
  let inExtent = 0;
  const pages = heldMap === undefined ? Math.ceil(held.length / PAGE) : heldMap.length;
  /** Moves to the next page that the holder has. */
  const next = (): void => {
    do page++;
    while (heldMap !== undefined && page < pages && heldMap[page] !== OWN_PAGE);
  };
  let taken = 0;
  let copies: Copy[] = [];
  next();
  for (const extent of held.extents) {
    copies = [];
    inExtent = 0;
    while (inExtent < extent.length && page < pages) {
      const size = pageLength(page, held.length);
      if (page >= from && page < to && map[page] === code) {
        if (size !== pageLength(page, length)) throw corrupt(label, name, `page ${page} has another length in the image that holds it`);
        addCopy(copies, { from: inExtent, to: page * PAGE, length: size });
        taken++;
      }
      inExtent += size;
      next();
    }
    if (inExtent !== extent.length) throw corrupt(label, name, 'pages of a base do not end where its extents end');
    if (copies.length > 0) yield { extent, copies };
    if (page >= to) break;
  }
  let wanted = 0;
  for (let index = from; index < to; index++) if (map[index] === code) wanted++;
  if (taken !== wanted) throw corrupt(label, name, `${wanted} pages are said to lie in it, ${taken} do`);
}
