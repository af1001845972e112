import { describe, expect, it } from 'vitest';
import { ClassRegistry } from '../../packages/sdk/src/codec/classes.js';
import { encodeMember } from '../../packages/sdk/src/codec/codec.js';
import { hiddenClasses } from '../../packages/sdk/src/codec/hidden-class.js';
import { decodeMember } from '../fixtures/coding.js';
import { sameGraph } from '../fixtures/same-graph.js';

interface Row {
  id: number;
  name: string;
  [more: string | symbol]: unknown;
}

const make = (id: number): Row => ({ id, name: `n${id}` });

class Point {
  x: number;
  y = 0;
  constructor(x: number) {
    this.x = x;
  }
}

class Packed {
  readonly change: () => unknown;
  constructor(change: () => unknown) {
    this.change = change;
  }
}

/** A class whose encode function does what an instance says. */
function classes(): ClassRegistry {
  const registry = new ClassRegistry();
  registry.add('Point', Point, {});
  registry.add('Packed', Packed, { encode: ({ change }) => Number(change() !== undefined), decode: () => new Packed(() => 1) });
  return registry;
}

/** So many that there is code for them. */
const rows = (): Row[] => Array.from({ length: 100 }, (_, id) => make(id));
const points = (): Point[] => Array.from({ length: 100 }, (_, id) => new Point(id));

/** Both ways, and back. */
function carried(value: unknown): unknown {
  const registry = classes();
  const roots = new Map([['sim', value]]);
  const full = encodeMember(roots, registry, { hidden: null });
  const quick = encodeMember(roots, registry, { hidden: hiddenClasses });
  expect(quick.sections).toEqual(full.sections);
  const back = decodeMember(quick, registry).get('sim');
  expect(sameGraph(value, back)).toBeUndefined();
  return back;
}

const ODD: Readonly<Record<string, (row: Row) => object>> = {
  'has an element': (row) => Object.assign(row, { 7: 'seven' }),
  'has one more property': (row) => Object.assign(row, { more: 1 }),
  'has a property under a symbol': (row) => Object.assign(row, { [Symbol.for('more')]: 1 }),
  'has a hidden property': (row) => Object.defineProperty(row, 'id', { enumerable: false }),
  'has a read-only property': (row) => Object.defineProperty(row, 'name', { writable: false }),
  'is frozen': (row) => Object.freeze(row),
  'is sealed': (row) => Object.seal(row),
  'is not extensible': (row) => Object.preventExtensions(row),
  'has no prototype': (row) => Object.setPrototypeOf(row, null),
  'has another order': ({ id, name }) => ({ name, id }),
  'has NaN where others have a number': (row) => Object.assign(row, { id: Number.NaN }),
  'has -0': (row) => Object.assign(row, { id: -0 }),
  'has a text where others have a number': (row) => Object.assign(row, { id: 'text' }),
  'is a dictionary': (row) => {
    Reflect.deleteProperty(row, 'id');
    return Object.assign(row, { id: 5 });
  },
};

