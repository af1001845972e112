/** The encoding tree-1: nothing writes it any more, and images that have it stay readable. */
import { describe, expect, it } from 'vitest';
import { decodeSection } from '../../packages/sdk/src/codec/codec.js';
import { differs } from '../fixtures/exactly.js';

function decodeTree(bytes: Uint8Array): unknown {
  return decodeSection({ name: 'sim', encoding: 'tree-1', bytes, imports: [] }, []).value;
}

function decodeBytes(...bytes: readonly number[]): unknown {
  return decodeTree(Uint8Array.from(bytes));
}

const DECODE = expect.objectContaining({ code: 'ERR_CKPT_DECODE' });
const LIMIT = expect.objectContaining({ code: 'ERR_CKPT_IMAGE_LIMIT' });

describe('the encoding tree-1', () => {
  it.each<[string, unknown, string]>([
    ['null', null, 'c0'],
    ['an object', { a: 1, b: [true, 'x'] }, '82a16101a16292c3a178'],
    ['undefined', undefined, '8100c0'],
    ['minus zero', -0, '8101c0'],
    ['zero', 0, '00'],
    ['a bigint', -255n, '8102a32d6666'],
    ['a lone surrogate', '\ud800', '8103c40200d8'],
    ['a leading byte order mark', '\ufeffa', '8103c404fffe6100'],
    ['an object with __proto__', JSON.parse('{"__proto__":1}'), '810492a95f5f70726f746f5f5f01'],
    ['an object without prototype', Object.assign(Object.create(null), { a: 1 }), '810592a16101'],
    ['a Map', new Map([[1, 2]]), '8106920102'],
    ['a Set', new Set([3]), '81079103'],
    ['a Date', new Date(5), '810805'],
    ['an invalid Date', new Date(Number.NaN), '8108cb7ff8000000000000'],
    ['an ArrayBuffer', new Uint8Array([7, 8]).buffer, '81099300c4020708c0'],
    ['a resizable SharedArrayBuffer', new SharedArrayBuffer(1, { maxByteLength: 2 }), '81099301c4010002'],
    ['a Uint16Array', new Uint16Array([513]), '810a94059300c4020102c00001'],
    ['a Buffer on the pool', Buffer.from('hi'), '810a940d9300c4026869c00002'],
  ])('F17: is read where it holds %s', (_, value, hex) => {
    expect(differs(value, decodeTree(Buffer.from(hex, 'hex')))).toBeUndefined();
  });

  it('F35: __proto__ and constructor keys are inert own data', () => {
    const raw = decodeBytes(...Buffer.concat([Buffer.of(0x81, 0xa9), Buffer.from('__proto__'), Buffer.of(0x81, 0xa1, 0x78, 1)]));
    expect(Object.getPrototypeOf(raw)).toBe(Object.prototype);
    expect(Object.keys(raw as object)).toEqual(['__proto__']);
  });
});

