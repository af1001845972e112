/**
 * What everything that puts files back at a start needs to know.
 */
import type { FileSystem } from '../base/ports.js';
import type { ByteSource, ImageRef } from '../image/contract.js';
import type { Journal } from '../store/contract.js';
import type { Baselines } from './baselines.js';
import type { TrackedFileRecord } from './contract.js';

export interface StartContext {
  /** Better one that tries again when it is interrupted. */
  readonly fileSystem: FileSystem;
  readonly journal: Journal;
  readonly baselines: Baselines;
  /** Folders within which paths known only from an image or the store may lie. */
  readonly roots: readonly string[];
  readonly epoch: number;
  /** What this life started from; null when fresh. */
  readonly source: ImageRef | null;
  /** The newest generation that was captured so far, committed or not. */
  readonly generation: () => number;
  readonly keepTails: boolean;
  /** True for a store that was copied since the source was made: the inodes that it recorded say nothing. */
  readonly copied: boolean;
  /** Whether the store was copied after that epoch: what that life wrote in the journal speaks of other files. Default: as `copied`. */
  readonly copiedSince?: ((epoch: number) => Promise<boolean>) | undefined;
  /** The content of a file that the source image keeps, by the name of its section. The caller closes what it gets. */
  readonly contents: (section: string) => ByteSource | undefined;
  /** Where a recorded file that the program has not declared lies now; default: at its recorded path. */
  readonly locate?: ((record: Pick<TrackedFileRecord, 'path' | 'given'>) => string) | undefined;
  /** Paths that this start has verified and put back; empty at first. */
  readonly ready: Set<string>;
  /** Rejects with ERR_CKPT_FENCED once a newer epoch is claimed. */
  readonly assertNewest: () => Promise<void>;
  /** Told of every byte that is cut and where it is kept. */
  readonly log: (message: string) => void;
}
