import { pack, unpack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { decodeSection, encodeMember } from '../../packages/sdk/src/codec/codec.js';
import type { EncodedMember } from '../../packages/sdk/src/codec/contract.js';
import { differs } from '../fixtures/exactly.js';

function encode(value: unknown): EncodedMember {
  return encodeMember(new Map([['sim', value]]));
}

function bytesOf(value: unknown): string {
  return Buffer.from(encode(value).sections[0]?.bytes ?? []).toString('hex');
}

function decode(member: EncodedMember, section = 0): unknown {
  const { encoding, bytes } = member.sections[section] ?? { encoding: '', bytes: new Uint8Array() };
  return decodeSection(
    encoding,
    bytes,
    member.buffers.map(({ memory }) => memory),
    'sim',
  );
}

function decodeBytes(...bytes: readonly number[]): unknown {
  return decodeSection('tree-1', Uint8Array.from(bytes), [], 'sim');
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
  ])('writes %s as documented', (_, value, hex) => {
    expect(bytesOf(value)).toBe(hex);
    expect(differs(value, decode(encode(value)))).toBeUndefined();
  });

  it('is standard msgpack that other decoders read', () => {
    const value = { step: 12, name: 'é', list: [1.5, -3, 2 ** 40], none: null };
    expect(unpack(encode(value).sections[0]?.bytes ?? Buffer.of())).toEqual(value);
  });

  it('F17: keeps the order of keys, entries and items', () => {
    const value = {
      z: 1,
      a: 2,
      10: 3,
      2: 4,
      map: new Map([
        ['b', 1],
        ['a', 2],
      ]),
      set: new Set(['y', 'x']),
    };
    expect(differs(value, decode(encode(value)))).toBeUndefined();
  });

  it('F35: __proto__ and constructor keys are inert own data', () => {
    const value: unknown = JSON.parse(
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":2}},"toJSON":3,"a":{"__proto__":null}}',
    );
    const back = decode(encode(value));
    expect(differs(value, back)).toBeUndefined();
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
    const raw = decodeBytes(...Buffer.concat([Buffer.of(0x81, 0xa9), Buffer.from('__proto__'), Buffer.of(0x81, 0xa1, 0x78, 1)]));
    expect(Object.getPrototypeOf(raw)).toBe(Object.prototype);
    expect(Object.keys(raw as object)).toEqual(['__proto__']);
  });

  it('does not change what it encodes', () => {
    const value = { list: [undefined, -0, { n: 1n }], map: new Map([['a', undefined]]) };
    const before = structuredClone(value);
    encode(value);
    expect(differs(before, value)).toBeUndefined();
  });

  it('hands over bytes that later captures do not change', () => {
    const first = encode({ text: 'a'.repeat(100) });
    const copy = first.sections[0]?.bytes.slice();
    encode({ text: 'b'.repeat(100) });
    pack({ text: 'c'.repeat(100) });
    expect(first.sections[0]?.bytes).toEqual(copy);
    expect(first.sections[0]?.bytes.buffer.byteLength).toBe(copy?.length);
  });
});

