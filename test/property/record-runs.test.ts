import { describe, expect, it } from 'vitest';
import { encodeMember } from '../../packages/sdk/src/codec/codec.js';
import { hiddenClasses } from '../../packages/sdk/src/codec/hidden-class.js';
import { decodeMember } from '../fixtures/coding.js';
import { Packed, Point, runClasses } from '../fixtures/run-classes.js';
import { sameGraph } from '../fixtures/same-graph.js';
import { seeded, testSeed } from '../fixtures/seeded.js';

interface Row {
  id: number;
  x: number;
  name: string;
  alive: boolean;
  more: unknown;
}

const make = (id: number): Row => ({ id, x: id / 3, name: `n${id % 7}`, alive: id % 3 === 0, more: null });
/** So many that they are a run. */
const rows = (from = 0): Row[] => Array.from({ length: 600 }, (_, i) => make(from + i));
const mapOf = (records: readonly unknown[]): Map<unknown, unknown> => new Map(records.map((record, i) => [`key${i}`, record]));

/** The same bytes with and without hidden classes, and the same graph back, identity between providers included. */
function carried(roots: Readonly<Record<string, unknown>>): void {
  const values = new Map(Object.entries(roots));
  const classes = runClasses();
  const full = encodeMember(values, classes, { hidden: null });
  const quick = encodeMember(values, classes, { hidden: hiddenClasses });
  expect(quick.sections).toEqual(full.sections);
  expect(sameGraph([...values.values()], [...decodeMember(quick, classes).values()])).toBeUndefined();
}

const put = (records: unknown[], at: number, value: unknown): unknown[] => {
  records[at] = value;
  return records;
};

