/**
 * Checkpoints by the clock: one every so often, measured from the start of the last capture.
 *
 * Invariants
 * 1. Any capture counts, whatever asked for it: the next one is due `every` ms after it began.
 * 2. One request at a time: after a sleep of the machine or a blocked loop there is one to catch up, not many.
 * 3. Only the monotonic clock is read, so a jump of the wall clock changes nothing.
 * 4. The timer never keeps the process alive, and an interval may be longer than setTimeout's limit (Clock.timer).
 * 5. A request that failed counts like a capture: the next try comes `every` ms after the failure.
 * 6. A pace decides anew how long to wait whenever it is told to (`reconsider`), always from the last capture on.
 */
import type { Clock, Timer } from '../base/ports.js';
import type { Ask } from '../checkpoint/request.js';

/** Says when a capture is due after one that began at `since`; monotonic ms. */
export interface Pace {
  due(since: number): number;
}

export interface PacingOptions {
  /** Interval in milliseconds, more than zero; or what decides. */
  readonly every: number | Pace;
  readonly clock: Clock;
  readonly ask: Ask;
}

type State =
  | { readonly kind: 'waiting'; readonly since: number; readonly timer: Timer }
  | { readonly kind: 'asked' }
  | { readonly kind: 'closed' };

export class Pacing {
  readonly #pace: Pace;
  readonly #clock: Clock;
  readonly #ask: Ask;
  #state: State;

  /** The first interval begins now. @throws TypeError when `every` is not a number above zero */
  constructor({ every, clock, ask }: PacingOptions) {
    if (typeof every === 'number' && !(every > 0)) throw new TypeError(`every: expected a duration above zero, got ${String(every)}`);
    this.#pace = typeof every === 'number' ? { due: (since) => since + every } : every;
    this.#clock = clock;
    this.#ask = ask;
    this.#state = this.#waiting(clock.monotonic());
  }

  /** Whether a checkpoint is due and not asked for yet: for synchronous loops, in which no timer fires. */
  due(nowMonotonic: number): boolean {
    return this.#state.kind === 'waiting' && nowMonotonic >= this.#pace.due(this.#state.since);
  }

  /** Asks for the checkpoint that is due, as the timer would; says whether it did. */
  askIfDue(nowMonotonic: number): boolean {
    if (this.#state.kind !== 'waiting' || !this.due(nowMonotonic)) return false;
    this.#state.timer.cancel();
    const asked: State = { kind: 'asked' };
    this.#state = asked;
    this.#ask({
      reason: 'timer',
      exit: false,
      settled: () => {
        // Still asked: it failed before any capture (invariant 5). Otherwise captured() has set the next one.
        if (this.#state === asked) this.#state = this.#waiting(this.#clock.monotonic());
      },
    });
    return true;
  }

  /** A capture began at `at` (monotonic): the next one is due `every` ms later (invariant 1). */
  captured(at: number): void {
    const state = this.#state;
    if (state.kind === 'closed' || (state.kind === 'waiting' && at <= state.since)) return;
    if (state.kind === 'waiting') state.timer.cancel();
    this.#state = this.#waiting(Math.min(at, this.#clock.monotonic()));
  }

  /** Invariant 6. */
  reconsider(): void {
    if (this.#state.kind !== 'waiting') return;
    this.#state.timer.cancel();
    this.#state = this.#waiting(this.#state.since);
  }

  /** Idempotent; nothing is asked for afterwards. */
  close(): void {
    if (this.#state.kind === 'waiting') this.#state.timer.cancel();
    this.#state = { kind: 'closed' };
  }

  #waiting(since: number): State {
    const left = Math.max(this.#pace.due(since) - this.#clock.monotonic(), 0);
    return { kind: 'waiting', since, timer: this.#clock.timer(left, () => this.#fired()) };
  }

  #fired(): void {
    const now = this.#clock.monotonic();
    // Timers may fire a fraction of a millisecond early: wait for the rest.
    if (this.#state.kind === 'waiting' && !this.askIfDue(now)) this.#state = this.#waiting(this.#state.since);
  }
}
