import { fork } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { runInNewContext, runInThisContext } from 'node:vm';
import { MessageChannel, Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { isCheckpointError } from '../../packages/sdk/src/base/errors.js';
import { ClassRegistry } from '../../packages/sdk/src/codec/classes.js';
import { assertEncodable, decodeSection, encodeMember } from '../../packages/sdk/src/codec/codec.js';
import { roundTrip } from '../fixtures/coding.js';
import { Particle, Sealed, Table, testClasses } from '../fixtures/graph-classes.js';
import { thrownBy, wasmMemory } from '../fixtures/refused-values.js';

/** The path and message with which a value under the provider `sim` is refused. */
function refusal(value: unknown, classes = new ClassRegistry()): { path: string | undefined; message: string } {
  try {
    encodeMember(new Map([['sim', value]]), classes);
  } catch (error) {
    if (!isCheckpointError(error, 'ERR_CKPT_UNSUPPORTED_VALUE')) throw error;
    expect(error.message).toContain(';');
    return { path: error.path, message: error.message };
  }
  throw new Error('nothing was refused');
}

class List extends Array {}
class Floats extends Float64Array {}

function withPrototype(object: object, prototype: object | null): object {
  return Object.setPrototypeOf(object, prototype);
}

describe('a value that cannot be carried', () => {
  const cases: [string, unknown, string, string][] = [
    ['a function', { a: { step: () => 1 } }, 'sim.a.step', 'a function'],
    ['a class', [1, Particle], 'sim[1]', 'a function'],
    ['a symbol', { a: Symbol('s') }, 'sim.a', 'a symbol'],
    ['a symbol key', { a: { [Symbol('s')]: 1 } }, 'sim.a[Symbol(s)]', 'a symbol'],
    ['a class that is not registered', { particles: [{}, new Particle()] }, 'sim.particles[1]', "ckpt.registerClass('Particle', Particle)"],
    ['a subclass of Map', { a: new Table() }, 'sim.a', "ckpt.registerClass('Table', Table)"],
    ['a subclass of Array', { a: new List() }, 'sim.a', "ckpt.registerClass('List', List)"],
    ['a subclass of a typed array', { a: new Floats(3) }, 'sim.a', "ckpt.registerClass('Floats', Floats, { encode, decode })"],
    ['an object with the prototype of a Map', { a: Object.create(Map.prototype) }, 'sim.a', 'class Map'],
    ['a Map with a plain prototype', { a: withPrototype(new Map([[1, 2]]), Object.prototype) }, 'sim.a', 'prototype was changed'],
    ['a Date without prototype', { a: withPrototype(new Date(5), null) }, 'sim.a', 'prototype was changed'],
    ['a view with a plain prototype', { a: withPrototype(new Uint8Array(3), Object.prototype) }, 'sim.a', 'prototype was changed'],
    ['a view with the prototype of another', { a: withPrototype(new Uint8Array(4), Uint16Array.prototype) }, 'sim.a', 'class Uint16Array'],
    ['an error with a plain prototype', { a: withPrototype(new Error('x'), Object.prototype) }, 'sim.a', 'prototype was changed'],
    ['memory with the prototype of shared memory', { a: withPrototype(new ArrayBuffer(4), SharedArrayBuffer.prototype) }, 'sim.a', 'class'],
    ['an object that only looks like a URL', { a: Object.create(URL.prototype) }, 'sim.a', 'class URL'],
    ['an expression whose lastIndex is read-only', { a: Object.defineProperty(/a/g, 'lastIndex', { writable: false }) }, 'sim.a', 'RegExp'],
    ['an array whose length is read-only', { a: Object.defineProperty([1], 'length', { writable: false }) }, 'sim.a', 'read-only'],
    ['a WeakMap', { a: new WeakMap() }, 'sim.a', 'WeakMap'],
    ['a WeakSet', { a: new WeakSet() }, 'sim.a', 'WeakSet'],
    ['a WeakRef', { a: new WeakRef({}) }, 'sim.a', 'WeakRef'],
    ['a promise', { a: Promise.resolve() }, 'sim.a', 'await it first'],
    ['a generator', { a: (function* () {})() }, 'sim.a', 'generator'],
    ['an iterator', { a: new Map().keys() }, 'sim.a', 'iterator'],
    ['a server', { a: createServer() }, 'sim.a', 'class Server'],
    [
      'a class of the program that is called like one of Node.js',
      { a: new (class Worker {})() },
      'sim.a',
      "ckpt.registerClass('Worker', Worker)",
    ],
    ['what extends a server', { a: createHttpServer() }, 'sim.a', 'outside the registered state'],
    ['a stream to a file', { a: createWriteStream('/dev/null') }, 'sim.a', 'ckpt.file('],
    ['a WebAssembly global', { a: runInThisContext("new WebAssembly.Global({ value: 'i32' }, 1)") }, 'sim.a', '{ globals }'],
    ['a WebAssembly memory', { a: runInThisContext('new WebAssembly.Memory({ initial: 1 })') }, 'sim.a', 'ckpt.wasm('],
    ['a port', { a: new MessageChannel().port1 }, 'sim.a', 'ckpt.channel('],
    ['a timer', { a: setTimeout(() => undefined, 0) }, 'sim.a', 'ckpt.timer('],
    ['arguments', { a: runInThisContext('(function () { return arguments; })(1)') }, 'sim.a', 'arguments'],
    ['an object of another realm', { a: runInNewContext('({})') }, 'sim.a', 'structuredClone('],
    ['a Map of another realm', { a: runInNewContext('new Map()') }, 'sim.a', 'structuredClone('],
    ['an object with a prototype of its own', { a: Object.create({ inherited: 1 }) }, 'sim.a', 'prototype of a class'],
    ['an array without prototype', { a: withPrototype([1], null) }, 'sim.a', 'prototype was changed'],
    ['what is built in and not carried', { a: new Intl.NumberFormat() }, 'sim.a', 'which is built in; keep it outside'],
    ['an error of Node.js', { a: thrownBy(() => Buffer.alloc('x' as unknown as number)) }, 'sim.a', '{ code, message }'],
    ['a view of WebAssembly memory', { a: new Uint8Array(wasmMemory('{ initial: 1 }'), 8, 4) }, 'sim.a.buffer', 'ckpt.wasm('],
    ['WebAssembly memory of no pages', { a: wasmMemory('{ initial: 0 }') }, 'sim.a', 'ckpt.wasm('],
    ['shared WebAssembly memory', { a: wasmMemory('{ initial: 1, maximum: 2, shared: true }') }, 'sim.a', 'ckpt.wasm('],
    ['built-in functions', { a: Math }, 'sim.a.abs', 'a function'],
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
    ['a property beside the elements', { a: Object.assign([1], { extra: Particle }) }, 'sim.a.extra', 'a function'],
    ['a property of a view', { a: Object.assign(new Float64Array(1000), { extra: Particle }) }, 'sim.a', 'a function'],
  ];

  it.each(cases)('F16: %s is refused with its path and a remedy', (_, value, path, words) => {
    const refused = refusal(value);
    expect(refused.path).toMatch(path === 'sim.a' ? /^sim\.a/ : new RegExp(`^${path.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`));
    expect(refused.message).toContain(words);
  });

  it('F16: workers, child processes and open files are refused with the call that takes them', async () => {
    const worker = new Worker('0', { eval: true });
    const child = fork(new URL('../fixtures/loop.mjs', import.meta.url), { stdio: 'ignore' });
    const file = await open(new URL(import.meta.url), 'r');
    try {
      expect(refusal({ a: worker }).message).toContain('ckpt.worker(');
      expect(refusal({ a: child }).message).toContain('ckpt.fork(');
      expect(refusal({ a: file }).message).toContain('ckpt.file(');
    } finally {
      child.kill('SIGKILL');
      await file.close();
      await worker.terminate();
    }
  });

  it('F16: accessors are refused and do not run, wherever they are', () => {
    const get = (): never => {
      throw new Error('a getter ran');
    };
    const accessor = { get, enumerable: true, configurable: true };
    const places: [object, string][] = [
      [{ x: 1 }, 'b'],
      [[1], '0'],
      [new Array(1000).fill(0), 'b'],
      [new Error('x'), 'stack'],
      [new Map(), 'b'],
      [new Uint8Array(3), 'b'],
      [/a/, 'source'],
      [new URL('http://a/'), 'href'],
      [Object(1), 'valueOf'],
    ];
    for (const [object, key] of places) {
      const refused = refusal({ a: Object.defineProperty(object, key, accessor) });
      expect(refused.path).toBe(key === '0' ? 'sim.a[0]' : `sim.a.${key}`);
      expect(refused.message).toContain('accessor');
    }
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

  it('F16: an instance whose encode leads back to itself is refused, however long the way', () => {
    const classes = testClasses();
    const itself: unknown[] = [];
    itself.push(new Sealed(itself));
    expect(refusal(itself[0], classes).message).toContain('leads back');
    for (const first of ['loop', 'inner']) {
      const outer: Record<string, unknown> = {};
      const loop = { outer };
      const parts: Record<string, unknown> = { loop, inner: new Sealed(loop) };
      for (const key of first === 'loop' ? ['loop', 'inner'] : ['inner', 'loop']) outer[key] = parts[key];
      expect(refusal(new Sealed(outer), classes).message).toContain('leads back');
    }
  });

  it('F18: what is refused 100,000 levels deep is found without a stack overflow', () => {
    let value: unknown = { f: () => 1 };
    for (let i = 0; i < 100_000; i++) value = { next: value };
    expect(refusal(value).path).toBe(`sim${'.next'.repeat(100_000)}.f`);
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
  });
});

describe('a class', () => {
  it.each<[string, () => unknown]>([
    ['a name twice', () => testClasses().add('Particle', class {}, {})],
    ['a class twice', () => testClasses().add('Other', Particle, {})],
    ['something that is no class', () => new ClassRegistry().add('X', (() => 1) as unknown as typeof Particle, {})],
    ['a name that is none', () => new ClassRegistry().add('a b', Particle, {})],
    ['version 0', () => new ClassRegistry().add('P', Particle, { version: 0 })],
    ['encode without decode', () => new ClassRegistry().add('P', Particle, { encode: () => 1 })],
    ['private fields without encode', () => new ClassRegistry().add('Sealed', Sealed, {})],
    ['private fields of a class that it extends', () => new ClassRegistry().add('More', class More extends Sealed {}, {})],
    ['a subclass of Number without encode', () => new ClassRegistry().add('Metres', class Metres extends Number {}, {})],
    ['a subclass of URL without encode', () => new ClassRegistry().add('Address', class Address extends URL {}, {})],
    ['a subclass of Promise without encode', () => new ClassRegistry().add('Later', class Later extends Promise<unknown> {}, {})],
    ['a class that is built in', () => new ClassRegistry().add('Map', Map, {})],
  ])('is not registered with %s', (_, register) => {
    expect(register).toThrow(TypeError);
  });

  it('registered after classes may have been needed is a TypeError that names the call', () => {
    const classes = new ClassRegistry();
    classes.close('state()');
    expect(() => classes.add('P', Particle, {})).toThrow(TypeError);
    expect(() => classes.add('P', Particle, {})).toThrow(/first state\(\)/);
  });

  const section = (value: unknown, classes: ClassRegistry): Parameters<typeof decodeSection>[0] => {
    const [made] = encodeMember(new Map([['sim', value]]), classes).sections;
    if (made === undefined) throw new Error('no section');
    return { ...made, imports: [] };
  };

  it('F36: that the program does not have is refused with the line to add, and an older or newer version with both numbers', () => {
    const one = section(Object.assign(new Particle(), { x: 1 }), testClasses());
    const two = section(new Particle(), testClasses({ version: 2 }));
    const schema = (words: string): unknown =>
      expect.objectContaining({ code: 'ERR_CKPT_SCHEMA', message: expect.stringContaining(words) });
    expect(() => decodeSection(one, [], new ClassRegistry())).toThrow(schema("registerClass('Particle', Particle)"));
    expect(() => decodeSection(two, [], testClasses())).toThrow(schema('version 1, the image holds version 2'));
    expect(() => decodeSection(one, [], testClasses({ version: 3, migrate: { 1: (data) => data } }))).toThrow(schema('no step from 2'));
  });

  it('F32: whose migration throws is refused with its cause', () => {
    const cause = new Error('no');
    const migrate = {
      1: () => {
        throw cause;
      },
    };
    const one = section(new Particle(), testClasses());
    expect(() => decodeSection(one, [], testClasses({ version: 2, migrate }))).toThrow(
      expect.objectContaining({ code: 'ERR_CKPT_SCHEMA', cause }),
    );
  });

  it('is migrated step by step, inner instances first, with encoded instances in their places', () => {
    const sealed = new Sealed(5);
    const inner = Object.assign(new Particle(), { x: sealed });
    const one = section(Object.assign(new Particle(), { x: 1, inner }), testClasses());
    const seen: unknown[] = [];
    const migrate = {
      1: (data: { x: unknown; inner?: Particle }): unknown => {
        seen.push([data.x instanceof Sealed ? Sealed.contentOf(data.x) : data.x, data.inner?.['unit']]);
        return { ...data, unit: 'm' };
      },
      2: (data: object): unknown => Object.defineProperty({ ...data }, 'hidden', { value: 1 }),
    };
    const back = decodeSection(one, [], testClasses({ version: 3, migrate })).value as Particle;
    expect(back).toBeInstanceOf(Particle);
    expect(Object.getOwnPropertyDescriptor(back, 'hidden')).toMatchObject({ value: 1, enumerable: false });
    expect(seen).toContainEqual([5, undefined]);
    expect(Reflect.get(Object(back['inner']), 'x')).toBeInstanceOf(Sealed);
    expect(back['unit']).toBe('m');
  });

  it('whose decode makes something else is refused', () => {
    const classes = new ClassRegistry();
    classes.add<object>('Particle', Particle, { encode: () => 1, decode: () => ({}) });
    expect(() => roundTrip(new Particle(), classes)).toThrow(expect.objectContaining({ code: 'ERR_CKPT_RESTORE' }));
  });

  it('that a tool does not have comes as tagged plain data', () => {
    const value = {
      p: Object.assign(new Particle(), { x: 1 }),
      t: Object.setPrototypeOf(new Map([[1, 2]]), Table.prototype),
      s: new Sealed([3]),
    };
    expect(decodeSection(section(value, testClasses()), [], 'tagged').value).toEqual({
      p: { class: 'Particle', version: 1, data: { x: 1 } },
      t: { class: 'Table', version: 1, data: new Map([[1, 2]]) },
      s: { class: 'Sealed', version: 1, data: [3] },
    });
  });
});
