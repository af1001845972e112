/**
 * Bytes that follow a frame in pieces: one end sends deliveries one after the other, the other fills memory with them.
 *
 * Invariants
 * 1. One piece at a time is in the stream, and the next is handed to it when that has left: whatever else is written waits
 *    behind one piece, and no more memory is taken than for that.
 * 2. What is sent is read where it lies until it has left: whoever owns that memory leaves it alone until then, or drops the delivery.
 * 3. A delivery that was dropped, at either end, is over: its pieces that still come are not kept.
 */
import type { Writable } from 'node:stream';
import { encodeHead } from './frames.js';

export const PIECE_BYTES: number = 2 ** 18;

interface Sending {
  readonly number: number;
  readonly windows: readonly Uint8Array[];
  /** Sent whatever comes. */
  readonly kept: boolean;
  /** The next byte: of which window, at which offset. */
  window: number;
  offset: number;
}

export class DeliverySender {
  readonly #stream: Writable;
  #queue: Sending[] = [];
  #held: Sending | undefined;
  #sending = false;
  #sent = 0;
  #whenIdle: (() => void)[] = [];

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  /**
   * Sends in the background; what is not kept, from `begin` on. A delivery that is not kept takes the place of one before: that is
   * not wanted any more.
   * @returns its number, to be told in the frame that is written at once
   */
  send(windows: readonly Uint8Array[], kept: boolean): number {
    if (!kept) this.drop();
    const number = ++this.#sent;
    const sending = { number, windows: windows.filter(({ length }) => length > 0), kept, window: 0, offset: 0 };
    if (kept) {
      this.#queue.push(sending);
      this.#wake();
    } else this.#held = sending;
    return number;
  }

  /** What was held goes on its way. */
  begin(): void {
    if (this.#held !== undefined) this.#queue.push(this.#held);
    this.#held = undefined;
    this.#wake();
  }

  #wake(): void {
    if (!this.#sending) setImmediate(() => this.#next());
    this.#sending = true;
  }

  /** Nobody waits any more for what is not kept. */
  drop(): void {
    this.#held = undefined;
    this.#queue = this.#queue.filter(({ kept }) => kept);
  }

  /** Calls once all is handed to the stream. */
  whenIdle(call: () => void): void {
    if (this.#sending) this.#whenIdle.push(call);
    else call();
  }

  #next(): void {
    const sending = this.#queue[0];
    if (sending === undefined || this.#stream.destroyed) {
      this.#sending = false;
      for (const call of this.#whenIdle.splice(0)) call();
      return;
    }
    const piece = nextPiece(sending);
    if (piece.length === 0) {
      this.#queue.shift();
      this.#next();
      return;
    }
    this.#stream.cork();
    this.#stream.write(encodeHead(piece.length, sending.number));
    this.#stream.write(piece, () => this.#next());
    this.#stream.uncork();
  }
}

/** Up to a piece of what is left: a window's own memory, or a copy where several windows go into one piece. */
function nextPiece(sending: Sending): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  while (length < PIECE_BYTES) {
    const window = sending.windows[sending.window];
    if (window === undefined) break;
    const part = window.subarray(sending.offset, sending.offset + PIECE_BYTES - length);
    parts.push(part);
    length += part.length;
    sending.offset += part.length;
    if (sending.offset < window.length) continue;
    sending.window++;
    sending.offset = 0;
  }
  return parts.length === 1 ? (parts[0] ?? new Uint8Array()) : Buffer.concat(parts, length);
}

interface Filling {
  readonly windows: readonly Uint8Array[];
  readonly kept: boolean;
  readonly filled: () => void;
  window: number;
  offset: number;
}

export class DeliveryReceiver {
  readonly #fillings = new Map<number, Filling>();

  /**
   * Fills these windows with what comes; `filled` is called once it has, at once where there is nothing to come.
   * A delivery that is not kept takes the place of one before.
   */
  expect(delivery: number, windows: readonly Uint8Array[], { kept, filled }: Pick<Filling, 'kept' | 'filled'>): void {
    if (!kept) this.drop();
    const filling = { windows: windows.filter(({ length }) => length > 0), kept, filled, window: 0, offset: 0 };
    if (filling.windows.length === 0) filled();
    else this.#fillings.set(delivery, filling);
  }

  drop(): void {
    for (const [delivery, { kept }] of this.#fillings) if (!kept) this.#fillings.delete(delivery);
  }

  take(delivery: number, bytes: Uint8Array): void {
    const filling = this.#fillings.get(delivery);
    if (filling === undefined) return;
    for (let at = 0; at < bytes.length; ) {
      const window = filling.windows[filling.window];
      if (window === undefined) throw new Error('a delivery has more bytes than were told of');
      const part = bytes.subarray(at, at + window.length - filling.offset);
      window.set(part, filling.offset);
      at += part.length;
      filling.offset += part.length;
      if (filling.offset < window.length) continue;
      filling.window++;
      filling.offset = 0;
    }
    if (filling.window < filling.windows.length) return;
    this.#fillings.delete(delivery);
    filling.filled();
  }
}
