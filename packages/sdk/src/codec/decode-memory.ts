/// <reference lib="es2024.arraybuffer" />
/// <reference lib="es2024.sharedmemory" />
/**
 * Buffers and views of a section back to life, on restored memory or on bytes held inline.
 *
 * Invariants
 * 1. Every number is checked before it reaches a constructor; what a constructor refuses all the same is BadMemory.
 * 2. Inline memory may reserve address space (`maxByteLength`) only up to MAX_RESERVED in one section.
 */
import { types } from 'node:util';
import { messageOf } from '../base/errors.js';
import { VIEW_KINDS, type ViewKind } from './tags.js';

const MAX_RESERVED = 64 * 2 ** 30;

/** A buffer or view that the section describes wrongly. */
export class BadMemory extends Error {}

/** Address space that inline memory of a section has reserved so far. */
export interface InlineMemories {
  reserved: number;
}

type ViewMaker = new (memory: ArrayBufferLike, byteOffset: number, length?: number) => ArrayBufferView;

export function decodeBuffer(payload: unknown, buffers: readonly ArrayBufferLike[], inline: InlineMemories): ArrayBufferLike {
  if (typeof payload === 'number') {
    const buffer = Number.isInteger(payload) ? buffers[payload] : undefined;
    if (buffer === undefined) throw new BadMemory(`a reference to buffer ${payload} of ${buffers.length}`);
    return buffer;
  }
  const [kind, bytes, maxByteLength] = list(payload, 3, 'inline memory');
  return makeMemory(kind, bytes, maxByteLength, inline);
}

/** Memory of its own that holds a copy of `bytes`. */
export function makeMemory(kind: unknown, bytes: unknown, maxByteLength: unknown, inline: InlineMemories): ArrayBufferLike {
  if (!(bytes instanceof Uint8Array) || (kind !== 0 && kind !== 1)) throw new BadMemory('inline memory of an unknown kind');
  const max = maxByteLength === null ? undefined : count(maxByteLength, 'maxByteLength');
  inline.reserved += max ?? 0;
  if (max !== undefined && (max < bytes.length || inline.reserved > MAX_RESERVED)) throw new BadMemory(`maxByteLength ${max}`);
  const memory = guarded(() => {
    const options = max === undefined ? undefined : { maxByteLength: max };
    return kind === 0 ? new ArrayBuffer(bytes.length, options) : new SharedArrayBuffer(bytes.length, options);
  });
  new Uint8Array(memory).set(bytes);
  return memory;
}

export function decodeView(payload: unknown, buffers: readonly ArrayBufferLike[], inline: InlineMemories): ArrayBufferView {
  const [kind, memory, offset, length] = list(payload, 4, 'view');
  return makeView(kind, decodeBuffer(memory, buffers, inline), offset, length);
}

/** @param lengthWire elements; null for a view that follows its memory's length */
export function makeView(kindNumber: unknown, memory: unknown, offsetWire: unknown, lengthWire: unknown): ArrayBufferView {
  const kind = typeof kindNumber === 'number' ? VIEW_KINDS[kindNumber] : undefined;
  if (kind === undefined) throw new BadMemory('a view of an unknown kind');
  if (!types.isAnyArrayBuffer(memory)) throw new BadMemory('a view of something else than memory');
  const byteOffset = count(offsetWire, 'byteOffset');
  if (lengthWire === null) {
    const tracks = memory instanceof ArrayBuffer ? memory.resizable : memory.growable;
    if (!tracks || kind === 'Buffer') throw new BadMemory('a length-tracking view on memory of fixed size');
    return guarded(() => new (maker(kind))(memory, byteOffset));
  }
  const length = count(lengthWire, 'view length');
  if (kind !== 'Buffer') return guarded(() => new (maker(kind))(memory, byteOffset, length));
  if (byteOffset + length > memory.byteLength) throw new BadMemory('a Buffer beyond its memory');
  return guarded(() => Buffer.from(memory, byteOffset, length));
}

function maker(kind: Exclude<ViewKind, 'Buffer'>): ViewMaker {
  const found: unknown = Reflect.get(globalThis, kind);
  if (typeof found !== 'function') throw new BadMemory(`a ${kind}, which this Node.js does not have`);
  // The names in VIEW_KINDS are the built-in typed arrays and DataView, which share this constructor shape.
  return found as ViewMaker;
}

function list(payload: unknown, length: number, what: string): readonly unknown[] {
  if (!Array.isArray(payload) || payload.length !== length) throw new BadMemory(`${what} that is not a list of ${length}`);
  return payload;
}

function count(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new BadMemory(`${what} that is not a safe integer of zero or more`);
}

function guarded<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof BadMemory) throw error;
    throw new BadMemory(`a buffer or view that cannot be made (${messageOf(error)})`);
  }
}
