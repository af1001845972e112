/**
 * Shadows: for each large buffer of the program a copy that the writer owns, brought up to date by each capture.
 *
 * A capture compares the buffer with its shadow (coarsely, then page by page where something differs) and copies what
 * changed. Where most of it changes each time, it copies without looking, and looks again now and then.
 *
 * Invariants
 * 1. After a capture a shadow is what the buffer was at that instant, and nobody changes it until it is back from the writer.
 * 2. A page is dirty from the capture that saw it change until an image that holds it is acknowledged.
 * 3. A shadow that does not come back, and that of a buffer that is not captured any more, is forgotten; what has no shadow
 *    is dirty from beginning to end.
 * 4. Shadows are allocated once and kept, because copying into warm pages is many times faster; they are not shared
 *    memory, because copying into that is slower too: they are handed over to the writer's thread and back.
 */
import type { FoundBuffer } from '../codec/contract.js';
import type { ReturnedShadow, StagedBuffer } from './thread-protocol.js';

const PAGE = 4096;
const BLOCK = 16 * PAGE;
/** One typed array spans at most 4 GiB on some versions of Node. */
const WINDOW = 2 ** 30;
/** Smaller buffers are copied and written as a whole. */
const SHADOW_BYTES: number = 2 ** 18;
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
}

type StagedShadow = Pick<StagedBuffer, 'key' | 'length' | 'dirty' | 'memory'>;

export class Shadows {
  readonly #budget: number;
  readonly #shadows = new Map<ArrayBufferLike, Shadow>();
  #nextKey = 1;

  /** @param budget most bytes of all shadows together */
  constructor(budget: number) {
    this.#budget = budget;
  }

  /**
   * Brings the shadows of a capture's buffers up to date; undefined for those that are too small for one, or have no room.
   * Other buffers are the program's no more: what their shadows lay in serves new ones, because it is warm.
   */
  stage(found: readonly FoundBuffer[]): (StagedShadow | undefined)[] {
    const met = new Set(found.map(({ memory }) => memory));
    const spare: Shadow[] = [];
    for (const [memory, shadow] of this.#shadows) {
      shadow.handedOver = false;
      if (met.has(memory)) continue;
      this.#shadows.delete(memory);
      spare.push(shadow);
    }
    return found.map((buffer) => this.#stage(buffer, spare));
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
      if (shadow.memory.some(({ byteLength }) => byteLength === 0)) this.#shadows.delete(memory);
    }
  }

  #stage({ memory, byteLength }: FoundBuffer, spare: Shadow[]): StagedShadow | undefined {
    if (byteLength < SHADOW_BYTES) return undefined;
    let shadow = this.#shadows.get(memory);
    if (shadow !== undefined && shadow.length !== byteLength) {
      this.#shadows.delete(memory);
      shadow = undefined;
    }
    if (shadow === undefined) {
      if (this.bytes + byteLength > this.#budget) return undefined;
      shadow = this.#make(byteLength, spare);
      copyAll(memory, shadow);
      this.#shadows.set(memory, shadow);
    } else bringUpToDate(memory, shadow);
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

  #make(length: number, spare: Shadow[]): Shadow {
    const fitting = spare.findIndex((shadow) => shadow.length === length);
    const memory = fitting < 0 ? newWindows(length) : (spare.splice(fitting, 1)[0]?.memory ?? newWindows(length));
    const dirty = new Uint8Array(Math.ceil(length / PAGE)).fill(1);
    return { key: this.#nextKey++, memory, length, dirty, unlooked: undefined, handedOver: true };
  }
}

function newWindows(length: number): ArrayBuffer[] {
  const memory: ArrayBuffer[] = [];
  for (let at = 0; at < length; at += WINDOW) {
    const size = Math.min(WINDOW, length - at);
    // Resizable memory begins at a page, as direct writing wants it.
    memory.push(new ArrayBuffer(size, { maxByteLength: size }));
  }
  return memory;
}

function copyAll(memory: ArrayBufferLike, { memory: windows }: Shadow): void {
  let at = 0;
  for (const window of windows) {
    new Uint8Array(window).set(new Uint8Array(memory, at, window.byteLength));
    at += window.byteLength;
  }
}

function bringUpToDate(memory: ArrayBufferLike, shadow: Shadow): void {
  if (shadow.unlooked !== undefined && ++shadow.unlooked < LOOK_EVERY) {
    copyAll(memory, shadow);
    shadow.dirty.fill(1);
    return;
  }
  let at = 0;
  let changed = 0;
  for (const window of shadow.memory) {
    changed += copyChanged(Buffer.from(memory, at, window.byteLength), Buffer.from(window), shadow.dirty, at / PAGE);
    at += window.byteLength;
  }
  shadow.unlooked = changed * 2 > shadow.dirty.length ? 0 : undefined;
}

/** @returns how many pages changed */
function copyChanged(live: Buffer, shadow: Buffer, dirty: Uint8Array, firstPage: number): number {
  let changed = 0;
  for (let block = 0; block < live.length; block += BLOCK) {
    const blockEnd = Math.min(block + BLOCK, live.length);
    if (live.compare(shadow, block, blockEnd, block, blockEnd) === 0) continue;
    let from = -1;
    for (let page = block; page < blockEnd; page += PAGE) {
      const end = Math.min(page + PAGE, blockEnd);
      if (live.compare(shadow, page, end, page, end) === 0) {
        if (from >= 0) shadow.set(live.subarray(from, page), from);
        from = -1;
        continue;
      }
      if (from < 0) from = page;
      dirty[firstPage + page / PAGE] = 1;
      changed++;
    }
    if (from >= 0) shadow.set(live.subarray(from, blockEnd), from);
  }
  return changed;
}
