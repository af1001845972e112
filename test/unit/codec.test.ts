import { readFileSync } from 'node:fs';
import { pack, unpack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { decodeSection, encodeMember } from '../../packages/sdk/src/codec/codec.js';
import type { EncodedMember } from '../../packages/sdk/src/codec/contract.js';
import { decodeMember, roundTrip } from '../fixtures/coding.js';
import { hiddenContent, Particle, Sealed, Table, testClasses } from '../fixtures/graph-classes.js';
import { sameGraph } from '../fixtures/same-graph.js';

function encode(value: unknown): EncodedMember {
  return encodeMember(new Map([['sim', value]]));
}

const CLASSES = testClasses();

/** What differs after a restart. */
function changed(value: unknown): string | undefined {
  return sameGraph(value, roundTrip(value, CLASSES), hiddenContent);
}

/** All sections of a member, and what differs after a restart. */
function changedMember(roots: ReadonlyMap<string, unknown>): string | undefined {
  return sameGraph([...roots.values()], [...decodeMember(encodeMember(roots, CLASSES), CLASSES).values()], hiddenContent);
}

function defined(object: object, key: string | symbol, descriptor: PropertyDescriptor): object {
  return Object.defineProperty(object, key, descriptor);
}

function odd(values: readonly unknown[], more: Readonly<Record<string | symbol, unknown>>): unknown[] {
  return Object.assign([...values], more);
}

function holed(): unknown[] {
  return Object.assign(new Array(5), { 1: 1, 3: {} });
}

describe('what comes back exactly', () => {
  const cases: readonly (readonly [string, () => unknown])[] = [
    ['numbers', () => [0, -0, Number.NaN, Number.POSITIVE_INFINITY, 5e-324, 2 ** 53, 0.1, -128, 127, 255, -32_769]],
    ['bigints of any size', () => [0n, -1n, 2n ** 64n, -(2n ** 5000n)]],
    ['undefined, null and booleans', () => ({ a: undefined, b: null, c: [true, false] })],
    ['lone surrogates and byte order marks', () => ['\ud800', 'a\udc00', '\ufeff', { '\ud83d': 1 }, 'a\ud83d', '\ude00b']],
    [
      'symbols that every process has',
      () => ({ [Symbol.for('a')]: Symbol.for('\ud800'), [Symbol.iterator]: Symbol.for('@x'), s: Symbol.for('') }),
    ],
    ['keys in their order', () => ({ z: 1, a: 2, 10: 3, 2: 4, [Symbol.for('s')]: 5 })],
    ['__proto__ as own key', () => JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":2},"toJSON":3}')],
    ['objects without prototype', () => Object.assign(Object.create(null), { a: 1, __proto__: 2 })],
    ['holes', () => [holed(), new Array(3), Object.assign([], { 4_294_967_294: 1 }), Object.assign(new Array(5000), { 4998: 1 })]],
    ['many long and nearly empty arrays', () => Array.from({ length: 400 }, () => Object.assign([], { 1_000_000: 1 }))],
    ['many arrays of holes', () => Array.from({ length: 3000 }, () => new Array(1000))],
    [
      'properties beside elements',
      () => [odd([1], { x: 2, '-1': 3, 4_294_967_295: 4 }), odd(new Array(1000).fill(0), { x: 1 }), /a(b)/.exec('ab')],
    ],
    [
      'Maps and Sets with any key in order',
      () => [
        new Map<unknown, unknown>([
          [Number.NaN, 1],
          [0, 2],
          [{}, 3],
          [undefined, 4],
        ]),
        new Set([Number.NaN, null, [], 'x']),
      ],
    ],
    ['dates, invalid ones too', () => [new Date(5), new Date(Number.NaN), Object.assign(new Date(1), { x: 1 })]],
    ['regular expressions', () => [Object.assign(/a\/b/dgimsuy, { lastIndex: -0 }), /\n/, defined(/a/g, 'source', { value: 'b' })]],
    ['errors', () => [Object.assign(new TypeError('x', { cause: [1] }), { code: 'E' }), new AggregateError([new Error('a')], 'all')]],
    ['errors whose stack was changed', () => [{}, undefined, 5, 'own'].map((stack) => defined(new Error('x'), 'stack', { value: stack }))],
    [
      'errors whose stack was removed, or came later',
      () =>
        ['', 'later'].map((stack) => {
          const error = new Error('x');
          Reflect.deleteProperty(error, 'stack');
          return stack === '' ? error : Object.assign(error, { stack });
        }),
    ],
    ['boxed primitives', () => [1, -0, true, 5n, 'abc', '', Symbol.for('q')].map((value) => Object(value))],
    ['a boxed text with more indexes', () => Object.assign(Object('abc'), { 10: 'x' })],
    ['URLs, whatever properties they have', () => defined(new URL('http://é.example/a b?c#d'), 'href', { value: 'http://b/' })],
    ['attributes', () => defined(defined({ a: 1 }, 'hidden', { value: 1, writable: true }), 'fixed', { value: 2, enumerable: true })],
    [
      'frozen, sealed and closed objects',
      () =>
        [Object.freeze, Object.seal, Object.preventExtensions].flatMap((close) => [
          close({ a: 1 }),
          close(holed()),
          close([]),
          close(new Array(3)),
          close(new Map([[1, 2]])),
          close(new Error('x')),
          close(/a/g),
          close(Object.create(null)),
          close(new Particle()),
          close(Object('abc')),
          close(new ArrayBuffer(8)),
          close(new DataView(new ArrayBuffer(8))),
        ]),
    ],
    [
      'closed views',
      () => [
        Object.preventExtensions(new Uint8Array(3)),
        Object.freeze(new Uint8Array(0)),
        Object.preventExtensions(new Uint8Array(new ArrayBuffer(0, { maxByteLength: 8 }))),
      ],
    ],
    [
      'views with properties, whatever these are called',
      () => [
        defined(new Uint8Array(9), 'length', { value: 1 }),
        defined(defined(new Float64Array(1000), 'length', { value: {} }), 'buffer', { value: 1 }),
        Object.assign(new DataView(new ArrayBuffer(4)), { 1: 2 }),
      ],
    ],
    ['instances, with no setter run', () => Object.assign(new Particle(), { [Symbol.for('k')]: 1, next: new Particle() })],
    ['subclasses of built-in classes, with no method run', () => Object.setPrototypeOf(new Map([[1, { a: 1 }]]), Table.prototype)],
    ['an object that only has the prototype of a Map subclass', () => Object.create(Table.prototype)],
    [
      'encoded instances, shared and as keys',
      () => {
        const inner = new Sealed({ a: 1 });
        const outer = Object.freeze(new Sealed([inner]));
        return {
          z: 1,
          outer,
          a: inner,
          [Symbol.for('s')]: inner,
          b: 2,
          map: new Map<unknown, unknown>([
            [outer, inner],
            [1, 2],
          ]),
          set: new Set([inner, 3, outer]),
        };
      },
    ],
  ];

  it.each(cases)('F17: %s', (_, make) => {
    expect(changed(make())).toBeUndefined();
  });

  it('F16: cycles and shared objects', () => {
    const shared = { n: 1 };
    const cyclic: Record<string, unknown> = { shared, list: [shared, shared] };
    cyclic['self'] = {
      deeper: [cyclic],
      map: new Map<unknown, unknown>([[cyclic, shared]]),
      set: new Set([cyclic]),
      particle: Object.assign(new Particle(), { x: cyclic }),
    };
    expect(changed(cyclic)).toBeUndefined();
  });

  it('F16: one object in several providers is one object after a restart', () => {
    const shared: Record<string, unknown> = { n: 1, memory: new ArrayBuffer(16), bulk: Object.assign(new ArrayBuffer(8192), { note: 1 }) };
    shared['self'] = shared;
    const sealed = new Sealed(shared);
    const roots = new Map<string, unknown>([
      ['a', { shared, sealed }],
      ['b', 5],
      ['c', [sealed, new Uint8Array(shared['memory'] as ArrayBuffer), shared['bulk']]],
      ['d', shared],
    ]);
    expect(encodeMember(roots, CLASSES).sections.map(({ imports }) => imports)).toEqual([[], [], [0], [0]]);
    expect(changedMember(roots)).toBeUndefined();
  });

  it('F18: a list of a million nodes', () => {
    let list: unknown = null;
    for (let i = 0; i < 1_000_000; i++) list = { next: list };
    let back = roundTrip(list);
    for (let i = 0; i < 1_000_000; i++) back = Reflect.get(Object(back), 'next');
    expect(back).toBe(null);
  });

  it('F18: is walked from deep in the stack of the program', () => {
    const value = Array.from({ length: 10_000 }).reduce<unknown>((inner) => new Map([['inner', inner]]), 1);
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

  it('F35: keys that a prototype knows touch none', () => {
    expect(changed(JSON.parse('{"__proto__":{"polluted":1},"a":{"constructor":{"prototype":{"polluted":2}}}}'))).toBeUndefined();
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });

  it('is written as the example in the document says', () => {
    const document = readFileSync(new URL('../../docs/image-format.md', import.meta.url), 'utf8');
    const example = /is\n\n```text\n(9[^`]+)```/.exec(document)?.[1] ?? '';
    const hex = [...example.matchAll(/^((?:[0-9a-f]{2} )+)/gm)].map(([, row = '']) => row.replaceAll(' ', '')).join('');
    const value: Record<string, unknown> = { n: 1 };
    value['self'] = value;
    expect(Buffer.from(encode(value).sections[0]?.bytes ?? []).toString('hex')).toBe(hex);
  });

  it('is standard msgpack that other decoders read', () => {
    const [section] = encode({ step: 12, name: 'é' }).sections;
    expect(section?.encoding).toBe('graph-1');
    expect(unpack(section?.bytes ?? Buffer.of())).toHaveLength(5);
  });

  it('does not change what it encodes', () => {
    const value = { list: [undefined, -0, { n: 1n }], map: new Map([['a', undefined]]), error: new Error('x'), view: new Uint8Array(5000) };
    const before = structuredClone(value);
    encode(value);
    expect(sameGraph(before.map, value.map)).toBeUndefined();
    expect(sameGraph(before.list, value.list)).toBeUndefined();
    expect(Reflect.ownKeys(value.error)).toEqual(['stack', 'message']);
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

describe('memory', () => {
  it('F17: is listed once across providers when it is bulk, and never copied; views of one buffer stay so', () => {
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
    expect(changedMember(roots)).toBeUndefined();
  });

  it('F17: small memory lies in the section, however many refer to it', () => {
    const memory = new ArrayBuffer(16);
    expect(encode({ memory, views: [new Uint8Array(memory), new DataView(memory)] }).buffers).toEqual([]);
    expect(changed({ memory, views: [new Uint8Array(memory), new DataView(memory, 3, 4)] })).toBeUndefined();
    expect(encode(new Uint8Array(4096)).buffers).toHaveLength(1);
  });

  it('keeps the pool of Node out of the image, unless its memory is shared on purpose', () => {
    const small = Buffer.from('secretless');
    expect(small.buffer.byteLength).toBeGreaterThanOrEqual(Buffer.poolSize);
    expect(encode({ small, more: Buffer.from('x') }).buffers).toEqual([]);
    expect(changed({ small, more: Buffer.from('x') })).toBeUndefined();
    for (const sharing of [
      { small, part: small.subarray(2, 4) },
      { small, bytes: new Uint8Array(small.buffer) },
      { bytes: small.buffer, small },
    ]) {
      expect(encode(sharing).buffers).toHaveLength(1);
      expect(changed(sharing)).toBeUndefined();
    }
    const across = new Map<string, unknown>([
      ['a', small],
      ['b', [small.subarray(2, 4)]],
      ['c', small],
    ]);
    expect(encodeMember(across).sections.map(({ buffers }) => buffers)).toEqual([[0], [0], []]);
    expect(changedMember(across)).toBeUndefined();
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
    const back = roundTrip(value) as typeof value;
    (back.tracking.buffer as ArrayBuffer).resize(128);
    (back.grows.buffer as unknown as SharedArrayBuffer).grow(128);
    const lengths = [back.tracking, back.fixed, back.fromEight, back.grows, back.stays].map(({ length }) => length);
    expect([...lengths, back.view.byteLength]).toEqual([128, 64, 15, 64, 32, 128]);
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
    expect(changed(views)).toBeUndefined();
  });
});

describe('decoding graph-1', () => {
  const column = (kind: number, ...lists: readonly unknown[]): unknown =>
    [Buffer.of(kind), null, null, null, null].map((part, i) => lists[i] ?? part);
  const nothing = column(0);
  const none = [Buffer.of(), null, null, null, null];
  const counts = (...values: readonly number[]): unknown => [4, Buffer.from(values)];
  const wide = (...values: readonly number[]): unknown => [6, Buffer.from(Uint32Array.from(values).buffer)];
  const graph = (
    order: unknown,
    groups: unknown,
    extras: unknown = null,
    resolve: unknown = counts(),
    root: unknown = nothing,
  ): unknown => [root, order, groups, extras, resolve];
  const decode = (value: unknown): unknown =>
    decodeSection({ name: 'sim', encoding: 'graph-1', bytes: pack(value), imports: [] }, [], CLASSES).value;

  it('reads what the document says', () => {
    const root = [7, null, null, counts(0), null];
    expect(
      decode(graph(counts(0), [[0, null, 0, [['step'], counts(4)], [[5, [0, Buffer.of(7)], null, null, null]]]], null, counts(), root)),
    ).toEqual({ step: 7 });
  });

  it.each<[string, unknown]>([
    ['a value that is no list', 1],
    ['a map', new Map()],
    ['a list of another length', [nothing, counts(), []]],
    ['an object of a group that is not there', graph(counts(1), [])],
    ['a group of an unknown kind', graph(counts(0), [[16, null, 0]])],
    ['a group of unknown integrity', graph(counts(0), [[3, null, 4, wide(0), none, none]])],
    ['a reference to an object that is not there', graph(counts(), [], null, counts(), [7, null, null, counts(0), null])],
    ['a cell of an unknown kind', graph(counts(), [], null, counts(), column(10))],
    ['a hole outside of arrays', graph(counts(), [], null, counts(), column(4))],
    ['values that no cell has', graph(counts(), [], null, counts(), [Buffer.of(0), counts(1), null, null, null])],
    ['half a number', graph(counts(), [], null, counts(), [5, [3, Buffer.of(0)], null, null, null])],
    ['unsigned numbers where signed ones are told', graph(counts(), [], null, counts(), [5, counts(1), null, null, null])],
    ['texts whose lengths do not fit', graph(counts(), [], null, counts(), [6, null, [['ab'], counts(1)], null, null])],
    ['a symbol of no kind', graph(counts(), [], null, counts(), [9, null, null, null, ['q']])],
    ['a bigint that is none', graph(counts(), [], null, counts(), [8, null, null, null, ['0f']])],
    ['objects without keys in columns', graph(counts(0), [[0, null, 0, [[], counts()], []]])],
    ['the same key twice', graph(counts(0), [[0, null, 0, [['aa'], counts(1, 1)], [nothing, nothing]]])],
    ['sizes of one byte', graph(counts(0), [[1, null, 0, counts(0), none, none]])],
    [
      'a Map with the same key twice',
      graph(counts(0), [[3, null, 0, wide(2), [Buffer.of(0, 0), null, null, null, null], [Buffer.of(0, 0), null, null, null, null]]]),
    ],
    ['a Set with the same item twice', graph(counts(0), [[4, null, 0, wide(2), [Buffer.of(0, 0), null, null, null, null]]])],
    ['an array shorter than its items', graph(counts(0), [[2, null, 0, counts(0), counts(1), nothing]])],
    ['holes beyond the limit', graph([4, Buffer.alloc(200)], [[2, null, 0, [5, Buffer.alloc(400, 0x0f)], [4, Buffer.alloc(200)], none]])],
    ['memory of the program that is not there', graph(counts(0), [[10, null, 0, wide(0)]])],
    ['an import of nothing', graph(counts(0), [[15, null, 0, wide(0), wide(0)]])],
    [
      'a property of an object of another section',
      graph(counts(0), [[15, null, 0, wide(0), wide(0)]], [counts(0), [6, null, [['a'], counts(1)], null, null], nothing, counts(7)]),
    ],
    ['an instance that is never made', graph(counts(0), [[14, ['Sealed', 1], 0, nothing]])],
    ['an instance that is made twice', graph(counts(0), [[14, ['Sealed', 1], 0, nothing]], null, counts(0, 0))],
    [
      'an expression that is none',
      graph(counts(0), [
        [
          6,
          null,
          0,
          [6, null, [['('], counts(1)], null, null],
          [6, null, [[], counts(0)], null, null],
          [5, [0, Buffer.of(0)], null, null, null],
        ],
      ]),
    ],
    ['an address that is none', graph(counts(0), [[9, null, 0, [6, null, [['x'], counts(1)], null, null]]])],
  ])('F33: refuses %s', (_, value) => {
    expect(() => decode(value)).toThrow(expect.objectContaining({ code: 'ERR_CKPT_DECODE' }));
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
    expect(changed({ text: 'x'.repeat(2 ** 22), list: [1, 2] })).toBeUndefined();
  });

  it('F13: more structured data than a section may have is refused, not cut', () => {
    // Equal texts are written once.
    const texts = [0, 1, 2, 3].map((less) => 'x'.repeat(2 ** 29 - 24 - less));
    expect(() => encode(texts)).toThrow(expect.objectContaining({ code: 'ERR_CKPT_UNSUPPORTED_VALUE', provider: 'sim' }));
    const [section] = encode(texts.slice(0, 1)).sections;
    expect(section?.bytes.length).toBeGreaterThan(2 ** 29 - 24);
  });

  it('is told when the program has changed how msgpackr writes bytes', async () => {
    const { addExtension } = await import('msgpackr');
    addExtension({ Class: Uint8Array, type: 99, pack: () => Buffer.of(1) });
    expect(() => encode({ bytes: new Uint8Array(3) })).toThrow(expect.objectContaining({ code: 'ERR_CKPT_UNSUPPORTED_VALUE' }));
  });
});
