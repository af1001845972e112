/**
 * Tells whether a view on resizable memory follows its memory's length.
 *
 * JavaScript cannot ask that. V8's serializer writes it as a flag of the view; with the memory named out of
 * band (`transferArrayBuffer` only names it) the output is a few bytes and nothing is copied or detached.
 *
 * Invariants
 * 1. Anything unexpected in those bytes is `unknown`, never a guess.
 */
import { Serializer } from 'node:v8';

export type Tracking = 'fixed' | 'tracking' | 'unknown';

const VIEW_TAG = 0x56;
const FLAG_TRACKING = 1;
const FLAG_RESIZABLE = 2;

class ViewSerializer extends Serializer {
  /** Called by V8 for shared memory; the number is not used. */
  _getSharedArrayBufferId(): number {
    return 0;
  }
}

/** @returns `unknown` also for a view that lies outside its shrunk memory: V8 refuses to serialize one. */
export function trackingOf(view: ArrayBufferView): Tracking {
  const serializer = new ViewSerializer();
  let bytes: Buffer;
  try {
    serializer.writeHeader();
    if (view.buffer instanceof ArrayBuffer) serializer.transferArrayBuffer(0, view.buffer);
    serializer.writeValue(view);
    bytes = serializer.releaseBuffer();
  } catch {
    return 'unknown';
  }
  // Header (2 bytes), tag and id of the memory (2), tag and kind of the view (2), then three varints.
  if (bytes[4] !== VIEW_TAG) return 'unknown';
  let at = 6;
  for (let skipped = 0; skipped < 2; skipped++) {
    while (((bytes[at] ?? 0) & 0x80) !== 0) at++;
    at++;
  }
  const flags = bytes[at];
  if (flags === undefined || at !== bytes.length - 1 || (flags & ~(FLAG_TRACKING | FLAG_RESIZABLE)) !== 0) return 'unknown';
  if ((flags & FLAG_RESIZABLE) === 0 && view.buffer instanceof ArrayBuffer) return 'unknown';
  return (flags & FLAG_TRACKING) === 0 ? 'fixed' : 'tracking';
}