describe('F16, F17: records that are met at once', () => {
  const shared = rows();
  const CASES: Readonly<Record<string, () => Readonly<Record<string, unknown>>>> = {
    'in a Map': () => ({ sim: mapOf(rows()) }),
    'in an array': () => ({ sim: rows() }),
    'in a Map with numbers, bigints and symbols for keys': () => ({
      sim: new Map(rows().map((row, i) => [[i, BigInt(i), Symbol.for(`k${i}`), i === 3 ? null : `k${i}`][i % 4] ?? i, row])),
    }),
    'in a Map with objects for keys': () => ({ sim: new Map(rows().map((row) => [{ of: row.id }, row])) }),
    'in a Map with the records themselves for keys': () => ({ sim: new Map(rows().map((row) => [row, row])) }),
    'in a Map with objects for some keys, before and behind texts': () => ({
      sim: new Map(rows().map((row, i) => [i > 250 && i < 260 ? (i === 255 ? row : { of: i }) : `key${i}`, row])),
    }),
    'in a Map whose keys are they themselves, and whose values are not records': () => ({
      sim: [new Map(shared.map((row, i) => [row, i])), mapOf(shared), new Map(shared.map((row, i) => [`key${i}`, i % 2 === 0 ? row : i]))],
    }),
    'in many Maps and arrays, with other objects between': () => ({
      sim: Array.from({ length: 7 }, (_, i) => [{ before: i }, i % 2 === 0 ? mapOf(rows(i * 600)) : rows(i * 600), { behind: [i] }]),
      other: [{}, mapOf(shared), [shared[3]], rows(), { all: shared }],
    }),
    'one of them twice in one array': () => ({ sim: [...shared, shared[17]] }),
    'all of them twice in one array': () => ({ sim: [...shared, ...shared] }),
    'one of them twice in one Map': () => ({ sim: new Map<unknown, unknown>([...mapOf(shared), ['again', shared[599]]]) }),
    'beside references to them, before and behind': () => ({
      sim: { first: shared[5], all: mapOf(shared), last: [shared[5], shared[6], shared[5]] },
    }),
    'beside references behind alone, met twice': () => ({ sim: [mapOf(shared), { deep: [shared[0], shared[599], shared[0]] }] }),
    'in two arrays': () => ({ sim: [shared, shared.slice(), shared.slice(100).reverse()] }),
    'in two Maps that share some': () => ({ sim: [mapOf(shared), mapOf([...shared.slice(300), ...rows(600)])] }),
    'in providers one after the other': () => ({ one: mapOf(shared), two: { all: shared, some: shared[3] }, three: shared[3] }),
    'in a provider behind one that refers to some of them': () => ({ one: shared[9], two: mapOf(shared) }),
    'like others that are no part of it': () => ({
      sim: [shared, make(5), make(599), make(-1), make(0.5), { id: 5 }, [5], new Map([[5, 5]])],
    }),
    'that refer to each other and to what holds them': () => {
      const records = rows();
      for (const [i, record] of records.entries()) record.more = i % 5 === 0 ? records : records[(i * 31) % records.length];
      return { sim: records };
    },
    'with -0, NaN, infinities and lone surrogates': () => {
      const records = rows();
      for (const [i, record] of records.entries())
        Object.assign(record, { x: [-0, NaN, 1 / 0, -1 / 0, 0][i % 5], name: ['\ud800', '\ufeff', ''][i % 3] });
      return { sim: records };
    },
    'in an order from -0 to Infinity': () => ({ sim: [-0, ...Array.from({ length: 600 }, (_, i) => i + 1), 1 / 0].map(make) }),
    'out of order in one place': () => ({ sim: put(rows(), 300, make(7)) }),
    'with NaN for an order in one place': () => ({ sim: put(rows(), 300, make(Number.NaN)) }),
    'of a class': () => ({ sim: Array.from({ length: 600 }, (_, i) => new Point(i)) }),
    'whose kinds of values change all the time': () => ({
      sim: rows().map((row, i) => Object.assign(row, { x: [1, 'x', null, true, 2n, undefined, { of: i }][i % 7], more: i % 2 })),
    }),
    'whose kinds of values change now and then': () => ({
      sim: rows().map((row, i) => Object.assign(row, { x: i % 100 === 99 ? 'x' : i })),
    }),
    'with an element in one': () => ({ sim: put(rows(), 300, Object.assign(make(300), { 7: 'seven' })) }),
    'one of them with one more property': () => ({ sim: put(rows(), 300, Object.assign(make(300), { z: 1 })) }),
    'one of them with a symbol': () => ({ sim: put(rows(), 300, Object.assign(make(300), { [Symbol.for('z')]: 1 })) }),
    'one of them frozen': () => ({ sim: put(rows(), 300, Object.freeze(make(300))) }),
    'all of them frozen': () => ({ sim: rows().map((row) => Object.freeze(row)) }),
    'one of them with a read-only property': () => ({ sim: put(rows(), 300, Object.defineProperty(make(300), 'x', { writable: false })) }),
    'one of them without a prototype': () => ({ sim: put(rows(), 300, Object.assign(Object.create(null), make(300))) }),
    'with a hole between them': () => {
      const records = rows();
      delete records[300];
      return { sim: records };
    },
    'with other properties of the Map': () => ({ sim: Object.assign(mapOf(rows()), { label: 'x' }) }),
  };
  for (const [name, roots] of Object.entries(CASES)) it(`${name}: are the same again`, () => carried(roots()));

  it('that an encode function changes before they are read, and before they are met again: become the same bytes', () => {
    const bytes = [null, hiddenClasses].map((hidden) => {
      const records = rows();
      const change = (): void => {
        for (const record of records) Object.assign(record, { id: 600 - record.id, x: 'changed' });
        Object.defineProperty(records[7], 'name', { value: 'hidden', enumerable: false });
        records.reverse();
      };
      const sim = [records, new Packed(change), { again: [records[1], records[2]] }, mapOf(records), rows(), [records[3]]];
      return encodeMember(new Map([['sim', sim]]), runClasses(), { hidden }).sections;
    });
    expect(bytes[1]).toEqual(bytes[0]);
  });

  it('that hold an accessor, a function or a Proxy are refused with the path, and nothing of them runs', () => {
    const refusal = (odd: unknown, map = false): unknown => {
      const records = put(rows(), 300, odd);
      try {
        encodeMember(new Map([['sim', map ? mapOf(records) : records]]));
      } catch (error) {
        return Reflect.get(Object(error), 'path');
      }
      return undefined;
    };
    const runs = (): never => {
      throw new Error('the program ran');
    };
    for (const key of ['id', 'x'])
      expect(refusal(Object.defineProperty(make(300), key, { get: runs, enumerable: true, configurable: true }))).toBe(`sim[300].${key}`);
    expect(refusal({ ...make(300), more: runs }, true)).toBe('sim<key "key300">.more');
    expect(refusal(new Proxy(make(300), { get: runs, getOwnPropertyDescriptor: runs, getPrototypeOf: runs }))).toBe('sim[300]');
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    expect(() => encodeMember(new Map([['sim', [shared, proxy]]]))).toThrow(/Proxy/);
  });

  it('are shared, reordered and varied at random, over two providers: the same again', () => {
    const first = testSeed(1);
    for (let seed = first; seed < first + 10; seed++) {
      const random = seeded(seed);
      const records: unknown[] = rows(random.whole(100));
      for (let changes = random.whole(4); changes > 0; changes--) {
        const at = random.whole(records.length);
        const change = random.pick(['share', 'move', 'odd', 'own']);
        if (change === 'share') Object.assign(Object(records[at]), { more: records[random.whole(records.length)] });
        else if (change === 'move') records.push(...records.splice(at, 1));
        else if (change === 'odd') records[at] = random.pick<unknown>([null, 7, [], {}, 'x', records[0], Object.freeze(make(at))]);
        else Object.assign(Object(records[at]), { own: records[0] });
      }
      const some = records.slice(random.whole(300), 300 + random.whole(300));
      carried({ one: random.next() < 0.5 ? { records, some } : { some, records }, two: [mapOf(records), some, records[5]] });
    }
  });
});
