/**
 * The one place where an operating system's error becomes an error of a store.
 *
 * Invariants
 * 1. A full disk, a vanished store, an unusable one and any other refusal are different codes.
 * 2. What already has a code, and what is no system error at all, passes through unchanged.
 * 3. The message says the operation, the path, what was expected, what was found and what to do.
 */
import { CheckpointError, type ErrorCode, type ErrorPhase, isCheckpointError, messageOf, systemCode } from '../base/errors.js';

export interface Attempt {
  /** What was tried, as a verb: `write`, `link`, `list`, … */
  readonly operation: string;
  readonly path: string;
  readonly phase?: ErrorPhase;
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'ERR_CKPT_NO_SPACE',
  EDQUOT: 'ERR_CKPT_NO_SPACE',
  ENOENT: 'ERR_CKPT_STORE_GONE',
  ENOTDIR: 'ERR_CKPT_STORE_GONE',
  ESTALE: 'ERR_CKPT_STORE_GONE',
  ELOOP: 'ERR_CKPT_STORE_UNSAFE',
};

/** What a file system answers that has no hard links, or none between these two places. */
const NO_LINK: ReadonlySet<string> = new Set(['EPERM', 'EXDEV', 'EMLINK', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP']);
const NO_ACCESS: ReadonlySet<string> = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOTDIR', 'ENAMETOOLONG']);

const REMEDIES: Partial<Record<ErrorCode, string>> = {
  ERR_CKPT_NO_SPACE: 'free space or raise the quota; earlier images are untouched',
  ERR_CKPT_STORE_GONE: 'see whether the store was deleted, moved or unmounted while in use',
  ERR_CKPT_STORE_UNSAFE: 'remove the link or the foreign file from the store; links are not followed below its directory',
  ERR_CKPT_STORE_UNUSABLE: 'give the program a directory that it may read and write',
  ERR_CKPT_STORE_UNSUPPORTED: 'put the store on a file system with hard links, in one piece; an image is never copied into place',
  ERR_CKPT_UNCERTAIN: 'look at the disk; the image stays where it is and is verified before any use',
};

const ORDINARY = 'look at the disk and the limits of the process; earlier images are untouched';

function codeOf(system: string, attempt: Attempt): ErrorCode {
  if (attempt.operation === 'link' && NO_LINK.has(system)) return 'ERR_CKPT_STORE_UNSUPPORTED';
  if (attempt.phase === 'open' && NO_ACCESS.has(system)) return 'ERR_CKPT_STORE_UNUSABLE';
  return CODES[system] ?? 'ERR_CKPT_IO';
}

/** An error of a store with the remedy of its code. */
export function storeError(code: ErrorCode, attempt: Attempt, expected: string, found: string, cause?: unknown): CheckpointError {
  return new CheckpointError(
    code,
    `cannot ${attempt.operation} ${attempt.path}: expected ${expected}, found ${found}; ${REMEDIES[code] ?? ORDINARY}`,
    { path: attempt.path, ...(attempt.phase ? { phase: attempt.phase } : {}), ...(cause === undefined ? {} : { cause }) },
  );
}

/** Translates what a port threw (invariants 1, 2). */
export function storeFailure(cause: unknown, attempt: Attempt): unknown {
  const system = systemCode(cause);
  if (isCheckpointError(cause) || system === undefined) return cause;
  const message = messageOf(cause);
  const found = message.startsWith(system) ? message : `${system} (${message})`;
  return storeError(codeOf(system, attempt), attempt, 'the operation to succeed', found, cause);
}

/** Runs one step and translates its failure. */
export async function translated<T>(attempt: Attempt, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    throw storeFailure(cause, attempt);
  }
}

/** The result of a step, or undefined where what it names does not exist. */
export async function ifPresent<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return undefined;
    throw cause;
  }
}

/** For cleaning up beside a failure that is reported already: the clean-up's own failure has nothing to add. */
export async function quietly(step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch {
    // What is left over is removed by the next claim.
  }
}
