/** Paths into values, and values as text, JSON and .npy. */
import { describe, expect, it } from 'vitest';
import { Tagged } from '../../packages/sdk/src/codec/classes.js';
import { jsonPieces } from '../../packages/sdk/src/tools/json-value.js';
import { npyOf } from '../../packages/sdk/src/tools/npy.js';
import { showValue } from '../../packages/sdk/src/tools/show-value.js';
import { parsePath, valueAt } from '../../packages/sdk/src/tools/value-path.js';

const grid = Float64Array.from({ length: 10 }, (_, index) => index);
const holed: unknown[] = [1, 2, 3];
delete holed[1];
const sim = {
  grid,
  particles: [new Tagged('Particle', 1, { spin: 1 }), new Tagged('Particle', 1, { spin: -1 })],
  map: new Map<unknown, unknown>([
    ['x', 1],
    ['y "z" ]', 2],
    [3, 'three'],
    [{ k: 1 }, 'by object'],
  ]),
  set: new Set(['a', 'b']),
  'odd key': { 'a.b': true },
  list: holed,
};

function at(path: string): unknown {
  return valueAt(sim, parsePath(path, ['sim']));
}

function json(value: unknown): unknown {
  return JSON.parse([...jsonPieces(value, 'sim')].join(''));
}

describe('a path', () => {
  it.each<[string, unknown]>([
    ['sim.grid[3]', 3],
    ['sim.grid[-1]', 9],
    ['sim.grid[0:3]', Float64Array.of(0, 1, 2)],
    ['sim.grid[-2:]', Float64Array.of(8, 9)],
    ['sim.grid[:100:4]', Float64Array.of(0, 4, 8)],
    ['sim.grid[::-3]', Float64Array.of(9, 6, 3, 0)],
    ['sim.grid[5:2]', new Float64Array(0)],
    ['sim.particles[1].spin', -1],
    ['sim.particles[0:1][0].spin', 1],
    ['sim.map<key "x">', 1],
    ['sim.map["y \\"z\\" ]"]', 2],
    ['sim.map<key "y \\"z\\" ]">', 2],
    ['sim.map<key 3>', 'three'],
    ['sim.map[3]', 'three'],
    ['sim.map<value #3>', 'by object'],
    ['sim.map<key #3>.k', 1],
    ['sim.set<item #1>', 'b'],
    ['sim["odd key"]["a.b"]', true],
  ])('%s finds its value', (path, value) => expect(at(path)).toEqual(value));

  it('tells a bigint for a key from a number', () => {
    const keys = new Map<unknown, string>([
      [3, 'number'],
      [3n, 'bigint'],
      [-3n, 'below'],
    ]);
    for (const [path, found] of [
      ['sim<key 3>', 'number'],
      ['sim<key 3n>', 'bigint'],
      ['sim<key -3n>', 'below'],
    ] as const)
      expect(valueAt(keys, parsePath(path, ['sim']))).toBe(found);
    expect(() => valueAt(keys, parsePath('sim<key -3>', ['sim']))).toThrow(expect.objectContaining({ code: 'ERR_CKPT_NOT_FOUND' }));
  });

  it.each([
    'sim.none',
    'sim.grid[10]',
    'sim.grid[-11]',
    'sim.list[1]',
    'sim.map<key "none">',
    'sim.set<item #2>',
    'sim.grid.length',
    'sim.__proto__',
  ])('%s leads nowhere and is told as not found', (path) =>
    expect(() => at(path)).toThrow(expect.objectContaining({ code: 'ERR_CKPT_NOT_FOUND', path })),
  );

  it.each(['sim.', 'sim[', 'sim[a]', 'sim[::0]', 'sim<key>', 'sim["a]', 'sim..a'])('%s is not understood: a TypeError', (path) => {
    expect(() => at(path)).toThrow(TypeError);
  });

  it('begins with the longest section name that fits', () => {
    expect(parsePath('heat-2.grid.fine[0]', ['heat-2', 'heat-2.grid', 'heat-2.grid.finer'])).toMatchObject({
      section: 'heat-2.grid',
      steps: [{ do: 'property', name: 'fine' }, { do: 'index' }],
    });
    expect(() => parsePath('heat', ['heat-2'])).toThrow(expect.objectContaining({ code: 'ERR_CKPT_NOT_FOUND' }));
  });
});

