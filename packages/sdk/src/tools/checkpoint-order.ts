/**
 * One call of createCheckpoint under way, and what it returns.
 *
 * Invariant: the time limit of the call covers finding, asking and waiting together.
 */
import { formatDuration } from '../base/duration.js';
import { CheckpointError } from '../base/errors.js';
import type { CheckpointBytes, CheckpointTimes, ImageInfo } from '../checkpoint/request.js';
import type { RunningProgram, Waiting } from './live-program.js';
import type { OpenedStore } from './open-store.js';

export interface CreatedCheckpoint {
  /** How the program was asked. */
  readonly via: 'request-file' | 'signal';
  /** The program that was asked. */
  readonly pid: number;
  /** The durable image; undefined without `wait`. */
  readonly image: ImageInfo | undefined;
  /** As the program measured them; undefined without `wait`, and when it was asked by a signal. */
  readonly times: CheckpointTimes | undefined;
  readonly bytes: CheckpointBytes | undefined;
}

/** A call under way. */
export interface Order {
  readonly opened: OpenedStore;
  readonly program: RunningProgram;
  readonly name: string | undefined;
  readonly wait: boolean;
  readonly exit: boolean;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
  /** Monotonic time. */
  readonly deadline: number;
}

export function noAnswer({ program, timeoutMs }: Order, what: string): CheckpointError {
  const { owner, epoch } = program.record;
  return new CheckpointError(
    'ERR_CKPT_NO_ANSWER',
    `the program (pid ${owner.pid}, incarnation ${epoch}) did not answer within ${formatDuration(timeoutMs)}: ${what}. ` +
      'It lives, but may not have reached a safepoint, may be blocked in a long synchronous call, or stopped; ' +
      'give it more time, or see what it is doing',
    { phase: 'request', owner },
  );
}

/** The limits under which it waits. */
export function waiting({ opened, program, deadline, signal }: Order, onTimeout: () => CheckpointError): Waiting {
  return { opened, record: program.record, deadline, signal, onTimeout };
}
