/**
 * Write-behind: what the program writes is gathered in memory and written at explicit positions in the background.
 *
 * Invariants
 * 1. Positions are explicit (pwrite) and what was queued never changes, so writing a block twice gives the same file, and
 *    a capture needs no copies: blocks lie in memory that is shared with the helper thread.
 * 2. Memory is bounded: `write` returns a promise above SOFT_LIMIT; a program that ignores it, or never lets the event loop
 *    turn, is made to wait at HARD_LIMIT by a synchronous write.
 * 3. The first failure is final: every later write, flush and capture meets it.
 * 4. Nothing is written once `allowed` refuses (a fenced program).
 * 5. Each text is encoded by itself: half a surrogate pair becomes U+FFFD, also when the next text begins with the other
 *    half. So the bytes do not depend on when something is written.
 */
import type { Clock, OpenFile, Timer } from '../base/ports.js';
import { BlockMemory, type Memory } from './block-memory.js';
import { type Block, BlockQueue } from './block-queue.js';
import { writeWhole, writeWholeSync } from './bytes.js';
import type { PendingWrite } from './contract.js';

const SOFT_LIMIT = 1024 * 1024;
const HARD_LIMIT = 8 * SOFT_LIMIT;
/** What is gathered is written after this time at the latest, for people who look at the file. */
const LINGER_MS = 1_000;
/** The most bytes one UTF-16 unit can take in UTF-8. */
const UTF8_WORST = 3;

export interface WriteBehindParts {
  readonly clock: Clock;
  /** Throws, or rejects, when this life must not write any more. */
  readonly allowed: () => Promise<void> | undefined;
  /** The same without a turn of the event loop. */
  readonly allowedSync: () => void;
  /** Waits until `hold` has ended, without a turn of the event loop. */
  readonly waitReleased: (released: () => boolean) => void;
  /** Turns what a write failed with into an error that names the file. */
  readonly failure: (cause: unknown) => unknown;
  /** What to say of a program that writes more than HARD_LIMIT before the file is open. */
  readonly notOpen: () => Error;
}

export class WriteBehind {
  readonly #parts: WriteBehindParts;
  #file: OpenFile | undefined;
  /** Where the first byte goes: unknown until the file is open. */
  #base = Number.NaN;
  /** The memory being filled: [#start, #end) of it is not in the queue yet. */
  readonly #pool = new BlockMemory();
  #memory: Memory | undefined;
  #start = 0;
  #end = 0;
  /** Where the next byte goes, and the end of what was written, from #base on. */
  #position = 0;
  #highest = 0;
  readonly #queue = new BlockQueue();
  /** The block that the system is writing now. */
  #writing: Block | undefined;
  #pumping = false;
  #held = false;
  #failure: { readonly error: unknown } | undefined;
  #linger: Timer | undefined;
  #pressure: Promise<void> | undefined;

  constructor(parts: WriteBehindParts) {
    this.#parts = parts;
  }

  /** The file is open and the first byte goes to `base`; writing begins. */
  open(file: OpenFile, base: number): void {
    this.#file = file;
    this.#base = base;
    this.#pump();
  }

  /** Nothing more can be written: everything that is asked for meets this. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#linger?.cancel();
    this.#queue.giveUp(this.#failure.error);
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#base + this.#position;
  }

  /** The end of what was written; `base` before anything was. */
  get end(): number {
    return this.#base + this.#highest;
  }

  /** Whether anything was written. */
  get isUsed(): boolean {
    return this.#highest > 0;
  }

  /** Goes on elsewhere in the file. */
  seek(position: number): void {
    if (position === this.position) return;
    this.#submit();
    this.#position = position - this.#base;
  }

  /** @returns a promise under back pressure */
  write(data: string | Uint8Array): Promise<void> | undefined {
    this.#assertSound();
    if (this.#queue.bytes >= HARD_LIMIT) this.#force();
    const length = typeof data === 'string' ? this.#writeText(data) : this.#writeBytes(data);
    if (length > 0 && this.#position > this.#highest) this.#highest = this.#position;
    this.#linger ??= this.#parts.clock.timer(LINGER_MS, () => {
      this.#linger = undefined;
      this.#submit();
    });
    return this.#queue.bytes < SOFT_LIMIT ? undefined : this.#underPressure();
  }

