/**
 * The tick: asks the program's next safepoint to let the event loop turn when it may not have turned for a while.
 *
 * A loop whose safepoints return at once never lets signals and timers in. Reading the clock at each safepoint would
 * cost 100 ns and more, so the helper thread raises a flag instead, which costs a plain load.
 *
 * Invariants
 * 1. The flag is raised TURN_MS after the program lowered it.
 * 2. While it is raised the thread sleeps: whoever lowers the flag wakes the waiters of its slot (`Atomics.notify`),
 *    so a program that is idle or busy for long costs nothing.
 */
import { TURN_MS } from '../base/loop-turns.js';
import type { Clock, Timer } from '../base/ports.js';

export class Ticker {
  readonly #clock: Clock;
  readonly #shared: Int32Array;
  readonly #slot: number;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(clock: Clock, shared: Int32Array, slot: number) {
    this.#clock = clock;
    this.#shared = shared;
    this.#slot = slot;
  }

  start(): void {
    const lowered = Atomics.waitAsync(this.#shared, this.#slot, 1);
    if (lowered.async) void lowered.value.then(() => this.#arm());
    else this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    if (this.#stopped) return;
    this.#timer = this.#clock.timer(TURN_MS, () => {
      Atomics.store(this.#shared, this.#slot, 1);
      this.start();
    });
  }
}
