/**
 * How long those who stand wait for the others.
 *
 * Invariants
 * 1. It runs from the first stop, once a checkpoint.
 */
import { CheckpointError } from '../base/errors.js';
import type { Clock, Timer } from '../base/ports.js';
import type { Missing } from './safepoint.js';

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

export function quiesceTimedOut(ms: number, missing: readonly Missing[]): CheckpointError {
  const who = missing.map(({ task, lastSafepoint }) => `'${task}' (${lastSafepoint})`).join(', ');
  return new CheckpointError(
    'ERR_CKPT_TIMEOUT',
    `checkpoint: not everybody came to a safepoint within ${ms} ms of the first: ${who} did not; let it come to safepoints more often, ` +
      'wrap what it waits for in safe(), pass the step to safepoint(step), or raise quiesceTimeout. Nothing was written, everybody goes on',
    { phase: 'quiesce', missing, ...(missing[0] === undefined ? {} : { member: missing[0].task }) },
  );
}
