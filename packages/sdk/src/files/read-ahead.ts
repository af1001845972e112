/**
 * Reading a file ahead from a position on, and cutting what was read into pieces and lines.
 *
 * Invariants
 * 1. Lines are split at the byte 0x0A and decoded whole, so that no UTF-8 sequence is ever split.
 * 2. `next` moves only by what was cut off; a read that failed leaves it where it was.
 * 3. Reads grow from FIRST_READ to LARGEST_READ while one follows the other, and only then is the next one begun before it
 *    is wanted: a reader that jumps about reads little too much. A line is searched once, however long it is.
 */
import type { OpenFile } from '../base/ports.js';

const FIRST_READ = 16 * 1024;
const LARGEST_READ = 256 * 1024;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

export class ReadAhead {
  readonly #source: Pick<OpenFile, 'read'>;
  /** Bytes of the file that were read ahead; the first of them lies at #at. */
  #ahead: Buffer = Buffer.alloc(0);
  #at: number;
  #next: number;
  #step: number = FIRST_READ;
  readonly #prefetch: boolean;
  /** What is being read behind #ahead. */
  #coming: Promise<Buffer> | undefined;

  /** @param prefetch whether the next read may begin before it is wanted: not where the program changes the file itself */
  constructor(source: Pick<OpenFile, 'read'>, position: number, prefetch: boolean) {
    this.#source = source;
    this.#prefetch = prefetch;
    this.#at = position;
    this.#next = position;
  }

  /** Position of what is cut off next. */
  get next(): number {
    return this.#next;
  }

  /** The next line without its end, if all of it was read ahead. */
  readyLine(): string | undefined {
    const start = this.#next - this.#at;
    const newline = this.#ahead.indexOf(NEWLINE, start);
    return newline < 0 ? undefined : this.#cutLine(start, newline);
  }

  /** The next line without its end (LF or CRLF); undefined at the end of the file. */
  async line(): Promise<string | undefined> {
    for (let searched = this.#next; ; ) {
      const newline = this.#ahead.indexOf(NEWLINE, searched - this.#at);
      if (newline >= 0) return this.#cutLine(this.#next - this.#at, newline);
      searched = this.#at + this.#ahead.byteLength;
      if ((await this.#readMore(searched - this.#next)) > 0) continue;
      if (searched === this.#next) return undefined;
      const rest = this.#ahead.toString('utf8', this.#next - this.#at);
      this.#next = searched;
      return rest;
    }
  }

  /** The next `length` bytes, if all of them were read ahead. */
  readyPiece(length: number): Buffer | undefined {
    return this.#at + this.#ahead.byteLength >= this.#next + length ? this.#cutPiece(length) : undefined;
  }

  /** The next `length` bytes; fewer only at the end of the file. */
  async piece(length: number): Promise<Buffer> {
    for (;;) {
      const missing = this.#next + length - (this.#at + this.#ahead.byteLength);
      if (missing <= 0 || (await this.#readMore(Math.min(missing, this.#ahead.byteLength))) === 0) return this.#cutPiece(length);
    }
  }

  #cutLine(start: number, newline: number): string {
    const end = newline > start && this.#ahead[newline - 1] === RETURN ? newline - 1 : newline;
    this.#next = this.#at + newline + 1;
    return this.#ahead.toString('utf8', start, end);
  }

  /** A copy: what was read ahead is not the program's to change. */
  #cutPiece(length: number): Buffer {
    const start = this.#next - this.#at;
    const piece = Buffer.from(this.#ahead.subarray(start, start + length));
    this.#next += piece.byteLength;
    return piece;
  }

  /** Reads at least `wanted` more bytes, if they are there, and drops what was cut off. @returns bytes read */
  async #readMore(wanted: number): Promise<number> {
    const length = Math.max(this.#step, wanted);
    const kept = this.#ahead.subarray(this.#next - this.#at);
    const position = this.#next + kept.byteLength;
    const more = (await this.#arrived()) ?? (await this.#read(position, length));
    this.#ahead = kept.byteLength === 0 ? more : Buffer.concat([kept, more]);
    this.#at = this.#next;
    if (this.#prefetch && this.#step === LARGEST_READ && more.byteLength === length) {
      this.#coming = this.#read(position + more.byteLength, LARGEST_READ);
      this.#coming.catch(() => {}); // read again when it is wanted
    }
    this.#step = Math.min(this.#step * 4, LARGEST_READ);
    return more.byteLength;
  }

  /** What was read before it was wanted; undefined when nothing was, or it failed, or the file ended there then. */
  async #arrived(): Promise<Buffer | undefined> {
    const coming = this.#coming;
    this.#coming = undefined;
    const bytes = await coming?.catch(() => undefined);
    return bytes === undefined || bytes.byteLength === 0 ? undefined : bytes;
  }

  async #read(position: number, length: number): Promise<Buffer> {
    const memory = Buffer.allocUnsafeSlow(length);
    return memory.subarray(0, await this.#source.read(memory, 0, length, position));
  }
}
