/**
 * What planning finds out about one file, and what is to be done to it.
 */
import type { CheckpointError } from '../base/errors.js';
import type { FileStat } from '../base/ports.js';
import type { ByteSource } from '../image/contract.js';
import type { FilePlan, PutBack } from './contract.js';
import type { Trust } from './inspect.js';

/** How a file is changed; the bytes that this takes away are saved first. */
export interface Change {
  readonly do: 'rewrite' | 'remove' | 'create';
  /** The bytes [0, keep) stay. */
  readonly keep: number;
  /** Size afterwards. */
  readonly size: number;
  /** All of the content; needed where bytes from `keep` on are written. The caller closes what it gets. */
  readonly content?: (() => Promise<ByteSource>) | undefined;
  /** Permissions of a file that is made. */
  readonly mode: number;
}

/** The plan that is shown, with what putting back needs. */
export interface PlannedFile extends FilePlan {
  readonly trust: Trust;
  /** The path as the program gave it. */
  readonly given: string;
  /** The file as it was when it was planned. */
  readonly seen: FileStat | undefined;
  readonly change: Change | undefined;
  /** When the program declares it, it is looked at again: content is put only into files that the program has named. */
  readonly deferred: boolean;
  /** What `refused` tells, as it is thrown. */
  readonly error: CheckpointError | undefined;
}

/** Filled while a file is being looked at, so that a refusal shows what was found until then. */
export interface Facts {
  found: boolean;
  beyond: number;
  prefix: FilePlan['prefix'];
}

export interface Outcome {
  readonly put: PutBack;
  readonly seen?: FileStat | undefined;
  readonly change?: Change | undefined;
  readonly deferred?: boolean;
}

export const NOTHING: Outcome = { put: { do: 'nothing' } };
