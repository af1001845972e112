/**
 * Shadows: for each large buffer of the program a copy that the writer owns, brought up to date by each capture.
 *
 * A capture compares the buffer with its shadow, where it may have been written as far as somebody knows (change-watch.ts), and
 * copies what changed. Where most of it changes each time, it copies without looking, and looks again now and then.
 *
 * Invariants
 * 1. After a capture a shadow is what the buffer was at that instant, and nobody changes it until it is back from the writer.
 * 2. A page is dirty from the capture that saw it change until an image that holds it is acknowledged.
 * 3. A shadow that does not come back, and that of a buffer that is not captured any more, is forgotten; what has no shadow
 *    is dirty from beginning to end.
 * 4. Shadows are allocated once and kept, because copying into warm pages is many times faster; they are not shared
 *    memory, because copying into that is slower too: they are handed over to the writer's thread and back.
 * 5. What is known of a buffer's writes counts from one capture to the next, and is relied upon only when the shadow holds
 *    all of the capture before. Somebody else's memory is not watched any more.
 */
import type { FoundBuffer } from '../codec/contract.js';
import { PAGE } from '../image/format.js';
import { ChangeWatch, type TrackingNote } from './change-watch.js';
import type { PageTracker } from './page-tracker.js';
import { copyAll, copyChanged, copyWritten } from './shadow-copy.js';
import type { ReturnedShadow, StagedBuffer } from './thread-protocol.js';
import { ToldChanges } from './told-changes.js';
import { newWindows } from './warm-memory.js';

/** Smaller buffers are copied and written as a whole. */
export const SHADOW_BYTES: number = 2 ** 18;
/** Smaller buffers are compared faster than the kernel is asked. */
const TRACKED_BYTES = 2 ** 20;
/** After so many copies without looking, one looks again. */
const LOOK_EVERY = 4;

interface Shadow {
  readonly key: number;
  /** Empty while the writer has it. */
  memory: ArrayBuffer[];
  length: number;
  dirty: Uint8Array;
  /** Captures since one looked, while most of it changes each time. */
  unlooked: number | undefined;
  /** Of the capture under way. */
  handedOver: boolean;
  readonly watch: ChangeWatch;
  /** Whether it holds all of the capture before; not so when one broke off halfway (invariant 5). */
  whole: boolean;
}

type Spare = Pick<Shadow, 'memory' | 'length'>;

type StagedShadow = Pick<StagedBuffer, 'key' | 'length' | 'dirty' | 'memory'>;

export class Shadows {
  readonly #budget: number;
  readonly #kernel: PageTracker | undefined;
  readonly #told: ToldChanges;
  readonly #shadows = new Map<ArrayBufferLike, Shadow>();
  #notes: TrackingNote[] = [];
  #nextKey = 1;
  /** Memory for the first capture, of buffers that were foreseen; undefined once there was one. */
  #prepared: ArrayBuffer[][] | undefined = [];

  /** @param budget most bytes of all shadows together @param kernel where the kernel can be asked @param told by the program */
  constructor(budget: number, kernel?: PageTracker, told: ToldChanges = new ToldChanges()) {
    this.#budget = budget;
    this.#kernel = kernel;
    this.#told = told;
  }

