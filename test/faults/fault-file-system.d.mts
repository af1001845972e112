import type { FileSystem } from '../../packages/sdk/src/base/ports.js';

export type OperationName =
  | 'open'
  | 'read'
  | 'write'
  | 'write-sync'
  | 'truncate'
  | 'fsync'
  | 'stat'
  | 'close'
  | 'mkdir'
  | 'readdir'
  | 'lstat'
  | 'realpath'
  | 'link'
  | 'rename'
  | 'unlink'
  | 'rmdir'
  | 'fsync-directory';

export interface Operation {
  readonly name: OperationName;
  readonly path: string;
  /** Second path of link and rename. */
  readonly to?: string;
  /** Number of the open file. */
  readonly handle?: number;
  readonly flags?: number;
  readonly length?: number;
  readonly position?: number | null;
  /** What was to be written; the memory of the caller. */
  readonly bytes?: Uint8Array;
  readonly result?: unknown;
  /** What the real operation failed with. */
  readonly error?: unknown;
}

export interface Fault {
  readonly op?: OperationName;
  /** Part of the path (either path of link and rename). */
  readonly path?: string;
  /** End of the path (either). */
  readonly end?: string;
  /** Which matching operation, from 1 on. Default 1. */
  readonly nth?: number;
  /** How many from then on. Default 1. */
  readonly times?: number;
  /**
   * `errno:EIO` fails instead of doing it, `errno-after:EIO` does it and fails, `short` moves half of the bytes,
   * `kill-…` is SIGKILL to this process, `stop-before` SIGSTOP, `halt-…` lets no operation of this file system
   * ever settle again: what a kill looks like from inside one process.
   */
  readonly action:
    | `errno:${string}`
    | `errno-after:${string}`
    | 'short'
    | 'kill-before'
    | 'kill-after'
    | 'stop-before'
    | 'halt-before'
    | 'halt-after';
}

export interface FaultListeners {
  readonly onOperation?: (operation: Operation) => void;
  readonly onFired?: (fault: Fault, operation: Operation) => void;
  /** The last operation is over; none after it settles. */
  readonly onHalted?: () => void;
}

export function isCounted(path: string): boolean;

export class Faults {
  constructor(faults?: readonly Fault[], listeners?: FaultListeners);
  readonly halted: boolean;
  /** Other faults from now on, counting anew. */
  replace(faults: readonly Fault[]): void;
}

export function faultyFileSystem(base: FileSystem, faults: Faults): FileSystem & { abandon(): Promise<void> };