describe('JSON', () => {
  it('tags what JSON cannot carry, and nothing else', () => {
    const date = new Date(0);
    expect(json({ a: [Number.NaN, -0, Infinity, 1n, undefined, null, 'x'], date, re: /x/gu })).toEqual({
      a: [{ $number: 'NaN' }, { $number: '-0' }, { $number: 'Infinity' }, { $bigint: '1' }, { $undefined: true }, null, 'x'],
      date: { $date: date.toISOString() },
      re: { $regexp: '/x/gu' },
    });
    expect(json(sim)).toEqual({
      grid: { $typed: { kind: 'Float64Array', values: [...grid] } },
      particles: [1, -1].map((spin) => ({ $class: { name: 'Particle', version: 1, data: { spin } } })),
      map: {
        $map: [
          ['x', 1],
          ['y "z" ]', 2],
          [3, 'three'],
          [{ k: 1 }, 'by object'],
        ],
      },
      set: { $set: ['a', 'b'] },
      'odd key': { 'a.b': true },
      list: [1, { $holes: 1 }, 3],
    });
  });

  it('tells a second meeting as a reference, whose path finds the object', () => {
    const shared = { n: 1 };
    const value: Record<string, unknown> = { first: [shared], map: new Map([['k', shared]]) };
    value['self'] = value;
    expect(json(value)).toEqual({ first: [{ n: 1 }], map: { $map: [['k', { $ref: 'sim.first[0]' }]] }, self: { $ref: 'sim' } });
    expect(valueAt(value, parsePath('sim.first[0]', ['sim']))).toBe(shared);
  });

  it('keeps apart a tag and an object that looks like one, and tells symbols and properties of arrays', () => {
    expect(json({ $ref: 'x' })).toEqual({ $object: [['$ref', 'x']] });
    expect(json({ [Symbol.iterator]: 1 })).toEqual({ $object: [[{ $symbol: 'Symbol(Symbol.iterator)' }, 1]] });
    expect(json(Object.assign([1], { p: 2 }))).toEqual({ $with: { value: [1], properties: { p: 2 } } });
  });

  it('asks no value for what it says of itself: names of slots may be data', () => {
    const view = Object.defineProperty(Uint8Array.of(1, 2), 'length', { value: -1 });
    const date = Object.assign(new Date(0), { getTime: 1, toJSON: 2 });
    expect(json([view, date])).toEqual([
      { $with: { value: { $typed: { kind: 'Uint8Array', values: [1, 2] } }, properties: { length: -1 } } },
      { $with: { value: { $date: '1970-01-01T00:00:00.000Z' }, properties: { getTime: 1, toJSON: 2 } } },
    ]);
    expect(showValue([view, date])).toContain('Uint8Array(2)');
    expect(json([Object(1n), Object('x')])).toMatchObject([{ $boxed: { $bigint: '1' } }, { $with: { value: { $boxed: 'x' } } }]);
    const error = Object.defineProperty(new TypeError('no'), 'stack', { value: 'at' });
    expect(json(error)).toEqual({ $error: { kind: 'TypeError', properties: { stack: 'at', message: 'no' } } });
  });

  it('goes as deep as there is memory, and a long array of holes costs nothing', () => {
    let deep: unknown = null;
    for (let depth = 0; depth < 100_000; depth++) deep = [deep];
    expect([...jsonPieces(deep, 'sim')].join('')).toHaveLength(200_004);
    expect(json(new Array(2 ** 32 - 1))).toEqual([{ $holes: 2 ** 32 - 1 }]);
  });
});

describe('for people', () => {
  it('is readable and never long', () => {
    expect(showValue(sim.particles[0])).toBe('Particle { spin: 1 }');
    expect(showValue(new Map([['x', [1, -0]]]))).toBe('Map(1) { "x" => [ 1, -0 ] }');
    const row = Array.from({ length: 10_000 }, (_, index) => ({ index }));
    const wide = Array.from({ length: 10_000 }, () => row);
    expect(showValue(wide).length).toBeLessThan(100_000);
    expect(showValue(wide)).toContain('more');
    const circle: unknown[] = [];
    circle.push(circle);
    expect(showValue(circle)).toBe('[ [circular Array] ]');
  });
});

describe('npy', () => {
  it('is a header of whole 64 bytes and the elements as they are', () => {
    const [header, elements] = npyOf(grid.subarray(2, 4), 'sim.grid[2:4]');
    expect(header.length % 64).toBe(0);
    expect(Buffer.from(header).toString('latin1')).toMatch(
      /^\x93NUMPY\x01\x00..\{'descr': '<f8', 'fortran_order': False, 'shape': \(2,\), \} *\n$/s,
    );
    expect(new Float64Array(elements.slice().buffer)).toEqual(Float64Array.of(2, 3));
    expect(() => npyOf([1, 2], 'sim.list')).toThrow(TypeError);
  });
});

describe('an array of thousands of millions of holes', () => {
  const sparse: unknown[] = [1, 'x'];
  sparse[3_000_000_000] = 2;
  sparse.length = 2 ** 32 - 1;
  const found = (path: string): unknown => valueAt({ sparse }, parsePath(path, ['sim']));

  it('F33: is sliced and shown at once, and holes stay holes', () => {
    const slice = found('sim.sparse[1:4000000000]');
    expect(Array.isArray(slice) && [slice.length, ...Object.keys(slice)]).toEqual([3_999_999_999, '0', '2999999999']);
    expect(showValue(slice)).toBe('Array(3999999999) [ "x", <2999999998 holes>, 2, <999999999 holes> ]');
    expect(showValue(found('sim.sparse[0:10:2]'))).toBe('[ 1, <4 holes> ]');
    expect(showValue(found('sim.sparse[1:3]'))).toBe('[ "x", <1 hole> ]');
  });
});