  /**
   * Brings the shadows of a capture's buffers up to date; undefined for those that are too small for one, or have no room.
   * Other buffers are the program's no more: what their shadows lay in serves new ones, because it is warm.
   */
  stage(found: readonly FoundBuffer[]): (StagedShadow | undefined)[] {
    const met = new Map(found.map(({ memory, byteLength }) => [memory, byteLength]));
    const spare: Spare[] = (this.#prepared ?? []).map((memory) => ({ memory, length: lengthOf(memory) }));
    this.#prepared = undefined;
    for (const [memory, shadow] of this.#shadows) {
      shadow.handedOver = false;
      if (met.get(memory) === shadow.length) continue;
      this.#forget(memory, shadow);
      spare.push(shadow);
    }
    this.#kernel?.round();
    return found.map((buffer) => this.#stage(buffer, spare));
  }

  /** Warm memory for a buffer that the first capture may find. */
  prepared(memory: ArrayBuffer[]): void {
    this.#prepared?.push(memory);
  }

  /** The image that holds the last capture was acknowledged. */
  committed(): void {
    for (const shadow of this.#shadows.values()) if (shadow.handedOver) shadow.dirty.fill(0);
  }

  /** The writer gives shadows back. */
  returned(list: readonly ReturnedShadow[]): void {
    const byKey = new Map(list.map(({ key, memory }) => [key, memory]));
    for (const shadow of this.#shadows.values()) shadow.memory = [...(byKey.get(shadow.key) ?? shadow.memory)];
  }

  /** The writer is done with the last capture: what is not back is lost with it. */
  recycle(): void {
    for (const [memory, shadow] of this.#shadows) {
      if (shadow.memory.some(({ byteLength }) => byteLength === 0)) this.#forget(memory, shadow);
    }
  }

  /** What became of kernel tracking since the last call. */
  notes(): readonly TrackingNote[] {
    const notes = this.#notes;
    this.#notes = [];
    return notes;
  }

  /** Nothing is captured any more. */
  end(): void {
    for (const [memory, shadow] of this.#shadows) this.#forget(memory, shadow);
    this.#kernel?.close();
  }

  #forget(memory: ArrayBufferLike, shadow: Shadow): void {
    shadow.watch.end();
    this.#shadows.delete(memory);
  }

  #stage({ memory, byteLength }: FoundBuffer, spare: Spare[]): StagedShadow | undefined {
    if (byteLength < SHADOW_BYTES) return undefined;
    let shadow = this.#shadows.get(memory);
    if (shadow === undefined) {
      if (this.bytes + byteLength > this.#budget) return undefined;
      shadow = this.#make(memory, byteLength, spare);
      shadow.watch.written();
      copyAll(memory, shadow.memory);
      this.#shadows.set(memory, shadow);
    } else bringUpToDate(memory, shadow);
    shadow.whole = true;
    shadow.handedOver = true;
    const { key, length, dirty } = shadow;
    return { key, length, dirty, memory: shadow.memory };
  }

  /** Of all shadows. */
  get bytes(): number {
    let sum = 0;
    for (const { length } of this.#shadows.values()) sum += length;
    return sum;
  }

  #make(memory: ArrayBufferLike, length: number, spare: Spare[]): Shadow {
    const fitting = spare.findIndex((shadow) => shadow.length === length);
    const windows = fitting < 0 ? undefined : spare.splice(fitting, 1)[0]?.memory;
    const kernel = length < TRACKED_BYTES ? undefined : this.#kernel;
    return {
      key: this.#nextKey++,
      memory: windows ?? newWindows(length),
      length,
      dirty: new Uint8Array(Math.ceil(length / PAGE)).fill(1),
      unlooked: undefined,
      handedOver: true,
      watch: new ChangeWatch(memory, kernel, this.#told.of(memory), (note) => this.#notes.push(note)),
      whole: false,
    };
  }
}

function lengthOf(windows: readonly ArrayBuffer[]): number {
  return windows.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function bringUpToDate(memory: ArrayBufferLike, shadow: Shadow): void {
  const { memory: windows, dirty, watch, whole } = shadow;
  shadow.whole = false;
  const ranges = watch.written();
  if (ranges !== undefined && whole) {
    shadow.unlooked = undefined;
    copyWritten(memory, windows, ranges, dirty);
  } else if (shadow.unlooked !== undefined && ++shadow.unlooked < LOOK_EVERY) {
    copyAll(memory, windows);
    dirty.fill(1);
  } else {
    const changed = copyChanged(memory, windows, dirty);
    shadow.unlooked = changed * 2 > dirty.length ? 0 : undefined;
    watch.compared(changed);
  }
}
