/**
 * The end of a stop: the program's atResume handlers, and how what failed in one checkpoint is told.
 *
 * Invariants
 * 1. They run once, however often the end of the stop is come to.
 * 2. One failed checkpoint is one error, with the code of what made it fail.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import type { HandlerContext, Handlers } from './handlers.js';
import type { KeepAlive } from './keep-alive.js';

export class Resuming {
  readonly #handlers: Handlers;
  readonly #keepAlive: KeepAlive;
  readonly #facts: Omit<HandlerContext, 'signal'>;
  #done = false;

  constructor(
    { handlers, keepAlive }: { readonly handlers: Handlers; readonly keepAlive: KeepAlive },
    facts: Omit<HandlerContext, 'signal'>,
  ) {
    this.#handlers = handlers;
    this.#keepAlive = keepAlive;
    this.#facts = facts;
  }

  /** @returns what a handler failed with */
  async run(): Promise<CheckpointError | undefined> {
    if (this.#done) return undefined;
    this.#done = true;
    return await this.#keepAlive.during(this.#handlers.run('atResume', this.#facts)).then(() => undefined, asCheckpointError);
  }

  /** The same without a turn of the event loop. */
  runSync(): CheckpointError | undefined {
    if (this.#done) return undefined;
    this.#done = true;
    try {
      this.#handlers.runSync('atResume', this.#facts);
    } catch (error) {
      return asCheckpointError(error);
    }
    return undefined;
  }
}

export function asCheckpointError(error: unknown): CheckpointError {
  return isCheckpointError(error) ? error : new CheckpointError('ERR_CKPT_IO', `checkpoint: ${messageOf(error)}`, { cause: error });
}

/** Invariant 2. */
export function bothFailures(error: CheckpointError, resumeError: CheckpointError | undefined): CheckpointError {
  if (resumeError === undefined) return error;
  const message = `${error.message}; and when the program went on, ${resumeError.message}`;
  const phase = error.phase === undefined ? {} : { phase: error.phase };
  return new CheckpointError(error.code, message, { ...error.context, ...phase, cause: new AggregateError([error, resumeError], message) });
}
