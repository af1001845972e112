import { describe, expect, it } from 'vitest';
import { Registration } from '../../packages/sdk/src/app/registration.js';
import { systemClock } from '../../packages/sdk/src/base/system-ports.js';
import { ClassRegistry } from '../../packages/sdk/src/codec/classes.js';
import { ProviderRegistry } from '../../packages/sdk/src/state/registry.js';
import { type WasmGlobal, WasmInstance, type WasmMemory, type WasmSection, wasmSection } from '../../packages/sdk/src/state/wasm.js';

const PAGE = 65_536;

interface MemoryOptions {
  readonly initial: number;
  readonly maximum?: number;
  readonly shared?: boolean;
}

/** Not every program has the types of WebAssembly. */
const space = Reflect.get(globalThis, 'WebAssembly') as {
  readonly Memory: new (options: MemoryOptions) => WasmMemory;
  readonly Global: new (options: { readonly value: string; readonly mutable: boolean }, initial?: unknown) => WasmGlobal;
  readonly Table: new (options: { readonly initial: number; readonly element: string }) => object;
};

function memory(options: MemoryOptions): WasmMemory {
  return new space.Memory(options);
}

function global(value: string, initial?: unknown, mutable = true): WasmGlobal {
  return new space.Global({ value, mutable }, initial);
}

/** What an image holds of an instance, as it is read back. */
function recorded(instance: WasmInstance): WasmSection {
  const { memory: live } = instance.buffer();
  const copy = live instanceof ArrayBuffer ? new ArrayBuffer(live.byteLength) : new SharedArrayBuffer(live.byteLength);
  new Uint8Array(copy).set(new Uint8Array(live));
  return wasmSection('heap', instance.capture(), [copy]);
}

function codeOf(work: () => unknown): string {
  try {
    work();
    return 'ok';
  } catch (error) {
    return error instanceof TypeError ? 'TypeError' : String(Reflect.get(Object(error), 'code'));
  }
}

