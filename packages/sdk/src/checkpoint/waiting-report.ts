/**
 * Tells, while a checkpoint waits for a task to come to a safepoint, that it waits and for whom.
 *
 * Invariants
 * 1. One report per period; none once everybody stands. A single task is waited for without limit.
 */
import type { Clock, Timer } from '../base/ports.js';

export class WaitingReport {
  readonly #clock: Clock;
  readonly #everyMs: number;
  #timer: Timer | undefined;

  constructor(clock: Clock, everyMs: number) {
    this.#clock = clock;
    this.#everyMs = everyMs;
  }

  start(report: (sinceMs: number) => void): void {
    const since = this.#clock.monotonic();
    const arm = (): void => {
      this.#timer = this.#clock.timer(this.#everyMs, () => {
        arm();
        report(this.#clock.monotonic() - since);
      });
    };
    this.stop();
    arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
