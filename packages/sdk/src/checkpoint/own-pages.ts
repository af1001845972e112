/**
 * Reading pages of a shadow: which are zero, and those that an image holds itself, put together for writing.
 *
 * Invariants
 * 1. What is handed out is as long as an extent (but for the last), so that it is stored before the next is asked for: the
 *    memory behind it is used again.
 */
import { EXTENT_BYTES, PAGE } from '../image/format.js';
import { OWN_PAGE, pageLength } from '../image/page-map.js';
import type { StagedBuffer } from './thread-protocol.js';

const ZEROS = Buffer.alloc(PAGE);

/** One page of a shadow. Windows are whole pages long but for the last. */
function pageOf({ memory, length }: StagedBuffer, page: number): Buffer {
  let at = page * PAGE;
  for (const window of memory) {
    if (at < window.byteLength) return Buffer.from(window, at, pageLength(page, length));
    at -= window.byteLength;
  }
  throw new Error(`own pages: page ${page} lies beyond the buffer`);
}

export function isZeroPage(staged: StagedBuffer, page: number): boolean {
  const bytes = pageOf(staged, page);
  return bytes[0] === 0 && bytes.compare(ZEROS, 0, bytes.length) === 0;
}

export function* ownPages(staged: StagedBuffer, map: Uint8Array): Generator<Uint8Array> {
  const gathered = new Uint8Array(EXTENT_BYTES);
  let used = 0;
  for (let page = map.indexOf(OWN_PAGE); page >= 0; page = map.indexOf(OWN_PAGE, page + 1)) {
    const bytes = pageOf(staged, page);
    gathered.set(bytes, used);
    used += bytes.length;
    if (used < EXTENT_BYTES) continue;
    yield gathered;
    used = 0;
  }
  if (used > 0) yield gathered.subarray(0, used);
}
