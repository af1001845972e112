/**
 * Errors between threads: the structured clone drops codes and context, so they travel as plain records.
 *
 * Invariants
 * 1. What arrives has the same code, phase, context, message and chain of causes as what was sent.
 * 2. A system error keeps its code (ENOSPC, …), because callers branch on it.
 */
import { CheckpointError, type ErrorCode, type ErrorDetails, isCheckpointError, messageOf, systemCode } from './errors.js';

export interface ErrorRecord {
  readonly message: string;
  readonly name: string;
  readonly code?: string;
  readonly checkpoint?: Omit<ErrorDetails, 'cause'>;
  readonly cause?: ErrorRecord;
  readonly errors?: readonly ErrorRecord[];
  readonly stack?: string;
}

export function packError(error: unknown): ErrorRecord {
  const code = isCheckpointError(error) ? error.code : systemCode(error);
  const cause = error instanceof Error ? error.cause : undefined;
  return {
    message: messageOf(error),
    name: error instanceof Error ? error.name : 'Error',
    ...(code === undefined ? {} : { code }),
    ...(isCheckpointError(error) ? { checkpoint: { ...error.context, ...(error.phase ? { phase: error.phase } : {}) } } : {}),
    ...(cause === undefined ? {} : { cause: packError(cause) }),
    ...(error instanceof AggregateError ? { errors: error.errors.map(packError) } : {}),
    ...(error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {}),
  };
}

export function unpackError(record: ErrorRecord): Error {
  const cause = record.cause === undefined ? undefined : unpackError(record.cause);
  const error = build(record, cause);
  if (record.stack !== undefined) error.stack = record.stack;
  return error;
}

function build(record: ErrorRecord, cause: Error | undefined): Error {
  if (record.checkpoint !== undefined) {
    // Only packError writes `checkpoint`, and it takes the code from a CheckpointError.
    const code = record.code as ErrorCode;
    return new CheckpointError(code, record.message, { ...record.checkpoint, ...(cause ? { cause } : {}) });
  }
  const options = cause === undefined ? undefined : { cause };
  if (record.errors !== undefined) return new AggregateError(record.errors.map(unpackError), record.message, options);
  const plain = new Error(record.message, options);
  plain.name = record.name;
  return record.code === undefined ? plain : Object.assign(plain, { code: record.code });
}
