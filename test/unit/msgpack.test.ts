import { pack } from 'msgpackr';
import { expect, it } from 'vitest';
import { GRAPH_LIMITS } from '../../packages/sdk/src/codec/graph-format.js';
import { packMsgpack, unpackMsgpack } from '../../packages/sdk/src/codec/msgpack.js';

/** Around the size from which on values are packed where they stay. */
const SIZES = [1000, (1 << 20) - 20, 1 << 20, (1 << 20) + 1, 5 << 20];

it.each(SIZES)('of %i bytes: what was packed stays as it is when the program packs with msgpackr, too', (size) => {
  const values = [new Uint8Array(size).fill(7), 'é'.repeat(size >> 3), ['日本', -1, 1.5, null], 'x'.repeat(size >> 2)];
  const bytes = packMsgpack(values);
  const before = bytes.slice();
  pack(values.slice(0, 1));
  packMsgpack([1, 2, 3]);
  packMsgpack(values);
  expect(Buffer.compare(bytes, before)).toBe(0);
  const unpacked = unpackMsgpack(bytes, GRAPH_LIMITS);
  expect(unpacked.fault).toBeUndefined();
  expect(Buffer.compare(Buffer.from(pack(values)), Buffer.from(bytes))).toBe(0);
});
