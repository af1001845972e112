/**
 * A timer whose rest is part of every image: it counts run time, so it stands while the program is down.
 *
 *   resting → running → over; start() makes it run anew from any of them
 *
 * Invariants
 * 1. Its handler runs once for each start(): an image taken before it fired has the rest, one taken after it has none.
 * 2. The handler is run in one go with the change to `over`, so a capture sees both or neither.
 * 3. It never keeps the event loop alive.
 */
import { CheckpointError } from '../base/errors.js';
import type { Clock, Timer } from '../base/ports.js';

type State =
  | { readonly kind: 'resting'; readonly left: number }
  | { readonly kind: 'running'; readonly left: number; readonly since: number; readonly timer: Timer }
  | { readonly kind: 'over' };

export class RunTimer {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #handler: () => void;
  readonly #ms: number;
  #state: State;
  #begun = false;

  /** @internal made by timer() */
  constructor(name: string, ms: number, handler: () => void, clock: Clock) {
    this.#name = name;
    this.#ms = ms;
    this.#handler = handler;
    this.#clock = clock;
    this.#state = { kind: 'resting', left: ms };
  }

  /** Milliseconds until it fires; undefined when it has fired or was cancelled. */
  get left(): number | undefined {
    const state = this.#state;
    if (state.kind === 'over') return undefined;
    return state.kind === 'resting' ? state.left : Math.max(0, state.left - (this.#clock.monotonic() - state.since));
  }

  /** Counts anew, from `ms` or what it was made with. @throws TypeError */
  start(ms: number = this.#ms): void {
    assertMilliseconds(`timer('${this.#name}').start(ms)`, ms);
    this.#halt();
    this.#state = { kind: 'resting', left: ms };
    if (this.#begun) this.#run();
  }

  cancel(): void {
    this.#halt();
    this.#state = { kind: 'over' };
  }

  /** @internal the program has started */
  begin(): void {
    this.#begun = true;
    this.#run();
  }

  /** @internal the program has let go */
  end(): void {
    this.#halt();
    this.#begun = false;
  }

  /** @internal */
  capture(): { readonly left: number | null } {
    return { left: this.left ?? null };
  }

  /** @internal @throws CheckpointError ERR_CKPT_DECODE */
  restore(value: unknown): void {
    const left: unknown = typeof value === 'object' && value !== null && 'left' in value ? value.left : undefined;
    if (left !== null && !(typeof left === 'number' && left >= 0)) {
      throw new CheckpointError('ERR_CKPT_DECODE', `timer('${this.#name}'): expected a rest in milliseconds, found ${typeof left}`, {
        provider: this.#name,
      });
    }
    this.#state = left === null ? { kind: 'over' } : { kind: 'resting', left };
  }

  #run(): void {
    if (this.#state.kind !== 'resting') return;
    const { left } = this.#state;
    const timer = this.#clock.timer(left, () => {
      this.#state = { kind: 'over' };
      this.#handler();
    });
    this.#state = { kind: 'running', left, since: this.#clock.monotonic(), timer };
  }

  #halt(): void {
    const { left } = this;
    if (this.#state.kind !== 'running' || left === undefined) return;
    this.#state.timer.cancel();
    this.#state = { kind: 'resting', left };
  }
}

/** @throws TypeError */
export function assertMilliseconds(call: string, ms: unknown): asserts ms is number {
  if (typeof ms !== 'number' || !Number.isFinite(ms) || ms < 0)
    throw new TypeError(`${call}: expected milliseconds from 0 on, got ${String(ms)}`);
}
