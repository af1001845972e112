/**
 * Time for what forked members send after a checkpoint, where the program's steps are long.
 *
 * A turn of the event loop reads what a stream holds at that moment, much less than a MiB. A program that lets it turn once in a
 * step would commit after as many steps as its members have pieces.
 *
 * Invariants
 * 1. Only a safepoint that lets the event loop turn anyway reads on, and only while there is something to come.
 * 2. Reading takes at most one part in SHARE of the time since it last did, and no more than MOST_MS at a time.
 */
import type { Clock } from '../base/ports.js';

/** About what a program loses of its speed while an image is written beside it. */
const SHARE = 5;
const MOST_MS = 200;

export class ReadingOn {
  readonly #clock: Clock;
  readonly #incoming: () => boolean;
  #last: number;

  constructor(clock: Clock, incoming: () => boolean) {
    this.#clock = clock;
    this.#incoming = incoming;
    this.#last = clock.monotonic();
  }

  /** Lets the event loop turn for a while; undefined where nothing is to come. */
  whileIncoming(): Promise<void> | undefined {
    return this.#incoming() ? this.#read() : undefined;
  }

  async #read(): Promise<void> {
    const began = this.#clock.monotonic();
    const until = began + Math.min(MOST_MS, (began - this.#last) / SHARE);
    while (this.#incoming() && this.#clock.monotonic() < until) await new Promise((resolve) => setImmediate(resolve));
    this.#last = this.#clock.monotonic();
  }
}
