import { createServer } from 'node:http';
import { MessageChannel } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { isCheckpointError } from '../../packages/sdk/src/base/errors.js';
import { ClassRegistry } from '../../packages/sdk/src/codec/classes.js';
import { assertEncodable, encodeMember } from '../../packages/sdk/src/codec/codec.js';
import type { DroppedValues } from '../../packages/sdk/src/codec/contract.js';
import { decodeMember } from '../fixtures/coding.js';
import { Sealed, testClasses } from '../fixtures/graph-classes.js';

/** The value of the provider `sim`, which asked to leave out what cannot be carried, after a restart; and what the image lacks. */
function dropped(value: unknown, classes = new ClassRegistry()): { value: unknown; told: DroppedValues | undefined } {
  assertEncodable('sim', value, classes, true);
  const member = encodeMember(new Map([['sim', value]]), classes, { dropping: new Set(['sim']) });
  return { value: decodeMember(member, classes).get('sim'), told: member.sections[0]?.dropped };
}

const places = (told: DroppedValues | undefined): (readonly [string, string])[] =>
  (told?.first ?? []).map(({ path, what }) => [path, what] as const);

class Unregistered {}
class World {
  bodies: object[] = [];
}
class Body {
  at: object = new Vector();
  onHit = (): void => {};
}
class Vector {}
class Moon extends Map<unknown, unknown> {}

describe('what a provider asked to leave out', () => {
  it('is missing where it was a property, undefined where it was an element, and told with its path', () => {
    const state = {
      step: 3,
      onStep: () => 1,
      list: [1, () => 2, Symbol('s'), 4],
      inner: { promise: Promise.resolve(1), ok: 'ok', [Symbol('key')]: 1, weak: new WeakMap() },
    };
    const { value, told } = dropped(state);
    expect(value).toStrictEqual({ step: 3, list: [1, undefined, undefined, 4], inner: { ok: 'ok' } });
    expect(Object.keys(value as object)).toEqual(['step', 'list', 'inner']);
    expect(told?.count).toBe(6);
    expect(new Map(places(told))).toEqual(
      new Map([
        ['sim.onStep', 'a function'],
        ['sim.list[1]', 'a function'],
        ['sim.list[2]', 'a symbol'],
        ['sim.inner.promise', 'a promise'],
        ['sim.inner[Symbol(key)]', 'a symbol'],
        ['sim.inner.weak', 'a WeakMap'],
      ]),
    );
  });

  it('is missing as an entry of a Map, by key or by value, and as an item of a Set; the others keep their order', () => {
    const proxy = new Proxy({}, {});
    const state = {
      map: new Map<unknown, unknown>([
        ['a', 1],
        ['f', () => 1],
        [proxy, 2],
        ['b', 3],
      ]),
      set: new Set<unknown>([1, proxy, () => 1, 2]),
    };
    const { value, told } = dropped(state);
    expect(value).toStrictEqual({
      map: new Map([
        ['a', 1],
        ['b', 3],
      ]),
      set: new Set([1, 2]),
    });
    expect(places(told)).toEqual([
      ['sim.map<key "f">', 'a function'],
      ['sim.map<key #2>', 'a Proxy'],
      ['sim.set<item #1>', 'a Proxy'],
      ['sim.set<item #2>', 'a function'],
    ]);
  });

  it('is what stands for something outside: handles, ports, memories, accessors, instances of classes that are not registered', () => {
    let ran = false;
    const array = Object.defineProperty([1, 2], 1, { get: () => (ran = true), enumerable: true, configurable: true });
    const { port1, port2 } = new MessageChannel();
    const state = Object.defineProperty(
      { array, server: createServer(), port1, one: new Unregistered(), two: Object.freeze({ f: () => 1, n: 1 }), ok: 1 },
      'computed',
      { get: () => (ran = true), enumerable: true },
    );
    const { value, told } = dropped(state);
    port1.close();
    port2.close();
    expect(ran).toBe(false);
    expect(value).toStrictEqual({ array: [1, undefined], two: { n: 1 }, ok: 1 });
    expect(Object.isFrozen((value as { two: object }).two)).toBe(true);
    expect(new Map(places(told)).get('sim.one')).toBe('an instance of the class Unregistered');
    expect(new Map(places(told)).get('sim.computed')).toMatch(/accessor/);
    expect(told?.count).toBe(6);
  });

  it('takes an object along that is nothing without it: a view of memory that is gone, an instance whose data it is', () => {
    const memory = new ArrayBuffer(8);
    const view = new Uint8Array(memory);
    structuredClone(memory, { transfer: [memory] });
    const inner = new Sealed(Promise.resolve());
    const state = { view, box: Object(Symbol('s')), outer: new Sealed(inner), many: [inner, 1], fine: new Sealed({ f: () => 1, n: 1 }) };
    const { value, told } = dropped(state, testClasses());
    expect(Object.keys(value as object)).toEqual(['many', 'fine']);
    expect((value as typeof state).many).toStrictEqual([undefined, 1]);
    expect(Sealed.contentOf((value as typeof state).fine)).toStrictEqual({ n: 1 });
    expect(told?.count).toBe(5);
  });

  it('keeps properties beside the elements of arrays and other built-in objects apart in the same way', () => {
    const state = {
      array: Object.assign([1], { f: () => 1, ok: 1 }),
      map: Object.assign(new Map([[1, 2]]), { f: () => 1 }),
      error: Object.assign(new Error('e'), { socket: Promise.resolve(), cause: () => 1 }),
      empty: { f: () => 1 },
      bare: Object.assign(Object.create(null), { f: () => 1 }),
    };
    const { value, told } = dropped(state);
    const { array, map, error, empty, bare } = value as typeof state;
    expect([Object.keys(array), Object.keys(map), Object.keys(error), Reflect.ownKeys(empty), Reflect.ownKeys(bare)]).toEqual([
      ['0', 'ok'],
      [],
      [],
      [],
      [],
    ]);
    expect(error.message).toBe('e');
    expect(told?.count).toBe(6);
  });

  it('is told in full by number, and by path for the first twenty places; long paths are cut', () => {
    const state = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`p${i}`, { [`f${'x'.repeat(1000)}`]: () => i }]));
    const { told } = dropped(state);
    expect([told?.count, told?.first.length]).toEqual([5000, 20]);
    for (const { path } of told?.first ?? []) expect(path.length).toBeLessThan(220);
  });

  it('is nothing when there is nothing to leave out', () => {
    const state = { a: [1, { b: new Map([[1, new Date(0)]]) }] };
    expect(dropped(state)).toEqual({ value: state, told: undefined });
  });

  it('is never the value itself, nor an instance that leads back to itself', () => {
    const circle = new Sealed(1);
    circle.replace({ circle });
    for (const value of [() => 1, Promise.resolve(), new Unregistered(), { circle }]) {
      expect(() => dropped(value, testClasses())).toThrow(expect.objectContaining({ code: 'ERR_CKPT_UNSUPPORTED_VALUE' }));
    }
  });

  it('is refused for another provider that reaches it and did not ask, whichever comes first', () => {
    const shared = { f: () => 1, n: 1 };
    const roots = new Map<string, unknown>([
      ['a', { shared }],
      ['b', { shared }],
      ['c', 1],
    ]);
    for (const asking of ['a', 'b']) {
      const refused = expect.objectContaining({ code: 'ERR_CKPT_UNSUPPORTED_VALUE', path: `${asking === 'a' ? 'b' : 'a'}.shared.f` });
      expect(() => encodeMember(roots, undefined, { dropping: new Set([asking]) })).toThrow(refused);
    }
    const both = encodeMember(roots, undefined, { dropping: new Set(['a', 'b']) });
    expect(both.sections.map(({ dropped: one }) => one?.count)).toEqual([1, undefined, undefined]);
    const apart = new Map<string, unknown>([['a', { shared: { n: 1 }, f: () => 1 }]]);
    apart.set('b', { shared: (apart.get('a') as { shared: object }).shared });
    expect(encodeMember(apart, undefined, { dropping: new Set(['a']) }).sections[1]?.imports).toEqual([0]);
  });
});

