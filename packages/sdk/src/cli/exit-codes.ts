/**
 * The exit codes of `ckpt`, and which error means which.
 *
 * Invariants
 * 1. Scripts branch on these numbers: they are stable for ever.
 * 2. Every error code has exactly one exit code; docs/errors.md states it.
 */
import type { ErrorCode } from '../base/errors.js';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** Several images were named: some were done, some not. */
  partly: 3,
  noImage: 10,
  locked: 11,
  corrupt: 12,
  /** Of the format, of a schema, or of the program itself. */
  mismatch: 13,
  noAnswer: 14,
} as const;

const BY_CODE: Partial<Record<ErrorCode, number>> = {
  ERR_CKPT_NO_IMAGE: EXIT.noImage,
  ERR_CKPT_NOT_FOUND: EXIT.noImage,
  ERR_CKPT_IMAGE_MISSING: EXIT.noImage,
  ERR_CKPT_LOCKED: EXIT.locked,
  ERR_CKPT_FENCED: EXIT.locked,
  ERR_CKPT_ALL_DAMAGED: EXIT.corrupt,
  ERR_CKPT_BASE_MISSING: EXIT.corrupt,
  ERR_CKPT_DECODE: EXIT.corrupt,
  ERR_CKPT_IMAGE_CORRUPT: EXIT.corrupt,
  ERR_CKPT_IMAGE_INCOMPLETE: EXIT.corrupt,
  ERR_CKPT_IMAGE_LIMIT: EXIT.corrupt,
  ERR_CKPT_IMAGE_FEATURE: EXIT.mismatch,
  ERR_CKPT_IMAGE_VERSION: EXIT.mismatch,
  ERR_CKPT_RESCALE: EXIT.mismatch,
  ERR_CKPT_SCHEMA: EXIT.mismatch,
  ERR_CKPT_UNCLAIMED: EXIT.mismatch,
  ERR_CKPT_WRONG_APP: EXIT.mismatch,
  ERR_CKPT_WRONG_RUN: EXIT.mismatch,
  ERR_CKPT_NO_ANSWER: EXIT.noAnswer,
  ERR_CKPT_NOT_RUNNING: EXIT.noAnswer,
};

export function exitCodeOf(code: ErrorCode): number {
  return BY_CODE[code] ?? EXIT.failed;
}

/** Of several failures of one command: the code they share, or plain failure. */
export function exitCodeOfAll(codes: readonly ErrorCode[]): number {
  const [first, ...others] = new Set(codes.map(exitCodeOf));
  return first === undefined ? EXIT.ok : others.length === 0 ? first : EXIT.failed;
}
