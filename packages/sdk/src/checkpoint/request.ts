/**
 * A request for a checkpoint and how it ends: what triggers hand to the conductor and what callers get back.
 *
 * Invariants
 * 1. A request is never lost: each gets exactly one outcome.
 * 2. Requests that wait together become one image; it carries all their names.
 */
import type { CheckpointError } from '../base/errors.js';

export type RequestReason = 'call' | 'signal' | 'timer' | 'request-file' | 'finish';

/** An image as callers see it. */
export interface ImageInfo {
  readonly id: string;
  /** The first of `names`, or undefined. */
  readonly name: string | undefined;
  readonly names: readonly string[];
  readonly generation: number;
  readonly epoch: number;
  readonly path: string;
  /** Wall time of the capture, ms since 1970. */
  readonly createdAt: number;
  /** Id of the image before it on the lineage, or undefined. */
  readonly parent: string | undefined;
  readonly finished: boolean;
}

export interface CheckpointTimes {
  /** From the request to the moment everything stood. */
  readonly quiesceMs: number;
  /** How long the program stood: handlers and capture. */
  readonly freezeMs: number;
  /** The synchronous capture alone. */
  readonly captureMs: number;
  /** Hash, write, fsync and commit, in the background. */
  readonly persistMs: number;
  readonly totalMs: number;
}

export interface CheckpointBytes {
  /** Bytes of the registered state. */
  readonly state: number;
  /** Bytes of it that had changed since the last commit. */
  readonly dirty: number;
  /** Bytes of it that were written while the program stood, because there was no room for a copy (`memoryBudget`). */
  readonly uncopied: number;
  /** Size of the image. */
  readonly stored: number;
}

export interface CheckpointResult {
  readonly image: ImageInfo;
  readonly reason: RequestReason;
  readonly times: CheckpointTimes;
  readonly bytes: CheckpointBytes;
}

/** What a checkpoint comes to where there is nothing to write. */
export function nothingWritten(image: ImageInfo): CheckpointResult {
  const times = { quiesceMs: 0, freezeMs: 0, captureMs: 0, persistMs: 0, totalMs: 0 };
  return { image, reason: 'finish', times, bytes: { state: 0, dirty: 0, uncopied: 0, stored: 0 } };
}

export type RequestOutcome =
  | { readonly ok: true; readonly result: CheckpointResult }
  | { readonly ok: false; readonly error: CheckpointError };

export interface CheckpointRequest {
  readonly reason: RequestReason;
  readonly name?: string;
  /** The name may move although this incarnation has given it already. */
  readonly replace?: boolean;
  /** Stay stopped until the commit, then exit with code 85. */
  readonly exit: boolean;
  /** Told when the capture is over and the program goes on; not told when the checkpoint failed before. */
  readonly captured?: () => void;
  /** Told once how it ended. */
  readonly settled?: (outcome: RequestOutcome) => void;
}

/** Hands a request in. Never throws; the outcome goes to `settled`. */
export type Ask = (request: CheckpointRequest) => void;