describe('buffers', () => {
  it('F17: bulk memory is listed once across providers and never copied; views of one buffer stay so', () => {
    const memory = new ArrayBuffer(4096);
    const roots = new Map<string, unknown>([
      ['a', { whole: new Float64Array(memory), memory }],
      ['b', [new Uint8Array(memory, 100, 50), new SharedArrayBuffer(5000)]],
    ]);
    const member = encodeMember(roots);
    expect(member.buffers.map(({ kind, byteLength }) => [kind, byteLength])).toEqual([
      ['ArrayBuffer', 4096],
      ['SharedArrayBuffer', 5000],
    ]);
    expect(member.buffers[0]?.memory).toBe(memory);
    expect(member.sections.map(({ buffers }) => buffers)).toEqual([[0], [0, 1]]);
    const a = decode(member, 0) as { whole: Float64Array; memory: ArrayBuffer };
    const b = decode(member, 1) as [Uint8Array, SharedArrayBuffer];
    expect(a.whole.buffer).toBe(a.memory);
    expect(b[0].buffer).toBe(a.memory);
    expect([b[0].byteOffset, b[0].length]).toEqual([100, 50]);
  });

  it('F17: small memory with one reference is inline, with two it is listed, also across providers', () => {
    expect(encode(new Uint8Array(4095)).buffers).toEqual([]);
    expect(encode(new Uint8Array(4096)).buffers).toHaveLength(1);
    const memory = new ArrayBuffer(16);
    const member = encodeMember(
      new Map<string, unknown>([
        ['a', [new Uint8Array(memory)]],
        ['b', { memory, again: new DataView(memory) }],
      ]),
    );
    expect(member.buffers).toHaveLength(1);
    expect(member.sections.map(({ buffers }) => buffers)).toEqual([[0], [0]]);
    const a = decode(member, 0) as [Uint8Array];
    const b = decode(member, 1) as { memory: ArrayBuffer; again: DataView };
    expect([a[0].buffer, b.again.buffer]).toEqual([b.memory, b.memory]);
    expect(a[0].buffer).toBe(b.memory);
    expect(b.again.buffer).toBe(b.memory);
    const twice = encode({ one: memory, two: memory });
    const both = decode(twice) as { one: ArrayBuffer; two: ArrayBuffer };
    expect(both.one).toBe(both.two);
  });

  it('keeps the pool of Node out of the image, unless its memory is shared on purpose', () => {
    const small = Buffer.from('secretless');
    expect(small.buffer.byteLength).toBeGreaterThanOrEqual(Buffer.poolSize);
    expect(encode({ small, more: Buffer.from('x') }).buffers).toEqual([]);
    const back = (decode(encode({ small })) as { small: Buffer }).small;
    expect(Buffer.isBuffer(back)).toBe(true);
    expect(back.equals(small)).toBe(true);
    for (const sharing of [
      { small, part: small.subarray(2, 4) },
      { small, bytes: new Uint8Array(small.buffer) },
      { bytes: small.buffer, small },
    ]) {
      const member = encode(sharing);
      expect(member.buffers).toHaveLength(1);
      const [one, two] = Object.values(decode(member) as Record<string, Uint8Array | ArrayBuffer>);
      const memoryOf = (value: Uint8Array | ArrayBuffer | undefined): unknown => (ArrayBuffer.isView(value) ? value.buffer : value);
      expect(memoryOf(one)).toBe(memoryOf(two));
      expect(differs(sharing, decode(member))).toBeUndefined();
    }
  });

  it('F17: length-tracking views go on tracking, fixed ones stay fixed', () => {
    const memory = new ArrayBuffer(64, { maxByteLength: 128 });
    const shared = new SharedArrayBuffer(64, { maxByteLength: 128 });
    const value = {
      tracking: new Uint8Array(memory),
      fixed: new Uint8Array(memory, 0, 64),
      fromEight: new Float64Array(memory, 8),
      view: new DataView(memory),
      grows: new Uint16Array(shared),
      stays: new Uint16Array(shared, 0, 32),
    };
    const back = decode(encode(value)) as typeof value;
    (back.tracking.buffer as ArrayBuffer).resize(128);
    (back.grows.buffer as unknown as SharedArrayBuffer).grow(128);
    expect([
      back.tracking.length,
      back.fixed.length,
      back.fromEight.length,
      back.view.byteLength,
      back.grows.length,
      back.stays.length,
    ]).toEqual([128, 64, 15, 128, 64, 32]);
  });

  it('F17: every kind of view comes back', () => {
    const names = [
      'Int8',
      'Uint8',
      'Uint8Clamped',
      'Int16',
      'Uint16',
      'Int32',
      'Uint32',
      'Float16',
      'Float32',
      'Float64',
      'BigInt64',
      'BigUint64',
    ];
    const views = names.flatMap((name) => {
      const Maker: unknown = Reflect.get(globalThis, `${name}Array`);
      return typeof Maker === 'function' ? [Reflect.construct(Maker, [new ArrayBuffer(32), 8, 2])] : [];
    });
    expect(views.length).toBeGreaterThanOrEqual(11);
    expect(differs(views, decode(encode(views)))).toBeUndefined();
  });
});

