/**
 * A sink for files that may be large: from the second piece on, whole pieces go past the page cache (O_DIRECT), two in flight,
 * while the next is put together. The first piece, what is left at the end, and everything where the file system
 * refuses, is written the ordinary way.
 *
 * Invariants
 * 1. What is handed over is copied or written when `write` resolves: the caller may use its memory again.
 * 2. A write that failed is told by the next call, at the latest by `end`; after `end` nothing is in flight.
 * 3. Nothing is less durable than without it: the file is fsynced afterwards, through whichever handle.
 */
import { constants } from 'node:fs';
import { systemCode } from '../base/errors.js';
import type { FileSystem, OpenFile } from '../base/ports.js';
import type { ByteSink } from '../image/contract.js';
import type { BusyTime } from './busy-time.js';
import { quietly } from './failure.js';

const PIECE_BYTES = 4 * 2 ** 20;
const IN_FLIGHT = 2;
/** Absent where there is no such flag. */
const O_DIRECT: number = constants.O_DIRECT ?? 0;
const NO_FOLLOW: number = constants.O_NOFOLLOW ?? 0;
/** How file systems say that they do not write past the cache, or not from this memory or to this place. */
const REFUSALS: ReadonlySet<string | undefined> = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP']);

/** Pieces that nobody uses: kept, because memory is slow when it is new. */
const free: Uint8Array[] = [];

function takePiece(): Uint8Array {
  // Resizable memory begins at a page, which is what O_DIRECT needs.
  return free.pop() ?? new Uint8Array(new ArrayBuffer(PIECE_BYTES, { maxByteLength: PIECE_BYTES }), 0, PIECE_BYTES);
}

function givePiece(piece: Uint8Array): void {
  if (free.length <= IN_FLIGHT) free.push(piece);
}

/** Writes all of `chunk` at `start`; rejects when the file takes no more. */
export type WriteAll = (file: OpenFile, chunk: Uint8Array, start: number) => Promise<unknown>;

export class PieceSink implements ByteSink {
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #file: OpenFile;
  readonly #writeAll: WriteAll;
  readonly #busy: BusyTime | undefined;
  readonly #flying = new Set<Promise<void>>();
  #direct: Promise<OpenFile> | undefined;
  #refused = O_DIRECT === 0;
  #failure: { readonly error: unknown } | undefined;
  #piece: Uint8Array | undefined;
  #used = 0;
  /** Where the piece begins in the file. */
  #start = 0;

  /**
   * @param file the file at `path`, new and open for writing
   * @param busy counts the time that writes take
   */
  constructor(fs: FileSystem, path: string, file: OpenFile, writeAll: WriteAll, busy?: BusyTime) {
    this.#fs = fs;
    this.#path = path;
    this.#file = file;
    this.#writeAll = busy === undefined ? writeAll : (...write) => busy.during(() => writeAll(...write));
    this.#busy = busy;
  }

  async write(chunk: Uint8Array): Promise<void> {
    let at = Math.min(Math.max(PIECE_BYTES - this.#start, 0), chunk.length);
    if (at > 0) {
      await this.#writeAll(this.#file, chunk.subarray(0, at), this.#start);
      this.#start += at;
    }
    while (at < chunk.length) {
      this.#piece ??= takePiece();
      const part = chunk.subarray(at, at + PIECE_BYTES - this.#used);
      this.#piece.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
      if (this.#used === PIECE_BYTES) await this.#launch(this.#piece);
    }
  }

  /** Writes what is left and waits for everything. @returns the size of the file */
  async end(): Promise<number> {
    await Promise.all(this.#flying);
    this.#throwFailure();
    if (this.#piece !== undefined) await this.#writeAll(this.#file, this.#piece.subarray(0, this.#used), this.#start);
    return this.#start + this.#used;
  }

  /** After `end`, or after a failure. */
  async close(): Promise<void> {
    await Promise.all(this.#flying);
    if (this.#piece !== undefined) givePiece(this.#piece);
    this.#piece = undefined;
    const direct = this.#direct;
    this.#direct = undefined;
    if (direct !== undefined) await quietly(async () => (await direct).close());
  }

  async #launch(piece: Uint8Array): Promise<void> {
    const start = this.#start;
    this.#piece = undefined;
    this.#used = 0;
    this.#start += PIECE_BYTES;
    while (this.#flying.size >= IN_FLIGHT) await Promise.race(this.#flying);
    this.#throwFailure();
    const flight: Promise<void> = this.#writePiece(piece, start)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#flying.delete(flight);
        givePiece(piece);
      });
    this.#flying.add(flight);
  }

  async #writePiece(piece: Uint8Array, start: number): Promise<void> {
    const done = await this.#writeDirect(piece, start);
    if (done < PIECE_BYTES) await this.#writeAll(this.#file, piece.subarray(done), start + done);
  }

  /** @returns how much was written; what a short write leaves is not aligned any more and goes the ordinary way */
  async #writeDirect(piece: Uint8Array, start: number): Promise<number> {
    if (this.#refused) return 0;
    try {
      this.#direct ??= this.#fs.open(this.#path, constants.O_WRONLY | O_DIRECT | NO_FOLLOW);
      const direct = await this.#direct;
      const write = (): Promise<number> => direct.write(piece, 0, PIECE_BYTES, start);
      return await (this.#busy === undefined ? write() : this.#busy.during(write));
    } catch (error) {
      if (!REFUSALS.has(systemCode(error))) throw error;
      this.#refused = true;
      return 0;
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
