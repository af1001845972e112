/**
 * The one error class of ckpt and the table of its codes.
 *
 * Invariants
 * 1. Every failure a caller can meet carries a code from ERROR_CODES; bad arguments are TypeErrors instead.
 * 2. A code is stable for ever; the wording of a message is free.
 * 3. Recognition works across threads, realms and duplicate packages: by brand, never by `instanceof`.
 * 4. Nothing that caused a failure is dropped: it is in `cause` (several: an AggregateError).
 */

/** Each code with the sentence that `docs/errors.md` gives for it. */
export const ERROR_CODES = {
  ERR_CKPT_ABORTED: 'The caller’s AbortSignal ended the operation.',
  ERR_CKPT_ALL_DAMAGED: 'Every image on the lineage is damaged or unusable; nothing was started.',
  ERR_CKPT_ASYNC_HANDLER: 'A handler returned a promise during a synchronous checkpoint.',
  ERR_CKPT_BASE_MISSING: 'An incremental image refers to a base that is not there.',
  ERR_CKPT_CLOSED: 'The checkpointer was closed.',
  ERR_CKPT_CONCURRENT_SAFEPOINT: 'One task is at two safepoints at once.',
  ERR_CKPT_DECODE: 'A section was intact but could not be turned back into a value.',
  ERR_CKPT_EXISTS: 'Something of that name is there already.',
  ERR_CKPT_FENCED: 'A newer incarnation has claimed the store; this one must not go on.',
  ERR_CKPT_FILE: 'A tracked file cannot be used as declared.',
  ERR_CKPT_FILE_CHANGED: 'A tracked file differs from what the image recorded.',
  ERR_CKPT_FILE_MISSING: 'A tracked file is missing or shorter than the image recorded.',
  ERR_CKPT_FILE_UNSAFE: 'A path is outside the roots, or not a regular file with one link.',
  ERR_CKPT_HANDLER: 'One or more handlers failed.',
  ERR_CKPT_IMAGE_CORRUPT: 'Bytes of an image differ from what was written.',
  ERR_CKPT_IMAGE_FEATURE: 'An image needs a feature that this version does not know.',
  ERR_CKPT_IMAGE_INCOMPLETE: 'An image ends too early or was never completed.',
  ERR_CKPT_IMAGE_LIMIT: 'An image states counts, sizes or depths beyond what a reader accepts.',
  ERR_CKPT_IMAGE_MISSING: 'Images were acknowledged, but none is to be found in the store.',
  ERR_CKPT_IMAGE_VERSION: 'An image has a newer format than this version reads.',
  ERR_CKPT_IO: 'The operating system refused a file operation.',
  ERR_CKPT_LOCKED: 'Another live incarnation owns the store.',
  ERR_CKPT_MEMBER: 'A member of the checkpoint set died, failed or is not what was expected.',
  ERR_CKPT_MEMORY: 'There was not enough memory for the capture.',
  ERR_CKPT_NAME_TAKEN: 'This incarnation has already given that name to an image.',
  ERR_CKPT_NO_ANSWER: 'The running program did not answer a request in time.',
  ERR_CKPT_NO_IMAGE: 'There is no image to restart from.',
  ERR_CKPT_NO_SPACE: 'The disk or the quota is full.',
  ERR_CKPT_NOT_FOUND: 'No image has that name or id.',
  ERR_CKPT_NOT_RUNNING: 'No live program owns the store.',
  ERR_CKPT_PHASE: 'The call is not allowed in this phase of the checkpointer’s life.',
  ERR_CKPT_PROTECTED: 'The image is still needed and cannot be removed.',
  ERR_CKPT_PROVIDER: 'A provider threw, rejected or did not settle.',
  ERR_CKPT_REENTRANT: 'A handler asked for the checkpoint that it is part of.',
  ERR_CKPT_REQUEST: 'A request, or the answer to it, could not be understood or met.',
  ERR_CKPT_RESCALE: 'The rescale hook threw, or does not say what becomes of a member or a message.',
  ERR_CKPT_RESTORE: 'A restore function threw or rejected.',
  ERR_CKPT_SCHEMA: 'A section, or a value, does not have the version or schema that the program expects.',
  ERR_CKPT_STORE_GONE: 'The store directory vanished or was replaced while in use.',
  ERR_CKPT_STORE_UNSAFE: 'The store holds something that must not be followed or trusted.',
  ERR_CKPT_STORE_UNSUPPORTED: 'The file system lacks what a safe commit needs.',
  ERR_CKPT_STORE_UNUSABLE: 'The store directory cannot be read or written.',
  ERR_CKPT_THREAD: 'The background thread ended unexpectedly.',
  ERR_CKPT_TIMEOUT: 'A handler, a provider or a member took longer than allowed.',
  ERR_CKPT_UNCERTAIN: 'The image is written, but whether it survives a power failure is unknown.',
  ERR_CKPT_UNCLAIMED: 'The image has a section or a member that the program does not claim.',
  ERR_CKPT_UNSUPPORTED_VALUE: 'A value in the registered state cannot be carried without loss.',
  ERR_CKPT_WRONG_APP: 'The store or image belongs to another program.',
  ERR_CKPT_WRONG_RUN: 'The image belongs to another run.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** What an error is about. Every field is optional; `path` is a property path or a file path, as the code says. */
export interface ErrorContext {
  readonly image?: string;
  readonly provider?: string;
  readonly member?: string;
  readonly path?: string;
  readonly section?: string;
  readonly handler?: string;
  readonly owner?: object;
  /** Who did not come to a safepoint. */
  readonly missing?: readonly Missing[];
}

/** A task or a member that is waited for. */
export interface Missing {
  readonly task: string;
  /** Where it was begun or declared: `file:line:column`. */
  readonly registeredAt: string;
  /** How long it has been waited for, ms. */
  readonly sinceMs: number;
  /** Where it was last seen, and what is known of what it does. */
  readonly lastSafepoint: string;
}

/** The step during which a failure happened. */
export type ErrorPhase =
  | 'open'
  | 'select'
  | 'read'
  | 'plan'
  | 'apply'
  | 'register'
  | 'request'
  | 'quiesce'
  | 'handlers'
  | 'capture'
  | 'persist'
  | 'commit'
  | 'retention'
  | 'close';

export interface ErrorDetails extends ErrorContext {
  readonly cause?: unknown;
  readonly phase?: ErrorPhase;
}

const BRAND: unique symbol = Symbol.for('ckpt.error');

/** The base class of every failure that ckpt reports. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  readonly code: ErrorCode;
  readonly phase: ErrorPhase | undefined;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    const { cause, phase, ...context } = details;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.phase = phase;
    this.context = context;
    Object.defineProperty(this, BRAND, { value: true });
  }

  get image(): string | undefined {
    return this.context.image;
  }
  get provider(): string | undefined {
    return this.context.provider;
  }
  get member(): string | undefined {
    return this.context.member;
  }
  /** Who did not come to a safepoint, when a checkpoint was given up for that. */
  get missing(): ErrorContext['missing'] {
    return this.context.missing;
  }
  get path(): string | undefined {
    return this.context.path;
  }
}

/** True for a CheckpointError of any copy of this package, in any thread or realm (invariant 3). */
export function isCheckpointError(value: unknown, code?: ErrorCode): value is CheckpointError {
  if (typeof value !== 'object' || value === null || !(BRAND in value)) return false;
  return code === undefined || ('code' in value && value.code === code);
}

/** The code of an operating-system error such as ENOSPC, or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined;
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The same error, saying the step during which it happened unless it says one already. */
export function inPhase(error: CheckpointError, phase: ErrorPhase): CheckpointError {
  if (error.phase !== undefined) return error;
  const { cause } = error;
  return new CheckpointError(error.code, error.message, { ...error.context, phase, ...(cause === undefined ? {} : { cause }) });
}
