/**
 * How long at least one of several operations was under way: what the disk took, whatever else was done meanwhile.
 */
import type { Clock } from '../base/ports.js';

export class BusyTime {
  readonly #clock: Clock;
  #under = 0;
  #since = 0;
  #ms = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Of what has ended. */
  get ms(): number {
    return this.#ms;
  }

  async during<T>(operation: () => Promise<T>): Promise<T> {
    if (this.#under++ === 0) this.#since = this.#clock.monotonic();
    try {
      return await operation();
    } finally {
      if (--this.#under === 0) this.#ms += this.#clock.monotonic() - this.#since;
    }
  }
}
