/**
 * msgpackr, set up for standard msgpack: no records, no extension types, no state kept between values.
 *
 * Invariants
 * 1. `addExtension` is never called: it is global to the process and would change the program's own msgpackr.
 * 2. What packMsgpack returns belongs to the caller; msgpackr's working buffer is reused.
 * 3. Nothing is unpacked that has not been scanned.
 */
import { Packr, RESET_BUFFER_MODE, Unpackr } from 'msgpackr';
import { scanMsgpack } from './scan.js';
import type { MsgpackLimits } from './tags.js';

const packr = new Packr({ useRecords: false, variableMapSize: true, useToJSON: false });
const unpackr = new Unpackr({
  useRecords: false,
  mapsAsObjects: false,
  // 'auto' (a number when it fits) is missing from msgpackr's types.
  int64AsType: 'auto' as 'number',
});

const ONE_BYTE = new Uint8Array([7]);

/**
 * Plain objects, arrays, Maps, Uint8Arrays and primitives (no undefined; bigint within 64 bits) as msgpack.
 * @throws RangeError when memory runs out
 */
export function packMsgpack(value: unknown): Uint8Array {
  const packed = packr.pack(value, RESET_BUFFER_MODE);
  const own = new Uint8Array(packed.length);
  own.set(packed);
  return own;
}

/** False when an extension that the program added to msgpackr for Uint8Array has changed how bytes are written. */
export function packsBytes(): boolean {
  const packed = packMsgpack(ONE_BYTE);
  return packed.length === 3 && packed[0] === 0xc4 && packed[1] === 1 && packed[2] === 7;
}

export type Unpacked =
  | { readonly fault: undefined; readonly value: unknown /** Map entries that the bytes hold. */; readonly entries: number }
  | { readonly fault: 'malformed' | 'limit'; readonly reason: string };

/** Maps come back as Map. A key that came twice shows as fewer entries than `entries`: the caller counts. */
export function unpackMsgpack(bytes: Uint8Array, limits: MsgpackLimits): Unpacked {
  const scan = scanMsgpack(bytes, limits);
  if (scan.fault !== undefined) return scan;
  // A view of our own: msgpackr hangs a property on what it is given.
  const value: unknown = unpackr.unpack(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return { fault: undefined, value, entries: scan.entries };
}
