/**
 * Holding the event loop: an awaited call of ours, or a commit under way, keeps the process alive.
 *
 * Invariants
 * 1. Nothing is held when nobody waits: a program whose work is done ends by itself.
 */
import type { Clock, Timer } from '../base/ports.js';

const LONG = 2 ** 30;

export class KeepAlive {
  readonly #clock: Clock;
  #holders = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async during<T>(work: PromiseLike<T>): Promise<T> {
    this.hold();
    try {
      return await work;
    } finally {
      this.release();
    }
  }

  hold(): void {
    this.#holders++;
    if (this.#timer === undefined) this.#arm();
  }

  release(): void {
    this.#holders--;
    if (this.#holders > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#clock.timer(LONG, () => this.#arm());
    this.#timer.keepAlive(true);
  }
}
