/**
 * Elements that a program is handed by promise (lines, chunks, reads) and when they count as taken.
 *
 * A promise can be resolved while the program has not gone on with its value: a capture in that moment must not
 * record the element as consumed, or a restart loses it.
 *
 * Invariants
 * 1. The taker is told when the value is there and the program waits for it: by `await`, by `then`, or by adopting it
 *    in another promise. All of these read the promise's `constructor` first (ECMA-262: PromiseResolve,
 *    SpeciesConstructor), so that is where it is noticed; a native promise could not be seen being awaited.
 * 2. `catch` and `finally` hand the value on without going on with it: what they return is such an element again.
 * 3. While the task stands at a safepoint (`safe(handle.read(n))`) taking is put off until it goes on (`TakeGate`).
 * 4. A rejected promise takes nothing.
 */

/** Runs `take` now, or when the task that stands at a safepoint goes on. */
export type TakeGate = (take: () => void) => void;

/** Told that the program is about to go on with an element that ends at `end`; before its continuation is queued. */
export interface Taker {
  take(end: number): void;
}

/** A value, where it ends, and who is told when the program goes on with it. */
export interface Takeable<T> {
  readonly value: T;
  readonly taker: Taker;
  readonly end: number;
}

/** Handed to `settleNow`: an executor made anew for each of millions of lines would cost as much as reading them. */
let ready: unknown;
const settleNow = (resolve: (value: never) => void): void => resolve(ready as never); // what `now` has put there just before

export class HandedOut<T> extends Promise<T> {
  /** Set while somebody listens who does not go on with the value (invariant 2). */
  static #overheard = false;
  /** Set when the value is there and not taken yet. */
  #taker: Taker | undefined;
  #end = 0;
  #awaited = false;

  static {
    Object.defineProperty(HandedOut.prototype, 'constructor', {
      configurable: true,
      get(this: object): unknown {
        if (#taker in this && !HandedOut.#overheard) this.#goOn();
        return Promise;
      },
    });
  }

  /** An element whose value is there. */
  static now<T>(value: T, taker: Taker, end: number): HandedOut<T> {
    ready = value;
    const handed = new HandedOut<T>(settleNow);
    handed.#taker = taker;
    handed.#end = end;
    return handed;
  }

  /** An element whose value is still to come. */
  static later<T>(element: Promise<Takeable<T>>): HandedOut<T> {
    const handed = new HandedOut<T>((resolve, reject) => {
      element.then(({ value, taker, end }) => {
        handed.#taker = taker;
        handed.#end = end;
        if (handed.#awaited) handed.#goOn();
        resolve(value);
      }, reject);
    });
    return handed;
  }

  // biome-ignore lint/suspicious/noThenProperty: a listener for failures alone must not count (invariant 2)
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (typeof onFulfilled === 'function') return super.then(onFulfilled, onRejected);
    return this.#overhear(() => super.then(onFulfilled, onRejected));
  }

  override finally(onFinally?: (() => void) | null): Promise<T> {
    return this.#overhear(() => super.finally(onFinally));
  }

  #overhear<R>(listen: () => Promise<R>): HandedOut<R> {
    HandedOut.#overheard = true;
    try {
      return HandedOut.later(listen().then((value) => ({ value, taker: { take: () => this.#goOn() }, end: this.#end })));
    } finally {
      HandedOut.#overheard = false;
    }
  }

  #goOn(): void {
    this.#awaited = true;
    const taker = this.#taker;
    this.#taker = undefined;
    taker?.take(this.#end);
  }
}