describe('an object among many of its hidden class', () => {
  it('is told by it on this Node.js', () => {
    expect(hiddenClasses).not.toBeNull();
  });

  it.each(Object.entries(ODD))('F16, F17: that %s comes back as it is, and once', (_, change) => {
    for (const place of [0, 50, 99]) {
      const list: object[] = rows();
      const odd = change(make(place));
      list[place] = odd;
      carried([list, [odd], new Map([[odd, list[3]]])]);
      // The odd one first.
      carried([odd, list, [odd]]);
    }
  });

  it.each(['accessor', 'proxy'])('F16: that is or has an %s is refused, and nothing of it runs', (what) => {
    let ran = 0;
    const run = (): number => ++ran;
    const odd =
      what === 'proxy'
        ? new Proxy(make(1), { get: run, ownKeys: () => [String(run())], getPrototypeOf: () => Object(run()) })
        : Object.defineProperty(make(1), 'id', { get: run, enumerable: true });
    const list: object[] = rows();
    list[60] = odd;
    const roots = new Map([['sim', list]]);
    for (const hidden of [null, hiddenClasses])
      expect(() => encodeMember(roots, classes(), { hidden })).toThrowError(
        expect.objectContaining({ path: what === 'proxy' ? 'sim[60]' : 'sim[60].id' }),
      );
    expect(ran).toBe(0);
  });

  it('F17: is one object however often and in whatever order it is met', () => {
    const list = rows();
    carried([list, list.toReversed(), list[4], list]);
    carried([list.toReversed(), list]);
    const alike = Array.from({ length: 100 }, () => make(7));
    carried([alike, alike.toReversed()]);
    const nothings = Array.from({ length: 100 }, () => make(Number.NaN));
    carried([nothings, nothings]);
    const instances = points();
    carried([instances, new Set(instances.toReversed())]);
  });

  it('F17: holds what it holds though an encode function has changed it in between', () => {
    const list = rows();
    const spoil = new Packed(() => {
      for (const row of list) row.id = 99 - row.id;
      Object.assign(list[7] ?? {}, { 3: 'three' });
      return Object.assign(list[0] ?? {}, { more: list[1] });
    });
    const roots = new Map<string, unknown>([['sim', [list, spoil, list.slice(10), list[50]]]]);
    const registry = classes();
    const member = encodeMember(roots, registry, { hidden: hiddenClasses });
    const [back, , part, one] = decodeMember(member, registry).get('sim') as [Row[], unknown, Row[], Row];
    expect(sameGraph(list, back)).toBeUndefined();
    expect(part.every((row, index) => row === back[index + 10])).toBe(true);
    expect(one).toBe(back[50]);
  });
});

it('F16: an accessor that an encode function has made is refused, and does not run', () => {
  carried(rows());
  let ran = 0;
  const list = rows();
  const spoil = new Packed(() => {
    for (const row of list) Object.defineProperty(row, 'id', { get: () => ++ran, enumerable: true, configurable: true });
    return 1;
  });
  expect(() => encodeMember(new Map([['sim', [list, spoil]]]), classes(), { hidden: hiddenClasses })).toThrowError(
    expect.objectContaining({ path: 'sim[0][0].id' }),
  );
  expect(ran).toBe(0);
});

describe('an array among others', () => {
  it('F17: has the elements and holes that it has, and is one array', () => {
    const numbers = Array.from({ length: 50 }, (_, id) => [id, id / 3]);
    const integers = Array.from({ length: 50 }, (_, id) => [id]);
    const full: unknown[] = new Array(3).fill(undefined);
    const holed = [1, 2, 3];
    delete holed[1];
    const odd: unknown[] = [[], [Number.NaN], [-0], [0], new Array(3), holed, full, ['a'], [[1]], Object.assign([1], { more: 1 })];
    odd.push(Object.freeze([1]), Object.seal([1.5]), Object.preventExtensions(['x']), Object.defineProperty([1], 0, { enumerable: false }));
    carried([numbers, integers, odd, numbers.toReversed(), integers.toReversed(), odd.toReversed()]);
  });

  it('F16: is not asked for a hole that a prototype fills', () => {
    // So far out that no other list of the encoder is as long.
    const hole = 77_777;
    const array: unknown[] = new Array(hole + 2).fill('x');
    Reflect.deleteProperty(array, hole);
    let ran = 0;
    Object.defineProperty(Array.prototype, hole, {
      get: () => ++ran,
      set(value: unknown) {
        Object.defineProperty(this, hole, { value });
      },
      configurable: true,
    });
    try {
      const roots = new Map([['sim', array]]);
      expect(encodeMember(roots, classes(), { hidden: hiddenClasses })).toEqual(encodeMember(roots, classes(), { hidden: null }));
    } finally {
      Reflect.deleteProperty(Array.prototype, hole);
    }
    expect(ran).toBe(0);
  });
});
