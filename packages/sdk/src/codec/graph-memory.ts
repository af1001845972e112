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
import type { FoundBuffer } from './contract.js';
import { GROUP, type Integrity } from './graph-format.js';
import { CountsGroup, MemoryGroup, type PoolWindow, ViewGroup, WindowGroup } from './graph-groups.js';
import type { GraphSection } from './graph-section.js';
import { trackingOf } from './length-tracking.js';
import { describeObject, type Reason } from './refusal.js';
import { memoryKind, memoryLength, memoryMaximum, viewKind, viewLength, viewMemory, viewOffset } from './slots.js';
import { BULK_BYTES, MEMORY_KINDS, VIEW_KINDS, type ViewKind } from './tags.js';
import { Unsupported } from './unsupported.js';
import { isWasmMemory } from './wasm-memory.js';

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

const WASM: Reason = {
  what: 'memory of a WebAssembly instance, of which the new one would know nothing',
  remedy:
    'register it with ckpt.wasm(name, memory), keep offset and length of views of it in the state, and make these anew after a restart',
};

const FOREIGN: Reason = {
  what: 'shared memory of the set, which is captured once, with the program',
  remedy: 'keep views on it outside of the registered state, and ask for it with shared(name)',
};

interface MetWindow extends PoolWindow {
  readonly section: GraphSection;
}

export class GraphMemory {
  readonly buffers: FoundBuffer[] = [];
  readonly #listed = new Map<ArrayBufferLike, number>();
  readonly #pools = new Map<ArrayBufferLike, MetWindow[]>();
  readonly #met: (memory: object) => boolean;
  readonly #foreign: ReadonlySet<ArrayBufferLike>;

  /**
   * @param met whether an object was met already
   * @param foreign memory that is captured elsewhere
   */
  constructor(met: (memory: object) => boolean, foreign: ReadonlySet<ArrayBufferLike>) {
    this.#met = met;
    this.#foreign = foreign;
    // The program may have set another size since.
    poolBytes.add(Buffer.allocUnsafe(1).buffer.byteLength);
  }

  /** Bulk memory has no number of its own across sections: each refers to the member's list. */
  isBulk(memory: ArrayBufferLike): boolean {
    return memoryLength(memory) >= BULK_BYTES || this.#pools.has(memory);
  }

  /** True once a section has told of that bulk memory, and of what hangs on it. */
  isListed(memory: ArrayBufferLike): boolean {
    return this.#listed.has(memory);
  }

  scanMemory(section: GraphSection, memory: ArrayBufferLike, integrity: Integrity): void {
    const fault = this.#foreign.has(memory) ? FOREIGN : memoryFault(memory);
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
    group.kinds.add(MEMORY_KINDS.indexOf(memoryKind(memory)));
    group.memories.push(memory);
    section.cell(group.maxima, memoryMaximum(memory) ?? null);
    section.place(group);
  }

  /** How many elements the view has that are properties. @throws Unsupported for a view of no known kind */
  lengthOf(view: ArrayBufferView): number {
    return kindOf(view) === 'DataView' ? 0 : viewLength(view);
  }

  scanView(section: GraphSection, view: ArrayBufferView, integrity: Integrity): void {
    const kind = kindOf(view);
    const length = toldLength(view, kind);
    if (kind === 'Buffer' && this.#asWindow(section, view, integrity)) return;
    const group = section.group(`view ${integrity}`, (place) => new ViewGroup(place, GROUP.view, null, integrity));
    group.kinds.add(VIEW_KINDS.indexOf(kind));
    group.memories.add(section.ref(viewMemory(view)));
    group.offsets.add(viewOffset(view));
    section.cell(group.lengths, length);
    section.place(group);
  }

  #list(memory: ArrayBufferLike): number {
    const known = this.#listed.get(memory);
    if (known !== undefined) return known;
    const index = this.buffers.length;
    const found: FoundBuffer = { kind: memoryKind(memory), memory, byteLength: memoryLength(memory) };
    const maxByteLength = memoryMaximum(memory);
    this.buffers.push(maxByteLength === undefined ? found : { ...found, maxByteLength });
    this.#listed.set(memory, index);
    for (const window of this.#pools.get(memory) ?? []) window.section.buffers.add(index);
    return index;
  }

  /** Takes a Buffer as a window on Node's pool, when it is one (invariant 2). */
  #asWindow(section: GraphSection, view: ArrayBufferView, integrity: Integrity): boolean {
    const memory = viewMemory(view);
    const length = viewLength(view);
    const pool = memoryLength(memory);
    const ours = poolBytes.has(pool) && length <= pool / 2 && memoryKind(memory) === 'ArrayBuffer';
    if (!ours || this.#met(memory) || memoryMaximum(memory) !== undefined || memoryFault(memory) !== undefined) return false;
    const windows = this.#pools.get(memory) ?? [];
    const offset = viewOffset(view);
    const end = offset + length;
    if (windows.some((other) => offset < other.offset + other.length && other.offset < end)) return false;
    this.#pools.set(memory, windows);
    const window = { memory, offset, length, section };
    windows.push(window);
    const group = section.group(`window ${integrity}`, (place) => new WindowGroup(place, integrity, (found) => this.#listed.get(found)));
    group.windows.push(window);
    section.place(group);
    return true;
  }
}

function kindOf(view: ArrayBufferView): ViewKind {
  const kind = VIEW_PROTOTYPES.get(Object.getPrototypeOf(view));
  if (kind === undefined || viewKind(view) !== (kind === 'Buffer' ? 'Uint8Array' : kind)) throw new Unsupported(view, describeObject(view));
  return kind;
}

/** Elements of the view; null when it follows its memory's length. */
function toldLength(view: ArrayBufferView, kind: ViewKind): number | null {
  const memory = viewMemory(view);
  if (memoryMaximum(memory) !== undefined) {
    const tracking = trackingOf(view);
    if (tracking === 'unknown' || (tracking === 'tracking' && kind === 'Buffer')) throw new Unsupported(view, UNCLEAR_VIEW);
    if (tracking === 'tracking') return null;
  } else if (isDetached(memory)) {
    throw new Unsupported(view, DETACHED);
  }
  return viewLength(view);
}

function memoryFault(memory: ArrayBufferLike): Reason | undefined {
  const expected = types.isSharedArrayBuffer(memory) ? SharedArrayBuffer.prototype : ArrayBuffer.prototype;
  if (Object.getPrototypeOf(memory) !== expected) return describeObject(memory);
  if (isWasmMemory(memory)) return WASM;
  return isDetached(memory) ? DETACHED : undefined;
}

function isDetached(memory: ArrayBufferLike): boolean {
  if (memoryLength(memory) !== 0) return false;
  try {
    return new Uint8Array(memory).byteLength !== 0;
  } catch {
    return true;
  }
}
