/**
 * How long those who stand wait for the others.
 *
 * Invariants
 * 1. It runs from the first stop, once a checkpoint.
 */
import type { Clock, Timer } from '../base/ports.js';

export class Patience {
  readonly #clock: Clock;
  readonly #ms: number;
  #timer: Timer | undefined;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  begin(over: () => void): void {
    this.#timer ??= this.#clock.timer(this.#ms, over);
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
