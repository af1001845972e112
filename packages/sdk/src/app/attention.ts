/**
 * The flag that safepoints poll: raised while something may have to be done, lowered while nothing is.
 *
 * Invariants
 * 1. It stays raised unless the program runs, no task is at a safepoint and nothing is due, so that calls at a wrong time are noticed.
 * 2. While the helper thread does not run yet nobody raises it when a turn of the event loop is due: it stays raised, and
 *    the program looks at the clock.
 */
import { LoopTurns } from '../base/loop-turns.js';
import type { Conductor } from '../checkpoint/conductor.js';
import { LIFE_ENDED, SHARED } from '../checkpoint/thread-protocol.js';

export class Attention {
  readonly #shared: Int32Array;
  readonly #conductor: Pick<Conductor, 'due' | 'gate'>;
  readonly #canLower: () => boolean;
  readonly #turns = new LoopTurns();

  constructor(shared: Int32Array, conductor: Pick<Conductor, 'due' | 'gate'>, canLower: () => boolean) {
    this.#shared = shared;
    this.#conductor = conductor;
    this.#canLower = canLower;
    this.alert();
  }

  alert(): void {
    Atomics.store(this.#shared, SHARED.ATTENTION, 1);
  }

  /** Lowers the flag, unless something is due (invariant 1). */
  calm(): void {
    if (!this.#canLower()) return;
    this.lower();
    if (this.#expected() || !this.#watched()) this.alert();
  }

  /** Whether the flag is up only because a turn of the event loop seemed to be due, while it has turned by itself. */
  calmed(): boolean {
    this.calm();
    if (this.#watched()) return this.#turns.turned() && Atomics.load(this.#shared, SHARED.ATTENTION) === 0;
    return this.#canLower() && !this.#expected() && this.#turns.turnedLately();
  }

  /** The event loop has turned for the sake of a safepoint. */
  turned(): void {
    this.#turns.look();
    this.calm();
  }

  lower(): void {
    Atomics.store(this.#shared, SHARED.ATTENTION, 0);
    Atomics.notify(this.#shared, SHARED.ATTENTION); // the ticker sleeps while it is raised
  }

  /** Whether a safepoint is waited for, or has something to tell: fenced, or without the thread that raises the flag. */
  #expected(): boolean {
    const { due, gate } = this.#conductor;
    return due || gate.somebodyAtSafepoint || Atomics.load(this.#shared, SHARED.FENCED) !== 0 || this.#life() === LIFE_ENDED;
  }

  #watched(): boolean {
    return this.#life() !== 0;
  }

  #life(): number {
    return Atomics.load(this.#shared, SHARED.LIFE);
  }
}