describe('decoding', () => {
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
    expect(() => decodeSection('tree-1', nested, [], 'sim')).toThrow(DECODE);
  });

  it('F33: refuses nesting of a million without overflowing the stack', () => {
    const deep = new Uint8Array(1_000_001).fill(0x91);
    expect(() => decodeSection('tree-1', deep, [], 'sim')).toThrow(LIMIT);
    expect(() => decodeSection('tree-1', deep.fill(0x81), [], 'sim')).toThrow(LIMIT);
  });

  it('F33: refuses more containers than the limit before it builds one', () => {
    const many = new Uint8Array(16_000_010).fill(0x80);
    many.set([0xdd, 0, 0xf4, 0x24, 0x05]);
    expect(() => decodeSection('tree-1', many, [], 'sim')).toThrow(LIMIT);
  });

  it('refuses an encoding that it does not know', () => {
    expect(() => decodeSection('graph-1', Uint8Array.of(0xc0), [], 'sim')).toThrow(DECODE);
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

describe('a capture that goes wrong', () => {
  it('F13: out of memory while encoding is ERR_CKPT_MEMORY, and the next capture works', () => {
    const allocate = Buffer.allocUnsafeSlow;
    let fired = 0;
    Buffer.allocUnsafeSlow = (size) => {
      if (size < 2 ** 21) return allocate(size);
      fired++;
      throw new RangeError('Array buffer allocation failed');
    };
    try {
      expect(() => encode({ text: 'x'.repeat(2 ** 22) })).toThrow(expect.objectContaining({ code: 'ERR_CKPT_MEMORY', provider: 'sim' }));
    } finally {
      Buffer.allocUnsafeSlow = allocate;
    }
    expect(fired).toBe(1);
    const value = { text: 'x'.repeat(2 ** 22), list: [1, 2] };
    expect(differs(value, decode(encode(value)))).toBeUndefined();
  });

  it('F13: more structured data than a section may have is refused, not cut', () => {
    const text = 'x'.repeat(2 ** 29 - 24);
    expect(() => encode([text, text, text, text])).toThrow(
      expect.objectContaining({ code: 'ERR_CKPT_UNSUPPORTED_VALUE', provider: 'sim' }),
    );
  });

  it('F18: the deepest nesting allowed comes back, also where each level takes two of msgpack', () => {
    for (const wide of [0, 20, 70]) {
      let value: unknown = new Uint8Array(3);
      for (let i = 0; i < 1000; i++) {
        const others = Array.from({ length: wide }, (_, other) => other);
        value = [
          new Map<unknown, unknown>([...others.entries(), ['next', value]]),
          new Set([...others, value]),
          [...others, value],
          { ...others, value },
        ][i % 4];
      }
      expect(differs(value, decode(encode(value)))).toBeUndefined();
    }
  });

  it('F18: carries deep values from deep in the stack of the program', () => {
    const value = Array.from({ length: 900 }).reduce<unknown>((inner) => new Map([['inner', inner]]), 1);
    const descend = (levels: number, then: () => unknown): unknown => (levels === 0 ? then() : [descend(levels - 1, then)][0]);
    let most = 1000;
    const fits = (levels: number): boolean => {
      try {
        return descend(levels, () => true) === true;
      } catch {
        return false;
      }
    };
    while (fits(most)) most += 500;
    expect(() => descend(Math.floor(most * 0.7), () => encode(value))).not.toThrow();
  });

  it('is told when the program has changed how msgpackr writes bytes', async () => {
    const { addExtension } = await import('msgpackr');
    addExtension({ Class: Uint8Array, type: 99, pack: () => Buffer.of(1) });
    expect(() => encode({ bytes: new Uint8Array(3) })).toThrow(expect.objectContaining({ code: 'ERR_CKPT_UNSUPPORTED_VALUE' }));
  });
});
