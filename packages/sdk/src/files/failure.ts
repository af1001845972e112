/**
 * Refusals of tracked files: one wording, and the codes of the operating system turned into ours.
 *
 * Invariants
 * 1. A message says the operation, the file, what was expected, what was found and what to do.
 * 2. What already has a code passes through unchanged.
 */
import { CheckpointError, type ErrorCode, type ErrorPhase, isCheckpointError, messageOf, systemCode } from '../base/errors.js';

/** What is being done to which file. */
export interface FileAttempt {
  /** A verb with its object, such as `open`, `put back`. */
  readonly operation: string;
  /** Name of the handle; undefined where only the path is known. */
  readonly name?: string | undefined;
  readonly path: string;
  /** Undefined while the program reads and writes by itself. */
  readonly phase?: ErrorPhase | undefined;
}

export interface Finding {
  readonly expected: string;
  readonly found: string;
  readonly remedy: string;
  readonly cause?: unknown;
}

export function fileError(code: ErrorCode, attempt: FileAttempt, { expected, found, remedy, cause }: Finding): CheckpointError {
  const { operation, name, path, phase } = attempt;
  const object = name === undefined ? `the file ${path}` : `file '${name}' at ${path}`;
  return new CheckpointError(code, `cannot ${operation} ${object}: expected ${expected}, found ${found}; ${remedy}`, {
    path,
    ...(phase === undefined ? {} : { phase }),
    ...(cause === undefined ? {} : { cause }),
  });
}

const LINK_REMEDY = 'declare the path that it leads to, or put the file itself there';

const SYSTEM: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOENT: ['ERR_CKPT_FILE_MISSING', 'put the file back, or make its folder'],
  ENOTDIR: ['ERR_CKPT_FILE_MISSING', 'put the file back, or make its folder'],
  ELOOP: ['ERR_CKPT_FILE_UNSAFE', LINK_REMEDY],
  EISDIR: ['ERR_CKPT_FILE_UNSAFE', 'declare a file, not a folder'],
  ENXIO: ['ERR_CKPT_FILE_UNSAFE', 'declare a regular file'],
  EEXIST: ['ERR_CKPT_FILE', "take it away, or open it with other flags than 'wx'"],
  EACCES: ['ERR_CKPT_FILE', 'give the program permission to read and write it'],
  EPERM: ['ERR_CKPT_FILE', 'give the program permission to read and write it'],
  EROFS: ['ERR_CKPT_FILE', 'put it on a file system that can be written to'],
  ENOSPC: ['ERR_CKPT_NO_SPACE', 'free space and start again'],
  EDQUOT: ['ERR_CKPT_NO_SPACE', 'free space or raise the quota and start again'],
};

/** A file moved fewer bytes than it must. */
export class TooFewBytes extends Error {}

/** Translates what a port threw (invariant 2). */
export function fileFailure(cause: unknown, attempt: FileAttempt): unknown {
  if (cause instanceof TooFewBytes) {
    const remedy = 'see who else writes to it, and start again';
    return fileError('ERR_CKPT_FILE_CHANGED', attempt, { expected: 'it to stay as it was', found: cause.message, remedy, cause });
  }
  const system = systemCode(cause);
  if (isCheckpointError(cause) || system === undefined) return cause;
  const [code, remedy] = SYSTEM[system] ?? (['ERR_CKPT_IO', 'look at the disk and the limits of the process'] as const);
  return fileError(code, attempt, { expected: 'the operation to succeed', found: `${system} (${messageOf(cause)})`, remedy, cause });
}

/** Runs one step and translates its failure. */
export async function onFile<T>(attempt: FileAttempt, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    throw fileFailure(cause, attempt);
  }
}
