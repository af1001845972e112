/**
 * The run clock: run time summed over all incarnations.
 *
 * Invariants
 * 1. It stands while the program is down, and until start().
 * 2. Within an incarnation it follows the monotonic clock, so it never goes back and no jump of the wall clock moves it.
 */
import { CheckpointError } from '../base/errors.js';
import type { Clock } from '../base/ports.js';

type State =
  | { readonly kind: 'standing'; readonly total: number }
  | { readonly kind: 'running'; readonly total: number; readonly since: number };

export class RunClock {
  readonly #clock: Clock;
  #state: State = { kind: 'standing', total: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Run time so far, ms. This is also what an image records. */
  now(): number {
    const state = this.#state;
    return state.kind === 'standing' ? state.total : state.total + (this.#clock.monotonic() - state.since);
  }

  /**
   * Goes on from what the image recorded (0 for a fresh run).
   * @throws CheckpointError ERR_CKPT_DECODE when `accumulated` is not a time, ERR_CKPT_PHASE when it runs already
   */
  start(accumulated: unknown): void {
    if (this.#state.kind === 'running') throw new CheckpointError('ERR_CKPT_PHASE', 'start the run clock: it runs already');
    if (typeof accumulated !== 'number' || !Number.isFinite(accumulated) || accumulated < 0) {
      const found = JSON.stringify(accumulated) ?? String(accumulated);
      const message = `start the run clock: expected milliseconds of zero or more, found ${found}; choose another image`;
      throw new CheckpointError('ERR_CKPT_DECODE', message);
    }
    this.#state = { kind: 'running', total: accumulated, since: this.#clock.monotonic() };
  }

  /** Stands still from now on. Idempotent. */
  stop(): void {
    this.#state = { kind: 'standing', total: this.now() };
  }
}
