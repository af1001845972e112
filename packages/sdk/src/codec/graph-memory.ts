/// <reference lib="es2024.arraybuffer" />
/// <reference lib="es2024.sharedmemory" />
/**
 * Buffers and views in the walk: what stands for them, and the member's list of bulk memory.
 *
 * Invariants
 * 1. Bulk memory is listed once per identity across all sections and never copied.
 * 2. A Buffer on Node's shared pool is written as its own bytes, so that the pool's other contents stay out of the image;
 *    unless its memory is also reached in another way, or two such windows overlap: then sharing is meant, and the pool is
 *    listed like bulk memory, for the windows met before too.
 */
import { types } from 'node:util';
import type { BufferKind, FoundBuffer } from './contract.js';
import { GROUP, type Integrity } from './graph-format.js';
import { CountsGroup, MemoryGroup, type PoolWindow, ViewGroup, WindowGroup } from './graph-groups.js';
import type { GraphSection } from './graph-section.js';
import { trackingOf } from './length-tracking.js';
import { describeObject, type Reason } from './refusal.js';
import { BULK_BYTES, MEMORY_KINDS, VIEW_KINDS, type ViewKind } from './tags.js';
import { Unsupported } from './unsupported.js';

const VIEW_PROTOTYPES: ReadonlyMap<object, ViewKind> = new Map(
  VIEW_KINDS.flatMap((kind): [object, ViewKind][] => {
    const maker: unknown = Reflect.get(globalThis, kind);
    return typeof maker === 'function' ? [[maker.prototype, kind]] : [];
  }),
);

/** Sizes of the pools that Node has used so far: some versions allocate a little more than Buffer.poolSize. */
const poolBytes = new Set<number>([Buffer.poolSize, Buffer.allocUnsafe(1).buffer.byteLength]);

const DETACHED: Reason = { what: 'on a detached buffer (its memory was transferred away)', remedy: 'drop it before the checkpoint' };
const UNCLEAR_VIEW: Reason = {
  what: 'a view on resizable memory that lies outside it, or follows its length in a way that cannot be told',
  remedy: 'make it a view of a fixed offset and length within the memory',
};

interface MetWindow extends PoolWindow {
  readonly section: GraphSection;
}

export class GraphMemory {
  readonly buffers: FoundBuffer[] = [];
  readonly #listed = new Map<ArrayBufferLike, number>();
  readonly #pools = new Map<ArrayBufferLike, MetWindow[]>();
  readonly #met: (memory: object) => boolean;

  /** @param met whether an object was met already */
  constructor(met: (memory: object) => boolean) {
    this.#met = met;
    // The program may have set another size since.
    poolBytes.add(Buffer.allocUnsafe(1).buffer.byteLength);
  }

  /** Bulk memory has no number of its own across sections: each refers to the member's list. */
  isBulk(memory: ArrayBufferLike): boolean {
    return memory.byteLength >= BULK_BYTES || this.#pools.has(memory);
  }

  scanMemory(section: GraphSection, memory: ArrayBufferLike, integrity: Integrity): void {
    const fault = memoryFault(memory);
    if (fault !== undefined) throw new Unsupported(memory, fault);
    if (this.isBulk(memory)) {
      const index = this.#list(memory);
      section.buffers.add(index);
      const group = section.group(`bulk ${integrity}`, (place) => new CountsGroup(place, GROUP.bulk, integrity));
      group.counts[0]?.add(index);
      section.place(group);
      return;
    }
    const group = section.group(`memory ${integrity}`, (place) => new MemoryGroup(place, GROUP.memory, null, integrity));
    group.kinds.add(MEMORY_KINDS.indexOf(kindOf(memory)));
    group.memories.push(memory);
    section.cell(group.maxima, isResizable(memory) ? memory.maxByteLength : null);
    section.place(group);
  }

  scanView(section: GraphSection, view: ArrayBufferView, integrity: Integrity): void {
    const kind = VIEW_PROTOTYPES.get(Object.getPrototypeOf(view));
    if (kind === undefined || types.isDataView(view) !== (kind === 'DataView')) throw new Unsupported(view, describeObject(view));
    const length = viewLength(view, kind);
    if (kind === 'Buffer' && this.#asWindow(section, view, integrity)) return;
    const group = section.group(`view ${integrity}`, (place) => new ViewGroup(place, GROUP.view, null, integrity));
    group.kinds.add(VIEW_KINDS.indexOf(kind));
    group.memories.add(section.ref(view.buffer));
    group.offsets.add(view.byteOffset);
    section.cell(group.lengths, length);
    section.place(group);
  }

  #list(memory: ArrayBufferLike): number {
    const known = this.#listed.get(memory);
    if (known !== undefined) return known;
    const index = this.buffers.length;
    const found: FoundBuffer = { kind: kindOf(memory), memory, byteLength: memory.byteLength };
    this.buffers.push(isResizable(memory) ? { ...found, maxByteLength: memory.maxByteLength } : found);
    this.#listed.set(memory, index);
    for (const window of this.#pools.get(memory) ?? []) window.section.buffers.add(index);
    return index;
  }

  /** Takes a Buffer as a window on Node's pool, when it is one (invariant 2). */
  #asWindow(section: GraphSection, view: ArrayBufferView, integrity: Integrity): boolean {
    const memory = view.buffer;
    const ours = poolBytes.has(memory.byteLength) && view.byteLength <= memory.byteLength / 2 && kindOf(memory) === 'ArrayBuffer';
    if (!ours || this.#met(memory) || isResizable(memory)) return false;
    const windows = this.#pools.get(memory) ?? [];
    const offset = view.byteOffset;
    const end = offset + view.byteLength;
    if (windows.some((other) => offset < other.offset + other.length && other.offset < end)) return false;
    this.#pools.set(memory, windows);
    const window = { memory, offset, length: view.byteLength, section };
    windows.push(window);
    const group = section.group(`window ${integrity}`, (place) => new WindowGroup(place, integrity, (pool) => this.#listed.get(pool)));
    group.windows.push(window);
    section.place(group);
    return true;
  }
}

/** Elements of the view; null when it follows its memory's length. */
function viewLength(view: ArrayBufferView, kind: ViewKind): number | null {
  const memory = view.buffer;
  if (isResizable(memory)) {
    const tracking = trackingOf(view);
    if (tracking === 'unknown' || (tracking === 'tracking' && kind === 'Buffer')) throw new Unsupported(view, UNCLEAR_VIEW);
    if (tracking === 'tracking') return null;
  } else if (memory.byteLength === 0 && isDetached(memory)) {
    throw new Unsupported(view, DETACHED);
  }
  return 'length' in view && typeof view.length === 'number' ? view.length : view.byteLength;
}

function memoryFault(memory: ArrayBufferLike): Reason | undefined {
  const prototype: unknown = Object.getPrototypeOf(memory);
  if (prototype !== ArrayBuffer.prototype && prototype !== SharedArrayBuffer.prototype) return describeObject(memory);
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
