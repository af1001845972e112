/**
 * Bulk memory of which there is no room for a copy: the helper thread asks for it piece by piece while it writes, and the
 * program stands until the last piece was taken.
 *
 * Invariants
 * 1. The program changes nothing between the capture and the moment `take` returns: it stands, and
 *    its event loop does not turn.
 * 2. Two pieces at most are out: the thread asks for the next one when it begins with the one before, and is done with those
 *    before that. Their memory is allocated once and kept.
 * 3. A warning says it once in an incarnation, the results of checkpoints each time (`bytes.uncopied`).
 */
import type { StreamedBuffer } from '../image/contract.js';
import { EXTENT_BYTES } from '../image/format.js';
import type { UncopiedBuffer, WantedPiece } from './thread-protocol.js';

/** Whole extents, so that each is stored before the next piece is asked for. */
const PIECE_BYTES: number = 8 * EXTENT_BYTES;
const PIECES = 2;

/** The side of the program. */
export class Uncopied {
  readonly #memories: ArrayBufferLike[] = [];
  readonly #pieces: SharedArrayBuffer[] = [];
  /** Most bytes of all copies together. */
  readonly budget: number;
  readonly #warn: (message: string) => void;
  #warned = false;
  #turn = 0;
  #left = 0;

  constructor(budget: number, warn: (message: string) => void) {
    this.budget = budget;
    this.#warn = warn;
  }

  add(memory: ArrayBufferLike, length: number): Pick<UncopiedBuffer, 'length' | 'uncopied'> {
    this.#left += length;
    return { length, uncopied: this.#memories.push(memory) - 1 };
  }

  piece({ uncopied, offset, length }: WantedPiece): Uint8Array {
    const memory = this.#memories[uncopied];
    if (memory === undefined) throw new Error('uncopied memory: what is asked for belongs to no capture');
    this.#turn = (this.#turn + 1) % PIECES;
    this.#pieces[this.#turn] ??= new SharedArrayBuffer(PIECE_BYTES);
    const piece = new Uint8Array(this.#pieces[this.#turn] ?? new SharedArrayBuffer(length), 0, length);
    piece.set(new Uint8Array(memory, offset, length));
    this.#left -= length;
    return piece;
  }

  /** Until the thread has all of it, or the job is over. */
  take(over: () => boolean, waitSync: (settled: () => boolean) => void): void {
    if (!this.#warned)
      this.#warn(
        `checkpoint: copies of ${inMiB(this.#left)} of the state do not fit memoryBudget (${inMiB(this.budget)}); the program stands while they are written; ` +
          'raise memoryBudget where there is memory for it',
      );
    this.#warned = true;
    waitSync(() => this.#left === 0 || over());
  }

  /** The capture is over, well or not. */
  recycle(): void {
    this.#memories.length = 0;
    this.#left = 0;
  }
}

/** The side of the thread. */
export class Wanting {
  readonly #ask: (wanted: WantedPiece) => void;
  #got: ((piece: Uint8Array) => void) | undefined;

  constructor(ask: (wanted: WantedPiece) => void) {
    this.#ask = ask;
  }

  got(piece: Uint8Array): void {
    this.#got?.(piece);
  }

  /** A buffer as the writer of images takes it. */
  streamed({ uncopied, ...buffer }: UncopiedBuffer): StreamedBuffer {
    return { ...buffer, chunks: this.#pieces(uncopied, buffer.length) };
  }

  async *#pieces(uncopied: number, whole: number): AsyncGenerator<Uint8Array> {
    let next = this.#want(uncopied, 0, whole);
    for (let offset = PIECE_BYTES; ; offset += PIECE_BYTES) {
      const piece = await next;
      if (offset < whole) next = this.#want(uncopied, offset, whole);
      yield piece;
      if (offset >= whole) return;
    }
  }

  #want(uncopied: number, offset: number, whole: number): Promise<Uint8Array> {
    return new Promise((resolve) => {
      this.#got = resolve;
      this.#ask({ uncopied, offset, length: Math.min(PIECE_BYTES, whole - offset) });
    });
  }
}

function inMiB(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

export function isUncopied(buffer: object): buffer is UncopiedBuffer {
  return 'uncopied' in buffer;
}
