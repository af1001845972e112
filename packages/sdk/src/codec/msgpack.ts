/**
 * msgpackr, set up for standard msgpack: no records, no extension types, no state kept between values.
 *
 * Invariants
 * 1. `addExtension` is never called: it is global to the process and would change the program's own msgpackr.
 * 2. What packMsgpack returns belongs to the caller; msgpackr's working buffer is reused. What is large is
 *    packed into memory of its own, which msgpackr forgets.
 * 3. Nothing is unpacked that has not been scanned.
 * 4. What comes out has at least the bytes that texts and bytes have by themselves: in memory of 2 GiB and more, some versions
 *    of Node.js write no text at all, and do not say so.
 */
import { Packr, RESET_BUFFER_MODE, Unpackr } from 'msgpackr';
import { scanMsgpack } from './scan.js';
import { MAX_SECTION_BYTES, type MsgpackLimits } from './tags.js';

const packr = new Packr({ useRecords: false, variableMapSize: true, useToJSON: false });
const unpackr = new Unpackr({
  useRecords: false,
  mapsAsObjects: false,
  // 'auto' (a number when it fits) is missing from msgpackr's types.
  int64AsType: 'auto' as 'number',
});

const ONE_BYTE = new Uint8Array([7]);

/** From so many bytes on they are packed where they stay: a copy of so much takes as long as all the rest. */
const LARGE = 1 << 20;
/** msgpackr counts beyond in numbers that do not reach so far, in a buffer that it did not make. */
const MOST_IN_PLACE = 2 ** 30;
/** msgpackr begins no text where three bytes for each of its units would not fit. */
const UNIT_BYTES = 3;
const SPARE_BYTES = 4096;
/** What is before the bytes of a value, at most. */
const MOST_HEAD = 9;
const SMALL_BYTES = 8192;

/** More than a section may have. */
export class TooLarge extends Error {
  /** At least. */
  readonly bytes: number;

  constructor(bytes: number) {
    super(`${bytes} bytes are too large`);
    this.bytes = bytes;
  }
}

/**
 * Plain objects, arrays, Maps, Uint8Arrays and primitives (no undefined; bigint within 64 bits) as msgpack.
 * @throws RangeError when memory runs out, TooLarge
 */
export function packMsgpack(value: unknown): Uint8Array {
  const size = { bytes: 0, least: 0, longest: 0 };
  if (Array.isArray(value)) measure(value, size);
  if (size.least > MAX_SECTION_BYTES) throw new TooLarge(size.least);
  const room = size.bytes + size.longest * UNIT_BYTES + SPARE_BYTES;
  if (size.bytes >= LARGE && room <= MOST_IN_PLACE) return whole(packedInPlace(value, room), size.least);
  const packed = whole(packr.pack(value, RESET_BUFFER_MODE), size.least);
  const own = new Uint8Array(packed.length);
  own.set(packed);
  return own;
}

/** Invariant 4. */
function whole(packed: Uint8Array, least: number): Uint8Array {
  if (packed.length >= least) return packed;
  throw new RangeError(`${least} bytes of texts and bytes became ${packed.length} bytes: too large`);
}

/** What msgpackr writes into is the caller's, so it is given another one afterwards: it has one for all of the program's. */
function packedInPlace(value: unknown, room: number): Uint8Array {
  const into = Buffer.allocUnsafeSlow(room);
  try {
    packr.useBuffer(into);
    const packed = packr.pack(value);
    return new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
  } finally {
    packr.useBuffer(Buffer.allocUnsafeSlow(SMALL_BYTES));
  }
}

/** About how many bytes lists are packed to, how many at least, and how long the longest text in them is. */
function measure(values: readonly unknown[], size: { bytes: number; least: number; longest: number }): void {
  for (const value of values) {
    if (value instanceof Uint8Array || typeof value === 'string') {
      const length = typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength;
      size.bytes += length + MOST_HEAD;
      size.least += length;
      if (typeof value === 'string') size.longest = Math.max(size.longest, value.length);
    } else {
      size.bytes += MOST_HEAD;
      if (Array.isArray(value)) measure(value, size);
    }
  }
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