describe('classes that are not registered', () => {
  const message = (work: () => unknown): string => {
    try {
      work();
    } catch (error) {
      if (isCheckpointError(error, 'ERR_CKPT_UNSUPPORTED_VALUE')) return `${error.path}: ${error.message}`;
    }
    return 'nothing was refused';
  };
  const lines = (text: string): string[] =>
    text
      .split('\n')
      .slice(1)
      .map((line) => line.trim());

  it('are all named in one error, each with its path and the line of code, also where one holds the other', () => {
    const world = new World();
    world.bodies.push(
      new Body(),
      new Body(),
      new Moon([
        [1, new Float32Array(2)],
        [2, new (class extends Uint8Array {})()],
      ]),
    );
    const text = message(() =>
      encodeMember(
        new Map<string, unknown>([
          ['sim', { step: 1, world }],
          ['log', { last: new Unregistered() }],
        ]),
      ),
    );
    expect(text).toMatch(/^sim\.world: .*6 classes/);
    expect(lines(text)).toEqual([
      "ckpt.registerClass('World', World); // sim.world is an instance of World",
      "ckpt.registerClass('Body', Body); // sim.world.bodies[0] is an instance of Body",
      "ckpt.registerClass('Moon', Moon); // sim.world.bodies[2] is an instance of Moon",
      "ckpt.registerClass('Vector', Vector); // sim.world.bodies[0].at is an instance of Vector",
      "ckpt.registerClass('Name', TheClass, { encode, decode }); // sim.world.bodies[2]<key 2> is an instance of (anonymous)",
      "ckpt.registerClass('Unregistered', Unregistered); // log.last is an instance of Unregistered",
    ]);
  });

  it('are named as far as twenty of them', () => {
    const many = Array.from({ length: 1000 }, () => new (class Many {})());
    const text = message(() => assertEncodable('sim', many));
    expect(text).toContain('more than 20 classes');
    expect(lines(text)).toHaveLength(20);
  });

  it('are told alone when only one is missing, and after what was met before', () => {
    expect(message(() => assertEncodable('sim', [new Vector(), new Vector()]))).toMatch(
      /^sim\[0\]: .*it is an instance of the class Vector;/,
    );
    expect(message(() => assertEncodable('sim', { f: () => 1, v: new Vector() }))).toMatch(/^sim\.f:/);
  });

  it('F36: are all named in one error by whoever decodes', () => {
    const classes = new ClassRegistry();
    for (const maker of [World, Body, Vector]) classes.add<object>(maker.name, maker, {});
    const world = Object.assign(new World(), { bodies: [Object.assign(new Body(), { onHit: 1 })] });
    const member = encodeMember(new Map([['sim', world]]), classes);
    const other = new ClassRegistry();
    other.add('World', World, {});
    expect(() => decodeMember(member, other)).toThrow(
      expect.objectContaining({
        code: 'ERR_CKPT_SCHEMA',
        message: expect.stringContaining("ckpt.registerClass('Body', Body); ckpt.registerClass('Vector', Vector);"),
      }),
    );
  });
});
