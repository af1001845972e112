/**
 * Reading with a position that follows what the program has gone on with, not what was read ahead.
 *
 * Invariants
 * 1. `position` advances only by what was taken (taken.ts); what is read ahead or handed out does not count.
 * 2. Elements come in order, also when several are asked for at once. To take one is to take those before it.
 * 3. `seek` begins anew: what was handed out before it moves the position no more.
 * 4. A line that was read ahead is handed out at once: no promise but its own is made.
 * 5. An element is taken in the microtask before the program's continuation runs, not when it begins to wait: what
 *    `safe(lines.next().catch(retry))` waits for is asked for before safe() is called.
 * 6. A line or chunk that goes through other promises is taken when the program looks at the result: a race may be lost,
 *    and what nobody has looked at is handed out again after a restart. read() hands out plain bytes, which cannot tell.
 */
import type { OpenFile } from '../base/ports.js';
import { ReadAhead } from './read-ahead.js';
import { HandedOut, type Takeable, type TakeGate, type Taker, type Watch } from './taken.js';

const END: IteratorResult<never, undefined> = Object.freeze({ done: true, value: undefined });

const NOW: Promise<void> = Promise.resolve();

/** The elements from one seek to the next. */
class Run implements Taker {
  readonly ahead: ReadAhead;
  readonly #taken: (end: number) => void;
  #end = 0;
  /** What #end was before the last take. */
  #before = 0;
  #awaited = false;

  constructor(ahead: ReadAhead, taken: (end: number) => void) {
    this.ahead = ahead;
    this.#taken = taken;
  }

  /** Called before the program's continuation is queued, so what is queued here runs before it (invariant 5). */
  take(end: number): void {
    this.#before = this.#end;
    if (end > this.#end) this.#end = end;
    if (this.#awaited) return;
    this.#awaited = true;
    void NOW.then(this.#goesOn);
  }

  withdraw(): void {
    this.#end = this.#before;
  }

  /** At once: the program may come to a synchronous safepoint next. */
  seen(end: number): void {
    this.#taken(end);
  }

  readonly #goesOn = (): void => {
    this.#awaited = false;
    this.#taken(this.#end);
  };
}

export interface ReadingParts {
  readonly gate: TakeGate;
  /** Whether the next bytes may be read before anybody asks for them. */
  readonly prefetch: boolean;
  /** Told of the position behind each element that was taken. */
  readonly taken: (position: number) => void;
  /** Turns what a read failed with into an error that names the file. */
  readonly failure: (cause: unknown) => unknown;
}

export class Reading {
  readonly #parts: ReadingParts;
  #source: Pick<OpenFile, 'read'> | undefined;
  #position = Number.NaN;
  /** Where elements are cut off; another one after each seek. Undefined until the file is open. */
  #run: Run | undefined;
  /** The last element that was not there when it was asked for, and how many such are under way. */
  #last: Promise<void> = Promise.resolve();
  #underWay = 0;
  readonly #opening: Promise<void>;

  /** @param opening resolves after `open`: what is asked for before waits for it, and meets its failure */
  constructor(parts: ReadingParts, opening: Promise<void>) {
    this.#parts = parts;
    this.#opening = opening;
  }

  /** The file is open; reading begins at `position`. */
  open(source: Pick<OpenFile, 'read'>, position: number): void {
    this.#source = source;
    this.seek(position);
  }

  get position(): number {
    return this.#position;
  }

  seek(position: number): void {
    this.#position = position;
    if (this.#source === undefined) return;
    const ahead = new ReadAhead(this.#source, position, this.#parts.prefetch);
    const run: Run = new Run(ahead, (end) => this.#parts.gate(() => this.#take(run, end)));
    this.#run = run;
  }

  /** Up to `length` bytes; fewer only at the end of the file, none behind it. */
  read(length: number): Promise<Buffer> {
    return this.#hand(
      (ahead) => ahead.readyPiece(length),
      (ahead) => ahead.piece(length),
      (bytes) => bytes,
      undefined,
    );
  }

  /** Pieces of `length` bytes; the last may be shorter. */
  chunks(length: number): AsyncIterableIterator<Buffer, undefined> {
    return iterator(() =>
      this.#hand(
        (ahead) => ahead.readyPiece(length),
        (ahead) => ahead.piece(length),
        (value): IteratorResult<Buffer, undefined> => (value.byteLength === 0 ? END : { done: false, value }),
        watched,
      ),
    );
  }

  /** Lines without their ends (LF or CRLF). */
  lines(): AsyncIterableIterator<string, undefined> {
    return iterator(() =>
      this.#hand(
        (ahead) => ahead.readyLine(),
        (ahead) => ahead.line(),
        (value): IteratorResult<string, undefined> => (value === undefined ? END : { done: false, value }),
        watched,
      ),
    );
  }

  #hand<T, R>(
    ready: (ahead: ReadAhead) => T | undefined,
    produce: (ahead: ReadAhead) => Promise<T>,
    shape: (value: T) => R,
    watch: Watch,
  ): Promise<R> {
    const run = this.#run;
    if (run !== undefined && this.#underWay === 0) {
      const value = ready(run.ahead);
      if (value !== undefined) return HandedOut.now(shape(value), run, run.ahead.next, watch);
    }
    return HandedOut.later(this.#produceLater(run, produce, shape), watch);
  }

  #produceLater<T, R>(asked: Run | undefined, produce: (ahead: ReadAhead) => Promise<T>, shape: (value: T) => R): Promise<Takeable<R>> {
    this.#underWay++;
    const element = this.#last.then(async (): Promise<Takeable<R>> => {
      await this.#opening;
      const run = asked ?? this.#run;
      if (run === undefined) throw new Error('reading: open() comes before the opening promise resolves');
      try {
        const value = shape(await produce(run.ahead));
        return { value, taker: run, end: run.ahead.next };
      } catch (cause) {
        throw this.#parts.failure(cause);
      }
    });
    const over = (): void => {
      this.#underWay--;
    };
    this.#last = element.then(over, over);
    return element;
  }

  #take(run: Run, end: number): void {
    if (run !== this.#run || end <= this.#position) return; // invariants 2, 3
    this.#position = end;
    this.#parts.taken(end);
  }
}

function iterator<T>(next: () => Promise<IteratorResult<T, undefined>>): AsyncIterableIterator<T, undefined> {
  const elements: AsyncIterableIterator<T, undefined> = { next, [Symbol.asyncIterator]: () => elements };
  return elements;
}

/** The same result, which tells when it is looked at (invariant 6); what a failure was replaced with is nobody's element. */
function watched<T>(result: T, seen: () => void): T {
  const { done, value } = Object(result);
  if (done !== false) return result;
  const told = {
    get done(): false {
      seen();
      return false;
    },
    get value(): unknown {
      seen();
      return value;
    },
  };
  return told as T; // an IteratorResult like `result`
}

/** @throws TypeError */
export function assertLength(length: number, call: string): void {
  if (!Number.isSafeInteger(length) || length < 1) throw new TypeError(`${call}: expected a whole number of bytes, got ${String(length)}`);
}
