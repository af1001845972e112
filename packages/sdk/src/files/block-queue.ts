/**
 * The blocks of a file that wait to be written, in order, and who waits for them.
 *
 * Invariants
 * 1. A block never changes once it is here. The first may be on its way to the system; the others are not.
 * 2. Who waits is told once what he waits for has left the queue, or when the queue is given up.
 */
import { BlockMemory, type Memory } from './block-memory.js';

export interface Block {
  readonly position: number;
  readonly bytes: Uint8Array;
  /** The memory that may be used again once this block, its last, is in the file. */
  readonly last?: Memory | undefined;
}

interface Waiting {
  readonly until: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class BlockQueue {
  #blocks: Block[] = [];
  /** Bytes that ever came here, and those still here. */
  #submitted = 0;
  #bytes = 0;
  #waiting: Waiting[] = [];

  get blocks(): readonly Block[] {
    return this.#blocks;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(block: Block): void {
    this.#blocks.push(block);
    this.#submitted += block.bytes.byteLength;
    this.#bytes += block.bytes.byteLength;
  }

  /** The first block is in the file. */
  shift(): Block | undefined {
    const block = this.#blocks.shift();
    this.#bytes -= block?.bytes.byteLength ?? 0;
    this.#tell();
    return block;
  }

  /**
   * All blocks are in the file, but the first, which was on its way to the system before, may land on what was written
   * over it just now: its range is written once more behind it, as it is now.
   */
  shiftAllBehindFirst(): void {
    const [first, ...later] = this.#blocks;
    if (first === undefined) return;
    this.#blocks = [first];
    this.#bytes = first.bytes.byteLength;
    const again = overlaid(first, later);
    if (again !== undefined) this.push(again);
    this.#tell();
  }

  /** Resolves when all but `left` of the bytes that came so far are in the file. */
  written(left = 0): Promise<void> {
    const until = this.#submitted - left;
    if (this.#submitted - this.#bytes >= until) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiting.push({ until, resolve, reject }));
  }

  giveUp(error: unknown): void {
    this.#blocks = [];
    this.#bytes = 0;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #tell(): void {
    if (this.#waiting.length === 0) return;
    const written = this.#submitted - this.#bytes;
    const over = this.#waiting.filter(({ until }) => until <= written);
    this.#waiting = this.#waiting.filter(({ until }) => until > written);
    for (const { resolve } of over) resolve();
  }
}

/** What the range of `under` holds once `later` were written over it; undefined when they do not touch it. */
function overlaid(under: Block, later: readonly Block[]): Block | undefined {
  const end = under.position + under.bytes.byteLength;
  const over = later.filter(({ position, bytes }) => position < end && position + bytes.byteLength > under.position);
  if (over.length === 0) return undefined;
  const bytes = BlockMemory.copyOf(under.bytes);
  for (const { position, bytes: newer } of over) {
    const from = Math.max(position, under.position);
    const to = Math.min(position + newer.byteLength, end);
    bytes.set(newer.subarray(from - position, to - position), from - under.position);
  }
  return { position: under.position, bytes };
}
