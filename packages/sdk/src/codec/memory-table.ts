/// <reference lib="es2024.arraybuffer" />
/// <reference lib="es2024.sharedmemory" />
/**
 * Turns buffers and views into what stands for them in the structured part, and lists bulk memory once.
 *
 * Owns the member's buffer table during one encoding.
 *
 * Invariants
 * 1. Bulk memory is listed once per identity across all sections and never copied.
 * 2. Small memory is inline while one reference exists; with a second one it moves to the table, so that views of
 *    one buffer stay views of one buffer.
 * 3. A small Buffer on Node's shared pool is encoded as its own bytes, so that the pool's other contents stay out
 *    of the image; unless its memory is also reached in another way, or two such windows overlap: then sharing is
 *    meant and the memory is treated like any other.
 */
import { types } from 'node:util';
import type { BufferKind, FoundBuffer } from './contract.js';
import { trackingOf } from './length-tracking.js';
import { isBare, isBareView } from './own-properties.js';
import { describeObject, EXTRA, property, type Reason } from './refusal.js';
import { BULK_BYTES, MEMORY_KINDS, TAG, VIEW_KINDS, type ViewKind } from './tags.js';

/** A buffer or view in the structured part; the msgpack side of it. */
export type MemoryWire = Map<number, unknown>;

type Inline = readonly [kind: number, bytes: Uint8Array, maxByteLength: number | null];
type ViewPayload = [kind: number, memory: number | Inline, byteOffset: number, length: number | null];

interface Memory {
  readonly memory: ArrayBufferLike;
  /** Place in the table, once it is there. */
  index?: number;
  /** While inline: how to turn the only reference into one to the table. */
  promote?: (index: number) => void;
  section: Set<number>;
}

interface Window {
  readonly start: number;
  readonly end: number;
  readonly payload: ViewPayload;
  readonly section: Set<number>;
}

const VIEW_PROTOTYPES: ReadonlyMap<object, ViewKind> = new Map(
  VIEW_KINDS.flatMap((kind): [object, ViewKind][] => {
    const maker: unknown = Reflect.get(globalThis, kind);
    return typeof maker === 'function' ? [[maker.prototype, kind]] : [];
  }),
);

/** Sizes of the pools that Node has used so far: some versions allocate a little more than Buffer.poolSize. */
const poolBytes = new Set<number>([Buffer.poolSize, Buffer.allocUnsafe(1).buffer.byteLength]);

export class MemoryTable {
  readonly buffers: FoundBuffer[] = [];
  readonly #known = new Map<ArrayBufferLike, Memory>();
  readonly #pools = new Map<ArrayBufferLike, Window[]>();

  constructor() {
    // The program may have set another size since.
    poolBytes.add(Buffer.allocUnsafe(1).buffer.byteLength);
  }

  /** @returns what stands for the buffer, or why it is refused */
  buffer(memory: ArrayBufferLike, section: Set<number>): MemoryWire | Reason {
    const known = this.#know(memory, section);
    if ('what' in known) return known;
    const wire: MemoryWire = new Map();
    wire.set(
      TAG.buffer,
      this.#refer(known, section, (index) => wire.set(TAG.buffer, index)),
    );
    return wire;
  }