describe('decoding tree-1', () => {
  it.each<[string, readonly number[]]>([
    ['nothing', []],
    ['a cut value', [0x92, 1]],
    ['bytes after the value', [1, 2]],
    ['an unused type byte', [0xc1]],
    ['an extension', [0xd4, 0, 0]],
    ['an extension of a record', [0xd4, 0x72, 0x40]],
    ['a timestamp', [0xd6, 0xff, 0, 0, 0, 0]],
    ['invalid UTF-8', [0xa2, 0xc3, 0x28]],
    ['a surrogate in UTF-8', [0xa3, 0xed, 0xa0, 0x80]],
    ['bytes outside a tag', [0xc4, 1, 1]],
    ['an unknown tag', [0x81, 99, 0xc0]],
    ['a tag with two keys', [0x82, 0, 0xc0, 1, 0xc0]],
    ['undefined with a payload', [0x81, 0, 1]],
    ['an object with a key twice', [0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2]],
    ['pairs with a key twice', [0x81, 4, 0x94, 0xa1, 0x61, 1, 0xa1, 0x61, 2]],
    ['half a pair', [0x81, 4, 0x91, 0xa1, 0x61]],
    ['a key that is an object', [0x82, 0xa1, 0x61, 1, 0x80, 1]],
    ['a Map with a key twice', [0x81, 6, 0x94, 1, 1, 1, 1]],
    ['a Set with an item twice', [0x81, 7, 0x92, 1, 1]],
    ['a bigint that is none', [0x81, 2, 0xa1, 0x78]],
    ['a bigint minus zero', [0x81, 2, 0xa2, 0x2d, 0x30]],
    ['half a UTF-16 unit', [0x81, 3, 0xc4, 1, 1]],
    ['a Date out of range', [0x81, 8, 0xcb, 0x7f, 0xe0, 0, 0, 0, 0, 0, 0]],
    ['an integer beyond the safe ones', [0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['a buffer that is not there', [0x81, 9, 0]],
    ['a view beyond its memory', [0x81, 10, 0x94, 2, 0x93, 0, 0xc4, 1, 0, 0xc0, 0, 2]],
    ['a Buffer beyond its memory', [0x81, 10, 0x94, 13, 0x93, 0, 0xc4, 1, 0, 0xc0, 0, 2]],
    ['a misaligned view', [0x81, 10, 0x94, 5, 0x93, 0, 0xc4, 3, 0, 0, 0, 0xc0, 1, 1]],
    ['a tracking view on fixed memory', [0x81, 10, 0x94, 2, 0x93, 0, 0xc4, 1, 0, 0xc0, 0, 0xc0]],
    ['a view of an unknown kind', [0x81, 10, 0x94, 50, 0x93, 0, 0xc4, 1, 0, 0xc0, 0, 1]],
    ['memory of an unknown kind', [0x81, 9, 0x93, 2, 0xc4, 1, 0, 0xc0]],
    ['a maximum below the length', [0x81, 9, 0x93, 0, 0xc4, 2, 0, 0, 1]],
    ['a maximum that no machine has', [0x81, 9, 0x93, 0, 0xc4, 0, 0xcf, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ])('F33: refuses %s', (_, bytes) => {
    expect(() => decodeBytes(...bytes)).toThrow(DECODE);
  });

  it('F33: refuses claimed lengths that the bytes do not back, at once', () => {
    for (const type of [0xdd, 0xdf, 0xdb, 0xc6]) expect(() => decodeBytes(type, 0xff, 0xff, 0xff, 0xff, 0)).toThrow(DECODE);
    const nested = new Uint8Array(5000);
    for (let at = 0; at < 5000; at += 5) nested.set([0xdd, 0, 0, 0x10, 0], at);
    expect(() => decodeBytes(...nested)).toThrow(DECODE);
  });

  it('F33: refuses nesting of a million without overflowing the stack', () => {
    const deep = new Uint8Array(1_000_001).fill(0x91);
    expect(() => decodeTree(deep)).toThrow(LIMIT);
    expect(() => decodeTree(deep.fill(0x81))).toThrow(LIMIT);
  });

  it('F33: refuses more containers than the limit before it builds one', () => {
    const many = new Uint8Array(16_000_010).fill(0x80);
    many.set([0xdd, 0, 0xf4, 0x24, 0x05]);
    expect(() => decodeTree(many)).toThrow(LIMIT);
  });

  it('refuses an encoding that it does not know', () => {
    expect(() => decodeSection({ name: 'sim', encoding: 'graph-2', bytes: Uint8Array.of(0xc0), imports: [] }, [])).toThrow(DECODE);
  });

  it('reads every msgpack form of an integer', () => {
    expect(
      decodeBytes(
        0x95,
        0xd3,
        0xff,
        0xff,
        0xff,
        0xff,
        0xff,
        0xff,
        0xff,
        0xfe,
        0xcf,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        0xcc,
        5,
        0xd0,
        0xff,
        0xca,
        0x3f,
        0xc0,
        0,
        0,
      ),
    ).toEqual([-2, 2 ** 40, 5, -1, 1.5]);
  });
});