describe('a WebAssembly memory and its globals', () => {
  it.each([false, true])('come back bit for bit, grown, with globals of every numeric type; shared: %s', (shared) => {
    const make = (): { live: WasmMemory; globals: Record<string, WasmGlobal>; instance: WasmInstance } => {
      const live = memory({ initial: 1, maximum: 8, shared });
      const globals = { i: global('i32', 1), l: global('i64', 1n), f: global('f32', 1), d: global('f64', 1) };
      return { live, globals, instance: new WasmInstance('heap', live, { globals }) };
    };
    const before = make();
    before.live.grow(3);
    new Uint8Array(before.live.buffer).fill(9, 3 * PAGE + 5, 4 * PAGE);
    const values = { i: -(2 ** 31), l: -(2n ** 63n), f: Math.fround(0.1), d: -0 };
    for (const [key, value] of Object.entries(values)) Object.assign(before.globals[key] ?? {}, { value });
    const section = recorded(before.instance);

    const after = make();
    after.instance.grow(section);
    after.instance.restore(section);
    expect(after.live.buffer.byteLength).toBe(4 * PAGE);
    expect(Buffer.from(after.live.buffer as ArrayBuffer).equals(Buffer.from(before.live.buffer as ArrayBuffer))).toBe(true);
    for (const [key, value] of Object.entries(values)) expect([key, after.globals[key]?.value]).toEqual([key, value]);
  });

  it('are restored into memory whose views stay valid where nothing grew', () => {
    const before = memory({ initial: 2 });
    new Uint8Array(before.buffer)[PAGE] = 7;
    const section = recorded(new WasmInstance('heap', before, {}));
    const after = memory({ initial: 2 });
    const view = new Uint8Array(after.buffer);
    const instance = new WasmInstance('heap', after, {});
    instance.grow(section);
    instance.restore(section);
    expect([view[PAGE], after.buffer === view.buffer]).toEqual([7, true]);
  });

  const base = { initial: 2, maximum: 4 };
  const taken = { i: global('i32', 2 ** 30 + 1) };
  it.each<[string, MemoryOptions, MemoryOptions, Record<string, WasmGlobal>, Record<string, WasmGlobal>]>([
    ['a maximum that is too small', base, { initial: 1, maximum: 1 }, {}, {}],
    ['a memory that is larger than recorded', base, { initial: 3 }, {}, {}],
    ['shared memory in place of unshared', base, { ...base, shared: true }, {}, {}],
    ['unshared memory in place of shared', { ...base, shared: true }, base, {}, {}],
    ['a global that the image does not have', base, base, {}, { i: global('i32', 5) }],
    ['a global less than the image has', base, base, taken, {}],
    ['a global of a type that would cut it', base, base, { i: global('f64', 0.1) }, { i: global('f32', 5) }],
    ['an i32 in place of an f64', base, base, { i: global('f64', 2 ** 40) }, { i: global('i32', 5) }],
    ['an i64 in place of an i32', base, base, taken, { i: global('i64', 5n) }],
  ])('refuse %s, and stay as they are', (_, there, here, recordedGlobals, globals) => {
    const before = memory(there);
    const section = recorded(new WasmInstance('heap', before, { globals: recordedGlobals }));
    const live = memory(here);
    new Uint8Array(live.buffer)[1] = 42;
    const instance = new WasmInstance('heap', live, { globals });
    expect(codeOf(() => instance.grow(section))).toBe('ERR_CKPT_SCHEMA');
    expect([new Uint8Array(live.buffer)[1], live.buffer.byteLength]).toEqual([42, here.initial * PAGE]);
    for (const one of Object.values(globals)) expect(Number(one.value)).toBe(5);
  });

  it('refuse anything else with a TypeError', () => {
    const live = memory({ initial: 1 });
    for (const wrong of [undefined, null, 1, {}, new ArrayBuffer(PAGE), new Uint8Array(PAGE), live.buffer]) {
      expect(codeOf(() => new WasmInstance('heap', wrong, {}))).toBe('TypeError');
    }
    const globals = [{ g: 1 }, { g: { value: 1 } }, { g: new space.Table({ initial: 1, element: 'anyfunc' }) }, 'g', null];
    const references = [{ g: global('externref', {}) }, { g: global('i32', 1, false) }];
    for (const wrong of [...globals, ...references])
      expect(codeOf(() => new WasmInstance('heap', live, { globals: wrong }))).toBe('TypeError');
    for (const wrong of [null, 1, { globls: {} }]) expect(codeOf(() => new WasmInstance('heap', live, wrong))).toBe('TypeError');
  });

  it('are registered once: a memory under two names, and a name for two memories, are refused', () => {
    const classes = new ClassRegistry();
    const registration = new Registration(new ProviderRegistry(new Map(), classes), classes, systemClock);
    const live = memory({ initial: 1 });
    registration.wasm('heap', live, {});
    expect(codeOf(() => registration.wasm('other', live, {}))).toBe('ERR_CKPT_EXISTS');
    expect(codeOf(() => registration.wasm('heap', live, {}))).toBe('ERR_CKPT_EXISTS');
    expect(codeOf(() => registration.wasm('heap', memory({ initial: 1 }), {}))).toBe('ERR_CKPT_EXISTS');
    expect(codeOf(() => registration.wasm('third', memory({ initial: 1 }), {}))).toBe('ok');
  });

  it('F33: refuse sections that hold something else', () => {
    const whole = new ArrayBuffer(PAGE);
    const wrong: [unknown, readonly ArrayBufferLike[]][] = [
      [null, [whole]],
      [{}, [whole]],
      [{ globals: {} }, [whole]],
      [{ globals: new Map([['g', 'text']]) }, [whole]],
      [{ globals: new Map([[1, 1]]) }, [whole]],
      [{ globals: new Map() }, []],
      [{ globals: new Map() }, [whole, whole]],
      [{ globals: new Map() }, [new ArrayBuffer(PAGE - 1)]],
    ];
    for (const [value, buffers] of wrong) expect(codeOf(() => wasmSection('heap', value, buffers))).toBe('ERR_CKPT_DECODE');
  });
});
