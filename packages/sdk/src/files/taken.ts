/**
 * Elements that a program is handed by promise (lines, chunks, reads) and when they count as taken.
 *
 * A promise can be resolved while the program has not gone on with its value: a capture in that moment must not
 * record the element as consumed, or a restart loses it.
 *
 * Invariants
 * 1. The taker is told when the value is there and the program waits for it, by `await` or by a function given to `then`.
 *    `await` reads the promise's `constructor` (ECMA-262: PromiseResolve), so that is where it is noticed; a native promise
 *    could not be seen being awaited.
 * 2. `catch` and `finally` hand the value on without going on with it: what they return is such an element again.
 * 3. While the task stands at a safepoint (`safe(handle.read(n))`) taking is put off until it goes on (`TakeGate`).
 * 4. A rejected promise takes nothing.
 * 5. Who hands the value to another promise (Promise.race, Promise.all, an async function that returns it) may drop it: a
 *    race can be lost. Such a one passes a native function to `then`, is given a value that can be seen being looked at
 *    (`Watch`), and only that counts. What cannot be watched counts as soon as it is handed on.
 */

/** Runs `take` now, or when the task that stands at a safepoint goes on. */
export type TakeGate = (take: () => void) => void;

/** Told when elements are taken. */
export interface Taker {
  /** The program is about to go on with an element that ends at `end`; its continuation is not queued yet. */
  take(end: number): void;
  /** The `take` of just now was none. */
  withdraw(): void;
  /** The program has the element and looks at it. */
  seen(end: number): void;
}

/** A value, where it ends, and who is told when the program goes on with it. */
export interface Takeable<T> {
  readonly value: T;
  readonly taker: Taker;
  readonly end: number;
}

/** A value like `value` that tells `seen` when somebody looks at it; undefined where there is no such thing. */
export type Watch = (<T>(value: T, seen: () => void) => T) | undefined;

/** Handed to `settleNow`: an executor made anew for each of millions of lines would cost as much as reading them. */
let ready: unknown;
const settleNow = (resolve: (value: never) => void): void => resolve(ready as never); // what `now` has put there just before

const NOW: Promise<void> = Promise.resolve();

export class HandedOut<T> extends Promise<T> {
  /** Set while somebody listens who does not go on with the value (invariant 2). */
  static #overheard = false;
  /** Whose constructor was read last: by `await`, or by who will call its `then` at once (invariant 5). */
  static #looked: unknown;
  static readonly #forgetLooked = (): void => {
    HandedOut.#looked = undefined;
  };
  /** Set when the value is there. */
  #taker: Taker | undefined;
  #end = 0;
  #watch: Watch;
  /** How many await it. */
  #awaits = 0;

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
  static now<T>(value: T, taker: Taker, end: number, watch: Watch): HandedOut<T> {
    ready = value;
    const handed = new HandedOut<T>(settleNow);
    handed.#taker = taker;
    handed.#end = end;
    handed.#watch = watch;
    return handed;
  }

  /** An element whose value is still to come. */
  static later<T>(element: Promise<Takeable<T>>, watch: Watch): HandedOut<T> {
    const handed = new HandedOut<T>((resolve, reject) => {
      element.then(({ value, taker, end }) => {
        handed.#taker = taker;
        handed.#end = end;
        if (handed.#awaits > 0) taker.take(end);
        resolve(value);
      }, reject);
    });
    handed.#watch = watch;
    return handed;
  }

  // biome-ignore lint/suspicious/noThenProperty: not every listener counts (invariants 2, 5)
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (typeof onFulfilled !== 'function') return this.#overhear(() => super.then(onFulfilled, onRejected));
    const watch = this.#watch;
    if (watch === undefined || !isNative(onFulfilled)) return super.then(onFulfilled, onRejected);
    this.#doNotGoOn();
    const seen = (): void => this.#taker?.seen(this.#end);
    return HandedOut.#quietly(() => super.then((value) => onFulfilled(watch(value, seen)), onRejected));
  }

  override finally(onFinally?: (() => void) | null): Promise<T> {
    return this.#overhear(() => super.finally(onFinally));
  }

  #overhear<R>(listen: () => Promise<R>): HandedOut<R> {
    const taker: Taker = {
      take: () => this.#taker?.take(this.#end),
      withdraw: () => this.#taker?.withdraw(),
      seen: () => this.#taker?.seen(this.#end),
    };
    const derived = HandedOut.#quietly(listen).then((value) => ({ value, taker, end: this.#end }));
    return HandedOut.later(derived, this.#watch);
  }

  static #quietly<R>(listen: () => Promise<R>): Promise<R> {
    HandedOut.#overheard = true;
    try {
      return listen();
    } finally {
      HandedOut.#overheard = false;
    }
  }

  #goOn(): void {
    this.#awaits++;
    HandedOut.#looked = this;
    if (this.#taker === undefined) void NOW.then(HandedOut.#forgetLooked);
    else this.#taker.take(this.#end);
  }

  /** It was not awaited: what read its constructor hands it on (invariant 5). */
  #doNotGoOn(): void {
    if (HandedOut.#looked !== this) return;
    HandedOut.#looked = undefined;
    this.#awaits--;
    this.#taker?.withdraw();
  }
}

/** Functions that resolve another promise are native; so is what `bind` makes. */
function isNative(callback: unknown): boolean {
  return /\[native code\]\s*\}$/.test(Function.prototype.toString.call(callback));
}