  /** All that may not be in the file yet, in order; never changed after (invariant 1). */
  pending(): PendingWrite[] {
    this.#assertSound();
    this.#pool.lend();
    const blocks = this.#queue.blocks.map(({ position, bytes }) => ({ position: position + this.#base, bytes }));
    if (this.#memory === undefined || this.#end === this.#start) return blocks;
    const bytes = this.#memory.bytes.subarray(this.#start, this.#end);
    return [...blocks, { position: this.position - bytes.byteLength, bytes }];
  }

  /** Resolves when everything written so far is in the file (not yet durable). */
  async flush(): Promise<void> {
    this.#submit();
    this.#assertSound();
    await this.#queue.written();
  }

  /** Like flush, for the last time. */
  async close(): Promise<void> {
    this.#linger?.cancel();
    await this.flush();
  }

  /** Like flush, without a turn of the event loop, for an exit and for programs that ignore back pressure. */
  flushSync(): void {
    this.#submit(false);
    this.#assertSound();
    const file = this.#file;
    if (file === undefined || this.#queue.blocks.length === 0) return;
    if (this.#held) this.#parts.waitReleased(() => !this.#held); // an exit too must not write into what is being copied
    try {
      this.#parts.allowedSync();
      for (const { position, bytes } of this.#queue.blocks) writeWholeSync(file, bytes, position + this.#base);
    } catch (cause) {
      this.fail(this.#parts.failure(cause));
      this.#assertSound();
    }
    if (this.#writing !== undefined) this.#queue.shiftAllBehindFirst();
    else while (this.#queue.blocks.length > 0) this.#done();
  }

  /** Holds back writing while the content of the file is being copied. */
  hold(on: boolean): void {
    this.#held = on;
    if (!on) this.#pump();
  }

  /** @returns bytes gathered */
  #writeText(text: string): number {
    const worst = text.length * UTF8_WORST;
    if (worst > BlockMemory.SIZE) return this.#writeBytes(Buffer.from(text, 'utf8'));
    const length = this.#room(worst).bytes.write(text, this.#end, 'utf8');
    this.#end += length;
    this.#position += length;
    return length;
  }

  #writeBytes(data: Uint8Array): number {
    for (let done = 0; done < data.byteLength; ) {
      const { bytes } = this.#room(1);
      const length = Math.min(data.byteLength - done, bytes.byteLength - this.#end);
      bytes.set(data.subarray(done, done + length), this.#end);
      this.#end += length;
      this.#position += length;
      done += length;
    }
    return data.byteLength;
  }

  /** Memory with room for that many bytes. */
  #room(length: number): Memory {
    if (this.#memory !== undefined && this.#memory.bytes.byteLength - this.#end >= length) return this.#memory;
    this.#submit(true, this.#memory);
    this.#memory = this.#pool.take();
    this.#start = 0;
    this.#end = 0;
    return this.#memory;
  }

  /** Hands what is gathered to the queue. */
  #submit(pump = true, last?: Memory): void {
    if (this.#memory !== undefined && this.#end > this.#start) {
      const bytes = this.#memory.bytes.subarray(this.#start, this.#end);
      if (this.#failure === undefined) this.#queue.push({ position: this.#position - bytes.byteLength, bytes, last });
      this.#start = this.#end;
    }
    if (pump) this.#pump();
  }

  #pump(): void {
    if (this.#pumping || this.#file === undefined || this.#queue.bytes === 0 || this.#held) return;
    this.#pumping = true;
    void this.#writeQueue(this.#file);
  }

  async #writeQueue(file: OpenFile): Promise<void> {
    try {
      for (;;) {
        await this.#parts.allowed();
        const [block] = this.#queue.blocks; // only now: flushSync may have come between, or a hold
        if (block === undefined || this.#held) return;
        this.#writing = block;
        await writeWhole(file, block.bytes, block.position + this.#base);
        this.#writing = undefined;
        this.#done();
      }
    } catch (cause) {
      this.#writing = undefined;
      this.fail(this.#parts.failure(cause));
    } finally {
      this.#pumping = false;
    }
  }

  #done(): void {
    const block = this.#queue.shift();
    if (block?.last !== undefined) this.#pool.giveBack(block.last);
  }

  #force(): void {
    if (this.#file === undefined) throw this.#parts.notOpen();
    this.flushSync();
  }

  #underPressure(): Promise<void> {
    if (this.#pressure === undefined) {
      const eased = this.#queue.written(SOFT_LIMIT / 2).finally(() => {
        if (this.#pressure === eased) this.#pressure = undefined;
      });
      eased.catch(() => {}); // a program that ignores it meets the failure at its next call
      this.#pressure = eased;
    }
    return this.#pressure;
  }

  #assertSound(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/** What was written is in the file before it is read back. */
export function readBehind(writer: WriteBehind, file: OpenFile): Pick<OpenFile, 'read'> {
  return {
    read: async (target, offset, length, position) => {
      await writer.flush();
      return await file.read(target, offset, length, position);
    },
  };
}
