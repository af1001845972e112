/**
 * atCheckpoint, atResume and atRestart handlers: their order, their time limit, their failures.
 *
 * Invariants
 * 1. atCheckpoint: newest registration first; atResume and atRestart: oldest first (as in OpenJDK CRaC).
 * 2. Every handler runs even when another fails; all failures are kept, in order.
 * 3. Inside a handler or a guarded call no checkpoint can be asked for (`inside`), also after an await.
 * 4. In a synchronous checkpoint a handler that returns a promise fails by name.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { within } from '../base/deadline.js';
import { CheckpointError, type ErrorCode, isCheckpointError, messageOf } from '../base/errors.js';
import { callPlace } from '../base/place.js';
import type { Clock } from '../base/ports.js';
import type { ImageInfo } from './request.js';

export type HandlerKind = 'atCheckpoint' | 'atResume' | 'atRestart';

/** What a handler is told. */
export interface HandlerContext {
  /** Why: `signal`, `timer`, `request-file`, `call`, `finish`; `restart` in atRestart. */
  readonly reason: string;
  /** Name asked for, when there is one. */
  readonly name: string | undefined;
  /** The image started from (atRestart); undefined before the image exists. */
  readonly image: ImageInfo | undefined;
  /** Aborted when the handler's time is up. */
  readonly signal: AbortSignal;
}

export type Handler = (ctx: HandlerContext) => void | Promise<void>;

interface Registered {
  readonly handler: Handler;
  readonly place: string;
}

type HandlerFacts = Omit<HandlerContext, 'signal'>;

/** What a handler threw, and where it was registered. */
interface Failure {
  readonly error: unknown;
  readonly place: string;
}

export class Handlers {
  readonly #lists: Record<HandlerKind, Registered[]> = { atCheckpoint: [], atResume: [], atRestart: [] };
  readonly #scopes = new AsyncLocalStorage<{ active: boolean; readonly what: string }>();
  readonly #clock: Clock;
  readonly #timeoutMs: number;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  add(kind: HandlerKind, handler: Handler): void {
    if (typeof handler !== 'function') throw new TypeError(`${kind}(handler): expected a function, got ${typeof handler}`);
    this.#lists[kind].push({ handler, place: String(callPlace()) });
  }

  /** What the caller is inside of, such as `the atCheckpoint handler registered at …`, if anything. */
  inside(): string | undefined {
    const scope = this.#scopes.getStore();
    return scope?.active === true ? scope.what : undefined;
  }

  /** Runs synchronous code of the user's that is as much part of a checkpoint as a handler (invariant 3). */
  guard<T>(what: string, work: () => T): T {
    const scope = { active: true, what };
    try {
      return this.#scopes.run(scope, work);
    } finally {
      scope.active = false;
    }
  }

  /** @throws CheckpointError ERR_CKPT_HANDLER, _TIMEOUT, _REENTRANT with all failures as cause */
  async run(kind: HandlerKind, facts: HandlerFacts): Promise<void> {
    const failures: Failure[] = [];
    for (const registered of this.#ordered(kind)) {
      const scope = { active: true, what: named(kind, registered.place) };
      try {
        await this.#scopes.run(scope, () => this.#one(kind, registered, facts));
      } catch (error) {
        failures.push({ error, place: registered.place });
      } finally {
        scope.active = false;
      }
    }
    if (failures.length > 0) throw handlersFailed(kind, failures);
  }

  /** The same without a turn of the event loop. @throws CheckpointError as `run` does; ERR_CKPT_ASYNC_HANDLER */
  runSync(kind: HandlerKind, facts: HandlerFacts): void {
    const failures: Failure[] = [];
    for (const { handler, place } of this.#ordered(kind)) {
      try {
        const returned = this.guard(named(kind, place), () => handler({ ...facts, signal: new AbortController().signal }));
        if (isThenable(returned)) {
          void returned.then(undefined, () => {});
          failures.push({ error: asyncHandler(kind, place), place });
        }
      } catch (error) {
        failures.push({ error, place });
      }
    }
    if (failures.length > 0) throw handlersFailed(kind, failures);
  }

  #ordered(kind: HandlerKind): readonly Registered[] {
    return kind === 'atCheckpoint' ? [...this.#lists[kind]].reverse() : [...this.#lists[kind]];
  }

  async #one(kind: HandlerKind, { handler, place }: Registered, facts: HandlerFacts): Promise<void> {
    const controller = new AbortController();
    const returned = handler({ ...facts, signal: controller.signal });
    if (!isThenable(returned)) return;
    await within(this.#clock, returned, {
      ms: this.#timeoutMs,
      keepAlive: true,
      onTimeout: () => {
        const error = new CheckpointError(
          'ERR_CKPT_TIMEOUT',
          `${kind} handler registered at ${place}: not done after ${this.#timeoutMs} ms; make it quicker or raise handlerTimeout`,
          { handler: place, phase: 'handlers' },
        );
        controller.abort(error);
        return error;
      },
    });
  }
}

function isThenable(value: unknown): value is PromiseLike<void> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function asyncHandler(kind: HandlerKind, place: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_ASYNC_HANDLER',
    `safepointSync(): the ${kind} handler registered at ${place} returned a promise; make it synchronous, or use safepoint() in an async loop`,
    { handler: place, phase: 'handlers' },
  );
}

/** What came of it, so that nobody has to guess. */
const CONSEQUENCES: Readonly<Record<HandlerKind, string>> = {
  atCheckpoint: 'no image was written, earlier ones are untouched',
  atResume: 'it touches no image, and the program goes on',
  atRestart: 'the start was undone: mend it and start again',
};

function named(kind: HandlerKind, place: string): string {
  return `the ${kind} handler registered at ${place}`;
}

function handlersFailed(kind: HandlerKind, failures: readonly Failure[]): CheckpointError {
  const errors = failures.map(({ error }) => error);
  const [first] = errors;
  if (errors.length === 1 && isCheckpointError(first) && ownCode(first) !== undefined) return first;
  const summary = failures.map(({ error, place }) => {
    return ownCode(error) === undefined ? `${named(kind, place)} failed: ${messageOf(error)}` : messageOf(error);
  });
  const subject = errors.length === 1 ? '' : `${errors.length} ${kind} handlers failed: `;
  const message = `${subject}${summary.join('; ')}; ${CONSEQUENCES[kind]}`;
  const cause = errors.length === 1 ? first : new AggregateError(errors, message);
  const code = ownCode(first);
  const shared = code !== undefined && errors.every((error) => ownCode(error) === code);
  return new CheckpointError(shared ? code : 'ERR_CKPT_HANDLER', message, { cause, phase: 'handlers' });
}

/** The code of a failure that is told here, of the handler, rather than by the handler's own code. */
function ownCode(failure: unknown): ErrorCode | undefined {
  return isCheckpointError(failure) && failure.phase === 'handlers' ? failure.code : undefined;
}