  /** @returns what stands for the view, or why it is refused */
  view(view: ArrayBufferView, section: Set<number>): MemoryWire | Reason {
    const kind = VIEW_PROTOTYPES.get(Object.getPrototypeOf(view));
    if (kind === undefined || types.isDataView(view) !== (kind === 'DataView')) return describeObject(view);
    const memory = view.buffer;
    let length: number | null;
    if (isResizable(memory)) {
      const tracking = trackingOf(view);
      if (tracking === 'unknown' || (tracking === 'tracking' && kind === 'Buffer')) return UNCLEAR_VIEW;
      length = tracking === 'tracking' ? null : elementsOf(view);
    } else {
      if (memory.byteLength === 0 && isDetached(memory)) return DETACHED;
      length = elementsOf(view);
    }
    if (!isBareView(view, elementsOf(view))) return EXTRA;
    const payload: ViewPayload = [VIEW_KINDS.indexOf(kind), 0, view.byteOffset, length];
    const wire: MemoryWire = new Map([[TAG.view, payload]]);
    if (kind === 'Buffer' && this.#asWindow(view, payload, section)) return wire;
    const known = this.#know(memory, section);
    if ('what' in known) return known;
    payload[1] = this.#refer(known, section, (index) => {
      payload[1] = index;
    });
    return wire;
  }

  /** The record of `memory`; on the first meeting it is checked, and listed when it is bulk. */
  #know(memory: ArrayBufferLike, section: Set<number>): Memory | Reason {
    let known = this.#known.get(memory);
    if (known !== undefined) return known;
    const fault = memoryFault(memory);
    if (fault !== undefined) return fault;
    known = { memory, section };
    this.#known.set(memory, known);
    const windows = this.#pools.get(memory);
    if (windows !== undefined) this.#adopt(known, windows);
    else if (memory.byteLength >= BULK_BYTES) this.#list(known);
    return known;
  }

  #refer(known: Memory, section: Set<number>, promote: (index: number) => void): number | Inline {
    if (known.index === undefined && known.promote === undefined) {
      known.promote = promote;
      known.section = section;
      return inline(known.memory);
    }
    const index = known.index ?? this.#list(known);
    section.add(index);
    return index;
  }

  #list(known: Memory): number {
    const { memory } = known;
    const index = this.buffers.length;
    const found: FoundBuffer = { kind: kindOf(memory), memory, byteLength: memory.byteLength };
    this.buffers.push(isResizable(memory) ? { ...found, maxByteLength: memory.maxByteLength } : found);
    known.index = index;
    if (known.promote !== undefined) {
      known.promote(index);
      known.section.add(index);
    }
    return index;
  }

  /** Takes a Buffer as a window on Node's pool, when it is one (invariant 3). */
  #asWindow(view: ArrayBufferView, payload: ViewPayload, section: Set<number>): boolean {
    const memory = view.buffer;
    const ours = poolBytes.has(memory.byteLength) && view.byteLength <= memory.byteLength / 2 && kindOf(memory) === 'ArrayBuffer';
    if (!ours || this.#known.has(memory) || isResizable(memory)) return false;
    const windows = this.#pools.get(memory) ?? [];
    this.#pools.set(memory, windows);
    const start = view.byteOffset;
    const end = start + view.byteLength;
    if (windows.some((other) => start < other.end && other.start < end)) return false;
    payload[1] = [0, new Uint8Array(memory, start, view.byteLength), null];
    payload[2] = 0;
    windows.push({ start, end, payload, section });
    return true;
  }

  /** Pool windows of a memory that turned out to be shared: they refer to the table like everything else. */
  #adopt(known: Memory, windows: readonly Window[]): void {
    const index = this.#list(known);
    for (const { start, payload, section } of windows) {
      payload[1] = index;
      payload[2] = start;
      section.add(index);
    }
  }
}

const DETACHED: Reason = { what: 'on a detached buffer (its memory was transferred away)', remedy: 'drop it before the checkpoint' };
const UNCLEAR_VIEW: Reason = {
  what: 'a view on resizable memory that lies outside it, or follows its length in a way that cannot be told',
  remedy: 'make it a view of a fixed offset and length within the memory',
};

function memoryFault(memory: ArrayBufferLike): Reason | undefined {
  const prototype: unknown = Object.getPrototypeOf(memory);
  if (prototype !== ArrayBuffer.prototype && prototype !== SharedArrayBuffer.prototype) return describeObject(memory);
  if (!isBare(memory)) return property('on a buffer that is frozen or has properties of its own');
  return isDetached(memory) ? DETACHED : undefined;
}

function kindOf(memory: ArrayBufferLike): BufferKind {
  return types.isSharedArrayBuffer(memory) ? 'SharedArrayBuffer' : 'ArrayBuffer';
}

function isResizable(memory: ArrayBufferLike): boolean {
  return memory instanceof ArrayBuffer ? memory.resizable : memory.growable;
}

function isDetached(memory: ArrayBufferLike): boolean {
  if (memory.byteLength !== 0) return false;
  try {
    return new Uint8Array(memory).byteLength !== 0;
  } catch {
    return true;
  }
}

function elementsOf(view: ArrayBufferView): number {
  return 'length' in view && typeof view.length === 'number' ? view.length : view.byteLength;
}

function inline(memory: ArrayBufferLike): Inline {
  return [MEMORY_KINDS.indexOf(kindOf(memory)), new Uint8Array(memory), isResizable(memory) ? memory.maxByteLength : null];
}
