/**
 * A WebAssembly memory and exported mutable globals as a provider: bulk memory beside a small value.
 *
 * Invariants
 * 1. The memory never passes through the codec: the section's value is `{ globals }`, its one buffer is the memory.
 * 2. What does not fit is refused before anything is written into the program's instance; a global is set only to a value
 *    that it keeps exactly.
 * 3. A memory cannot shrink, and its size is seen by the program: one that is larger than recorded is refused.
 */
import { types } from 'node:util';
import { CheckpointError, messageOf } from '../base/errors.js';
import type { BufferKind, FoundBuffer } from '../codec/contract.js';
import type { Provider } from './provider.js';

/** What is used of a WebAssembly.Memory; not every program has the types of WebAssembly. */
export interface WasmMemory {
  readonly buffer: ArrayBufferLike;
  grow(delta: number): number;
}

/** What is used of a WebAssembly.Global. */
export interface WasmGlobal {
  value: unknown;
}

export type WasmGlobals = Readonly<Record<string, WasmGlobal>>;

/** What `ckpt.wasm` takes beside name and memory. */
export interface WasmOptions {
  /** Exported mutable globals (i32, i64, f32, f64), by the name that the image knows each by. */
  readonly globals?: WasmGlobals;
}

type Scalar = number | bigint;

/** What an image brings back. */
export interface WasmSection {
  readonly globals: ReadonlyMap<string, Scalar>;
  readonly memory: ArrayBufferLike;
}

const PAGE = 65_536;
const WINDOW = 2 ** 30;

export class WasmInstance {
  readonly #name: string;
  readonly #memory: WasmMemory;
  readonly #globals: ReadonlyMap<string, WasmGlobal>;

  /** @throws TypeError for anything but a memory and mutable numeric globals */
  constructor(name: string, memory: unknown, options: unknown) {
    if (!isMemory(memory))
      throw new TypeError(`wasm('${name}', memory): expected a WebAssembly.Memory, such as instance.exports.memory, got ${kindOf(memory)}`);
    if (typeof options !== 'object' || options === null)
      throw new TypeError(`wasm('${name}', memory, options): expected an object of options, got ${kindOf(options)}`);
    for (const key of Object.keys(options)) {
      if (key !== 'globals') throw new TypeError(`wasm('${name}', memory, options): unknown option '${key}'; expected only globals`);
    }
    const { globals = {} }: { readonly globals?: unknown } = options;
    if (typeof globals !== 'object' || globals === null)
      throw new TypeError(`wasm('${name}', memory, { globals }): expected an object of globals by name, got ${kindOf(globals)}`);
    this.#name = name;
    this.#memory = memory;
    this.#globals = new Map(Object.entries(globals).map(([key, global]) => [key, checkedGlobal(name, key, global)]));
  }

