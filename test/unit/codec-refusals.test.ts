import { createServer } from 'node:net';
import { types } from 'node:util';
import { runInNewContext, runInThisContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { isCheckpointError } from '../../packages/sdk/src/base/errors.js';
import { assertEncodable, encodeMember } from '../../packages/sdk/src/codec/codec.js';

/** The path and message with which a value under the provider `sim` is refused. */
function refusal(value: unknown, ...others: readonly (readonly [string, unknown])[]): { path: string | undefined; message: string } {
  try {
    encodeMember(new Map([['sim', value], ...others]));
  } catch (error) {
    if (!isCheckpointError(error, 'ERR_CKPT_UNSUPPORTED_VALUE')) throw error;
    expect(error.message).toContain(';');
    return { path: error.path, message: error.message };
  }
  throw new Error('nothing was refused');
}

class Particle {
  x = 1;
}
class Table extends Map {}
class List extends Array {}
class Floats extends Float64Array {}

function chain(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = { next: value };
  return value;
}

describe('a value that cannot be carried', () => {
  const cases: [string, unknown, string, string][] = [
    ['a function', { a: { step: () => 1 } }, 'sim.a.step', 'a function'],
    ['a class', [1, Particle], 'sim[1]', 'a function'],
    ['a symbol', { a: Symbol('s') }, 'sim.a', 'a symbol'],
    ['a symbol key', { a: { [Symbol('s')]: 1 } }, 'sim.a[Symbol(s)]', 'symbol key'],
    ['a class instance', { particles: [{}, new Particle()] }, 'sim.particles[1]', 'class Particle'],
    ['a subclass of Map', { a: new Table() }, 'sim.a', 'class Table'],
    ['a subclass of Array', { a: new List() }, 'sim.a', 'class List'],
    ['a subclass of a typed array', { a: new Floats(3) }, 'sim.a', 'class Floats'],
    ['an instance without class name', { a: Object.create({}) }, 'sim.a', 'class'],
    ['an object with the prototype of a Map', { a: Object.create(Map.prototype) }, 'sim.a', 'class Map'],
    [
      'a getter',
      {
        a: {
          get b() {
            throw new Error('run');
          },
        },
      },
      'sim.a.b',
      'accessor',
    ],
    [
      'a hidden property',
      { a: Object.defineProperty({ x: 1 }, 'b', { value: 1, writable: true, configurable: true }) },
      'sim.a.b',
      'hidden',
    ],
    [
      'a read-only property',
      { a: Object.defineProperty({ x: 1 }, 'b', { value: 1, enumerable: true, configurable: true }) },
      'sim.a.b',
      'read-only',
    ],
    ['a hole', { a: Object.assign([1], { 2: 3 }) }, 'sim.a[1]', 'a hole'],
    ['a huge sparse array', { a: Object.assign([], { 4_000_000_000: 1 }) }, 'sim.a[0]', 'a hole'],
    ['a property beside the elements', { a: Object.assign([1], { extra: 1 }) }, 'sim.a.extra', 'beside the elements'],
    ['the match of a RegExp', { a: /a(b)/.exec('ab') }, 'sim.a.index', 'beside the elements'],
    ['a property beside many elements', { a: Object.assign(new Array(1000).fill(0), { extra: 1 }) }, 'sim.a.extra', 'beside the elements'],
    [
      'a getter among elements',
      { a: Object.defineProperty([1], 0, { get: () => 1, enumerable: true, configurable: true }) },
      'sim.a[0]',
      'accessor',
    ],
    ['a frozen object', { a: Object.freeze({ x: 1 }) }, 'sim.a.x', 'read-only'],
    ['an object that is not extensible', { a: Object.preventExtensions({ x: 1 }) }, 'sim.a', 'frozen'],
    ['a frozen array', { a: Object.freeze([1]) }, 'sim.a', 'frozen'],
    ['an array of fixed length', { a: Object.defineProperty([1], 'length', { writable: false }) }, 'sim.a', 'frozen'],
    ['a RegExp', { a: /x/ }, 'sim.a', 'RegExp'],
    ['an Error', { a: new TypeError('x') }, 'sim.a', 'an Error'],
    ['a boxed primitive', { a: Object(1) }, 'sim.a', 'boxed'],
    ['a WeakMap', { a: new WeakMap() }, 'sim.a', 'WeakMap'],
    ['a WeakSet', { a: new WeakSet() }, 'sim.a', 'WeakSet'],
    ['a WeakRef', { a: new WeakRef({}) }, 'sim.a', 'WeakRef'],
    ['a promise', { a: Promise.resolve() }, 'sim.a', 'promise'],
    ['a generator', { a: (function* () {})() }, 'sim.a', 'generator'],
    ['an iterator', { a: new Map().keys() }, 'sim.a', 'iterator'],
    ['a server', { a: createServer() }, 'sim.a', 'class Server'],
    ['a WebAssembly memory', { a: runInThisContext('new WebAssembly.Memory({ initial: 1 })') }, 'sim.a', 'class Memory'],
    ['arguments', { a: runInThisContext('(function () { return arguments; })(1)') }, 'sim.a[Symbol(Symbol.iterator)]', 'symbol key'],
    ['a Map with a property of its own', { a: Object.assign(new Map(), { x: 1 }) }, 'sim.a', 'of its own'],
    ['a Set with a property of its own', { a: Object.assign(new Set(), { x: 1 }) }, 'sim.a', 'of its own'],
    ['a Date with a property of its own', { a: Object.assign(new Date(), { x: 1 }) }, 'sim.a', 'of its own'],
    ['a typed array with a property of its own', { a: Object.assign(new Float64Array(3), { x: 1 }) }, 'sim.a', 'of its own'],
    ['a large typed array with a property of its own', { a: Object.assign(new Float64Array(1e6), { x: 1 }) }, 'sim.a', 'of its own'],
    ['a large Buffer with a hidden property', { a: Object.defineProperty(Buffer.alloc(1e5), 'x', { value: 1 }) }, 'sim.a', 'of its own'],
    ['a buffer with a property of its own', { a: Object.assign(new ArrayBuffer(3), { x: 1 }) }, 'sim.a', 'of its own'],
    ['an object of another realm', { a: runInNewContext('({})') }, 'sim.a', 'class Object'],
    ['a Map value', { map: new Map([['x', { f: Particle }]]) }, 'sim.map<key "x">.f', 'a function'],
    [
      'a Map key',
      new Map<unknown, unknown>([
        [1, 2],
        [[Particle], 3],
      ]),
      'sim<key #1>[0]',
      'a function',
    ],
    ['a value of a container key', new Map<unknown, unknown>([[{}, Particle]]), 'sim<value #0>', 'a function'],
    ['a Set item', { s: new Set([1, [Particle]]) }, 'sim.s<item #1>[0]', 'a function'],
    ['a key that is no identifier', { 'a b': { 'c"d': Particle } }, 'sim["a b"]["c\\"d"]', 'a function'],
  ];

  it.each(cases)('F16: %s is refused with its path', (_, value, path, words) => {
    const refused = refusal(value);
    expect(refused.path).toBe(path);
    expect(refused.message).toContain(words);
  });

  it('F16: a Proxy is refused and none of its traps run', () => {
    const trap = (): never => {
      throw new Error('a trap ran');
    };
    const handler = Object.fromEntries(Object.getOwnPropertyNames(Reflect).map((name) => [name, trap]));
    const proxy = new Proxy({}, handler);
    expect(refusal({ a: [proxy] }).path).toBe('sim.a[0]');
    expect(refusal({ a: Object.create(proxy) }).path).toBe('sim.a');
    expect(refusal({ a: new Proxy([], handler) }).path).toBe('sim.a');
  });

  it('F16: a shared object is refused with both its paths', () => {
    const shared = { x: 1 };
    expect(refusal({ a: { one: shared }, b: [0, shared] })).toMatchObject({
      path: 'sim.b[1]',
      message: expect.stringContaining('sim.a.one and sim.b[1] are the same object'),
    });
    expect(refusal({ a: shared }, ['other', { map: new Map([['k', shared]]) }])).toMatchObject({
      path: 'other.map<key "k">',
      message: expect.stringContaining('sim.a and other.map<key "k"> are the same object'),
    });
    const view = new Float64Array(1000);
    expect(refusal({ a: view, b: view }).message).toContain('sim.a and sim.b are the same object');
  });

  it('F16: a cycle is refused with both its paths', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = { deeper: [cyclic] };
    expect(refusal(cyclic).message).toContain('sim and sim.self.deeper[0] are the same object');
  });

  it('F18: nesting of 1,000 is carried, of 1,001 and of 100,000 refused, with no stack overflow', () => {
    expect(() => encodeMember(new Map([['sim', chain(1000)]]))).not.toThrow();
    for (const depth of [1001, 100_000]) {
      const refused = refusal(chain(depth));
      expect(refused.message).toContain('1000 levels');
      expect(refused.path).toBe(`sim${'.next'.repeat(1000)}`);
    }
    let list: unknown[] = [];
    for (let i = 0; i < 100_000; i++) list = [list];
    expect(refusal(list).message).toContain('1000 levels');
  });

  it('F16: a detached buffer and views that lie outside their memory are refused', () => {
    const detached = new ArrayBuffer(8);
    const onDetached = new Uint8Array(detached);
    structuredClone(detached, { transfer: [detached] });
    expect(refusal({ a: detached }).message).toContain('detached');
    expect(refusal({ a: onDetached }).message).toContain('detached');
    const shrunk = new ArrayBuffer(64, { maxByteLength: 64 });
    const outside = [new Uint8Array(shrunk, 32, 8), new DataView(shrunk, 32, 8)];
    shrunk.resize(8);
    for (const view of outside) expect(refusal({ a: view }).path).toBe('sim.a');
  });

  it('is refused by assertEncodable just the same', () => {
    expect(() => assertEncodable('sim', { ok: [1, 'x', new Map()] })).not.toThrow();
    expect(() => assertEncodable('sim', { f: () => 1 })).toThrow(
      expect.objectContaining({ code: 'ERR_CKPT_UNSUPPORTED_VALUE', provider: 'sim', path: 'sim.f' }),
    );
  });

  it('leaves no trace: the next capture works', () => {
    refusal({ a: [{ b: () => 1 }] });
    expect(encodeMember(new Map([['sim', { a: 1 }]])).sections).toHaveLength(1);
    expect(types.isProxy({})).toBe(false);
  });
});
