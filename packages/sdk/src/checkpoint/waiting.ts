/**
 * Waiting for those that have not come to a safepoint: telling that, and for how long.
 *
 * Invariants
 * 1. One report per period, from the request on; none once everybody stands. A single task is waited for without limit.
 * 2. Whoever stands waits for the others for one period, from the first stop on; it is told once a checkpoint that it is over.
 */
import { CheckpointError, type Missing } from '../base/errors.js';
import type { Clock, Timer } from '../base/ports.js';

export class Waiting {
  readonly #clock: Clock;
  readonly #ms: number;
  #report: Timer | undefined;
  #patience: Timer | undefined;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  begin(report: (sinceMs: number) => void): void {
    this.end();
    const since = this.#clock.monotonic();
    const arm = (): void => {
      this.#report = this.#clock.timer(this.#ms, () => {
        arm();
        report(this.#clock.monotonic() - since);
      });
    };
    arm();
  }

  /** Somebody stands (invariant 2). */
  somebodyStands(over: () => void): void {
    this.#patience ??= this.#clock.timer(this.#ms, over);
  }

  end(): void {
    this.#report?.cancel();
    this.#patience?.cancel();
    this.#report = undefined;
    this.#patience = undefined;
  }
}

export function quiesceTimedOut(ms: number, missing: readonly Missing[]): CheckpointError {
  const who = missing
    .map(({ task, registeredAt, sinceMs, lastSafepoint }) => `'${task}' (from ${registeredAt}, asked ${sinceMs} ms ago: ${lastSafepoint})`)
    .join(', ');
  return new CheckpointError(
    'ERR_CKPT_TIMEOUT',
    `checkpoint: not everybody came to a safepoint within ${ms} ms of the first: ${who} did not; let it come to safepoints more often, ` +
      'wrap what it waits for in safe(), pass the step to safepoint(step), or raise quiesceTimeout. Nothing was written, everybody goes on',
    { phase: 'quiesce', missing, ...(missing[0] === undefined ? {} : { member: missing[0].task }) },
  );
}