  /** The section's value. */
  capture(): { readonly globals: ReadonlyMap<string, unknown> } {
    return { globals: new Map([...this.#globals].map(([key, global]): [string, unknown] => [key, global.value])) };
  }

  /** The memory as it is now: growing gives it another buffer. */
  buffer(): FoundBuffer {
    const memory: ArrayBufferLike = this.#memory.buffer;
    return { kind: bufferKind(memory), memory, byteLength: memory.byteLength };
  }

  /** Checks what can be checked without growing. @throws CheckpointError ERR_CKPT_SCHEMA */
  check({ memory, globals }: WasmSection): void {
    const current: ArrayBufferLike = this.#memory.buffer;
    if (bufferKind(current) !== bufferKind(memory))
      throw this.#refusal(`${sharing(current)} memory`, `${sharing(memory)} memory`, 'compile the module as it was then');
    if (current.byteLength > memory.byteLength) {
      const remedy = 'a memory cannot shrink: register it right after the module is instantiated, before anything makes it grow';
      throw this.#refusal(`at least the ${pages(current)} pages that the memory has`, `${pages(memory)}`, remedy);
    }
    const names = [...new Set([...this.#globals.keys(), ...globals.keys()])];
    const other = names.find((key) => !(this.#globals.has(key) && globals.has(key)));
    if (other !== undefined) {
      const here = this.#globals.has(other);
      throw this.#refusal(
        `${here ? 'a' : 'no'} global '${other}'`,
        here ? 'none' : 'one',
        'register the same globals, or start from another image',
      );
    }
    for (const [key, global] of this.#globals) this.#tryGlobal(key, global, globals.get(key));
  }

  /** Makes the memory as large as recorded. @throws CheckpointError ERR_CKPT_SCHEMA */
  grow(section: WasmSection): void {
    this.check(section);
    const missing = pages(section.memory) - pages(this.#memory.buffer);
    if (missing === 0) return;
    try {
      this.#memory.grow(missing);
    } catch (error) {
      const found = `${pages(section.memory)}, and growing it failed (${messageOf(error)})`;
      throw this.#refusal(`at most the pages that the memory can have`, found, 'raise its maximum', error);
    }
  }

  /** Puts bytes and globals in; the memory has its size by now. */
  restore({ memory, globals }: WasmSection): void {
    const target: ArrayBufferLike = this.#memory.buffer;
    for (let at = 0; at < memory.byteLength; at += WINDOW) {
      const length = Math.min(WINDOW, memory.byteLength - at);
      new Uint8Array(target, at, length).set(new Uint8Array(memory, at, length));
    }
    for (const [key, global] of this.#globals) global.value = globals.get(key);
  }

  /** Invariant 2: an i32 would cut what an f64 held. The global is left as it was. */
  #tryGlobal(key: string, global: WasmGlobal, recorded: unknown): void {
    const before: unknown = global.value;
    let kept: unknown;
    try {
      global.value = recorded;
      kept = global.value;
    } catch {
      kept = before; // of another type
    } finally {
      global.value = before;
    }
    if (Object.is(kept, recorded)) return;
    throw this.#refusal(
      `global '${key}' of the type it was of (now it holds ${String(before)})`,
      String(recorded),
      'compile the module as it was then',
    );
  }

  #refusal(expected: string, found: string, remedy: string, cause?: unknown): CheckpointError {
    return new CheckpointError(
      'ERR_CKPT_SCHEMA',
      `restoring wasm '${this.#name}': the program expects ${expected}, the image holds ${found}; ${remedy}`,
      {
        provider: this.#name,
        phase: 'plan',
        ...(cause === undefined ? {} : { cause }),
      },
    );
  }
}

/** How the registry sees it. */
export function wasmProvider(instance: WasmInstance): Pick<Provider, 'capture' | 'memory' | 'plan' | 'restore'> {
  // Sections of this kind are decoded by wasmSection alone.
  const given = (value: unknown): WasmSection => value as WasmSection;
  return {
    capture: () => instance.capture(),
    memory: () => instance.buffer(),
    plan: (value) => instance.grow(given(value)),
    restore: (value) => instance.restore(given(value)),
  };
}

/** @throws CheckpointError ERR_CKPT_DECODE */
export function wasmSection(name: string, value: unknown, buffers: readonly ArrayBufferLike[]): WasmSection {
  const globals: unknown = typeof value === 'object' && value !== null && 'globals' in value ? value.globals : undefined;
  const [memory] = buffers;
  if (
    globals instanceof Map &&
    [...globals].every(isGlobal) &&
    memory !== undefined &&
    buffers.length === 1 &&
    memory.byteLength % PAGE === 0
  )
    return { globals, memory };
  throw new CheckpointError(
    'ERR_CKPT_DECODE',
    `decoding wasm '${name}': expected globals and one memory of whole pages, found something else; choose another image`,
    { section: name, phase: 'read' },
  );
}

function isGlobal([key, value]: [unknown, unknown]): boolean {
  return typeof key === 'string' && (typeof value === 'number' || typeof value === 'bigint');
}

function checkedGlobal(name: string, key: string, global: unknown): WasmGlobal {
  const call = `wasm('${name}', memory, { globals })`;
  if (!isGlobalObject(global)) throw new TypeError(`${call}: expected '${key}' to be a WebAssembly.Global, got ${kindOf(global)}`);
  const value = readGlobal(call, key, global);
  if (typeof value !== 'number' && typeof value !== 'bigint')
    throw new TypeError(`${call}: '${key}' holds a reference, which cannot be carried; expected i32, i64, f32 or f64`);
  try {
    global.value = value;
  } catch (error) {
    throw new TypeError(`${call}: '${key}' is immutable, so it cannot be restored; leave it out`, { cause: error });
  }
  return global;
}

function isMemory(value: unknown): value is WasmMemory {
  return isA('Memory', value);
}

function isGlobalObject(value: unknown): value is WasmGlobal {
  return isA('Global', value);
}

function isA(kind: 'Memory' | 'Global', value: unknown): boolean {
  const space: unknown = Reflect.get(globalThis, 'WebAssembly');
  const maker: unknown = typeof space === 'object' && space !== null ? Reflect.get(space, kind) : undefined;
  return typeof maker === 'function' && value instanceof maker;
}

function readGlobal(call: string, key: string, global: WasmGlobal): unknown {
  try {
    return global.value;
  } catch (error) {
    throw new TypeError(`${call}: '${key}' cannot be read (${messageOf(error)}); expected i32, i64, f32 or f64`, { cause: error });
  }
}

function bufferKind(memory: ArrayBufferLike): BufferKind {
  return types.isSharedArrayBuffer(memory) ? 'SharedArrayBuffer' : 'ArrayBuffer';
}

function sharing(memory: ArrayBufferLike): string {
  return types.isSharedArrayBuffer(memory) ? 'shared' : 'unshared';
}

function pages(memory: ArrayBufferLike): number {
  return memory.byteLength / PAGE;
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
}
