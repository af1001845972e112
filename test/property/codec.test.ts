import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeSection, encodeMember } from '../../packages/sdk/src/codec/codec.js';
import { differs } from '../fixtures/exactly.js';

const awkwardKey = fc.constantFrom(
  '__proto__',
  'constructor',
  'toJSON',
  'hasOwnProperty',
  'length',
  '',
  '0',
  '-0',
  '\ud800',
  '\ufeffbom',
  'é',
);
const key = fc.oneof({ weight: 3, arbitrary: fc.string() }, awkwardKey);

const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.constantFrom(
    -0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 53,
    -(2 ** 31) - 1,
    5e-324,
    0x80,
    0x40,
    0xffff,
    0x10000,
  ),
);

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({ unit: 'grapheme', maxLength: 100 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 80 }).map((units) => String.fromCharCode(...units)),
  fc
    .tuple(fc.constantFrom('\ufeff', '\ud800', '\u0000', 'x'), fc.integer({ min: 0, max: 70_000 }))
    .map(([unit, n]) => unit + 'a'.repeat(n)),
);

type ViewMaker = (new (memory: ArrayBufferLike, byteOffset?: number, length?: number) => ArrayBufferView) & { BYTES_PER_ELEMENT: number };
const VIEWS: readonly ViewMaker[] = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
];
const memory = fc
  .tuple(fc.constantFrom(0, 8, 64, 4088, 4096, 8192, 9000), fc.constantFrom('plain', 'shared', 'resizable', 'growable'))
  .map(([size, kind]) => {
    const options = kind === 'resizable' || kind === 'growable' ? { maxByteLength: size + 64 } : undefined;
    const made = kind === 'plain' || kind === 'resizable' ? new ArrayBuffer(size, options) : new SharedArrayBuffer(size, options);
    new Uint8Array(made).forEach((_, i, bytes) => {
      bytes[i] = i * 31;
    });
    return made;
  });
const view = fc
  .tuple(memory, fc.integer({ min: 0, max: VIEWS.length + 2 }), fc.boolean(), fc.nat(3))
  .map(([buffer, which, whole, skip]) => {
    const from = Math.min(skip * 8, buffer.byteLength);
    if (which === VIEWS.length) return Buffer.from(buffer, from, buffer.byteLength - from);
    if (which === VIEWS.length + 1) return whole ? new DataView(buffer, from) : new DataView(buffer, from, buffer.byteLength - from);
    if (which === VIEWS.length + 2) return new BigInt64Array(buffer, from, Math.floor((buffer.byteLength - from) / 8));
    const Maker = VIEWS[which] ?? Uint8Array;
    return whole ? new Maker(buffer) : new Maker(buffer, from, Math.floor((buffer.byteLength - from) / Maker.BYTES_PER_ELEMENT));
  });

const leaf = fc.oneof(
  number,
  text,
  fc.boolean(),
  fc.constantFrom(null, undefined),
  fc.bigInt(),
  fc.date({ noInvalidDate: false }).map((date) => new Date(date)),
  memory,
  view,
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
);

function ownProperties(entries: readonly (readonly [string, unknown])[], prototype: object | null): object {
  const object: object = Object.create(prototype);
  for (const [name, value] of entries) Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
  return object;
}

const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 5, depthSize: 'medium' }, leaf, tie('array'), tie('object'), tie('bare'), tie('map'), tie('set')),
  array: fc.array(tie('value'), { maxLength: 6 }),
  object: fc
    .uniqueArray(fc.tuple(key, tie('value')), { selector: ([name]) => name, maxLength: 6 })
    .map((entries) => ownProperties(entries, Object.prototype)),
  bare: fc
    .uniqueArray(fc.tuple(key, tie('value')), { selector: ([name]) => name, maxLength: 4 })
    .map((entries) => ownProperties(entries, null)),
  map: fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
  set: fc.array(tie('value'), { maxLength: 4 }).map((items) => new Set(items)),
}));

describe('a value that is encoded', () => {
  it('F17, F35: comes back exactly, bit for bit, keys in order, buffers of their kind', () => {
    fc.assert(
      fc.property(value, (original) => {
        const { sections, buffers } = encodeMember(new Map([['sim', original]]));
        const [section] = sections;
        if (section === undefined) throw new Error('no section');
        const back = decodeSection(
          section.encoding,
          section.bytes,
          buffers.map((found) => found.memory),
          'sim',
        );
        expect(differs(original, back)).toBeUndefined();
      }),
      { numRuns: 1500 },
    );
  });

  it('F17: numbers come back bit for bit', () => {
    const bits = new DataView(new ArrayBuffer(8));
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 50, maxLength: 50 }), (patterns) => {
        const numbers = patterns.map((pattern) => {
          bits.setBigUint64(0, pattern);
          return bits.getFloat64(0);
        });
        const [section] = encodeMember(new Map([['sim', numbers]])).sections;
        const back = section === undefined ? undefined : decodeSection(section.encoding, section.bytes, [], 'sim');
        expect(differs(numbers, back)).toBeUndefined();
      }),
    );
  });

  it('F33: whatever bytes it is given, decoding ends with a value or a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeSection('tree-1', bytes, [], 'sim');
        } catch (error) {
          expect(error).toHaveProperty('code', expect.stringMatching(/^ERR_CKPT_(DECODE|IMAGE_LIMIT)$/));
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('F33: whatever bit is flipped in good bytes, decoding ends with a value or a typed error', () => {
    fc.assert(
      fc.property(value, fc.nat(), (original, flip) => {
        const [section] = encodeMember(new Map([['sim', original]])).sections;
        if (section === undefined) throw new Error('no section');
        const at = flip % (section.bytes.length * 8);
        section.bytes[at >> 3] = (section.bytes[at >> 3] ?? 0) ^ (1 << (at & 7));
        try {
          decodeSection('tree-1', section.bytes, [], 'sim');
        } catch (error) {
          expect(error).toHaveProperty('code', expect.stringMatching(/^ERR_CKPT_(DECODE|IMAGE_LIMIT)$/));
        }
      }),
      { numRuns: 1500 },
    );
  });
});
