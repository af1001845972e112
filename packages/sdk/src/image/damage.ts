/**
 * Errors about a damaged image: what was read, which part, expected and found, what to do.
 *
 * Invariants
 * 1. The damaged part is named in the message and in `context.section`.
 */
import { CheckpointError, type ErrorCode } from '../base/errors.js';

const REMEDY = 'this image cannot be used; take another one';

export function damage(code: ErrorCode, label: string, section: string, found: string, cause?: unknown): CheckpointError {
  const details = { path: label, section, phase: 'read', ...(cause === undefined ? {} : { cause }) } as const;
  return new CheckpointError(code, `read image ${label}: ${section}: ${found}; ${REMEDY}`, details);
}

export function corrupt(label: string, section: string, found: string): CheckpointError {
  return damage('ERR_CKPT_IMAGE_CORRUPT', label, section, found);
}

export function incomplete(label: string, section: string, found: string): CheckpointError {
  return damage('ERR_CKPT_IMAGE_INCOMPLETE', label, section, found);
}

export function beyondLimit(label: string, section: string, found: string): CheckpointError {
  return damage('ERR_CKPT_IMAGE_LIMIT', label, section, found);
}
