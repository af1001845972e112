/**
 * What the room of tracked files promises: positions, contents and rules, so that output is exactly once.
 *
 * Invariants
 * 1. A file is never cut, removed or written unless everything that was recorded of it has been verified first, and
 *    everything else that this start puts back as well.
 * 2. Bytes that are cut are saved and durable before they are cut.
 * 3. The path that the program registers is trusted; a path known only from an image must lie under the program's
 *    roots, through no symlink, and be a regular file with one link.
 * 4. All offsets are bytes. A handle knows its own position; descriptors are never opened with O_APPEND.
 */

/** How the program opens the file. */
export type FileFlags = 'r' | 'r+' | 'a' | 'w' | 'wx';

/**
 * What a restart does with it:
 * `append` cuts back to the recorded size; `unchanged` demands that it is as it was; `contents` puts the recorded
 * content back; `contents-if-missing` does so where the file is gone; `volatile` checks nothing and clamps the
 * position to the end; `ignore` records nothing.
 */
export type FilePolicy = 'append' | 'unchanged' | 'contents' | 'contents-if-missing' | 'volatile' | 'ignore';

export type Verification = 'tail' | 'whole';

/** What `ckpt.file` takes beside name and path. */
export interface FileOptions {
  /** Default 'a'. */
  readonly flags?: FileFlags | undefined;
  /** Permissions of a file that is created; default 0o666 before the umask. */
  readonly mode?: number | undefined;
  /** Default: 'append' for a, w, wx; 'unchanged' for r; r+ wants 'contents'. */
  readonly policy?: FilePolicy | undefined;
  /** 'tail' hashes the last 1 MiB before the position, 'whole' all of it; default 'tail'. */
  readonly verify?: Verification | undefined;
  /** Folder that a relative path is resolved against; default: the working directory. */
  readonly root?: string | undefined;
}

/** A declared file: options checked, defaults filled in, path resolved. */
export interface FileDeclaration {
  readonly name: string;
  /** As the program gave it. */
  readonly given: string;
  /** Absolute. */
  readonly path: string;
  readonly flags: FileFlags;
  readonly mode: number;
  readonly policy: FilePolicy;
  readonly verify: Verification;
  /** It was declared after start(). */
  readonly late?: boolean;
}

export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

/** The bytes [from, to) of a file and their BLAKE3-256, lower-case hex. */
export interface HashedRange {
  readonly from: number;
  readonly to: number;
  readonly hash: string;
}

/** A tracked file as an image records it; the fields of `FileRecord` in the manifest. */
export interface TrackedFileRecord {
  readonly member: string;
  readonly name: string;
  /** As the program gave it: relative paths stay relative. */
  readonly given: string;
  /** Absolute at the capture. */
  readonly path: string;
  readonly flags: FileFlags;
  readonly mode: number;
  readonly policy: FilePolicy;
  readonly verify: Verification;
  /** The handle's position. */
  readonly position: number;
  /** Bytes that belong to the image: the end of what was written, or the size of a file that is read. */
  readonly size: number;
  readonly identity: FileIdentity;
  readonly mtimeMs: number;
  /** The last 1 MiB before `position` (readers) or `size` (writers), or all of it. */
  readonly check: HashedRange;
  /** Name of the section that holds the content, for the policies that keep it. */
  readonly contents?: string;
  /** The program declares it only after start(): outside of the roots a start leaves it to that. */
  readonly late?: true;
}

/** Bytes that may not be in the file yet. */
export interface PendingWrite {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** What the capture takes of an open file, synchronously; plain data that crosses to the helper thread. */
export interface CapturedFile {
  readonly declaration: FileDeclaration;
  readonly member: string;
  readonly position: number;
  readonly size: number;
  readonly identity: FileIdentity;
  /** In order, never changed after the capture; written again by whoever makes the file durable, which is harmless. */
  readonly pending: readonly PendingWrite[];
  /** True when its directory entry was made since the last commit. */
  readonly created: boolean;
  /**
   * Number of the handle within its process. A handle of a, w or wx writes only at its end, so two captures of one handle
   * agree in all that the earlier recorded. Absent: it may be another handle.
   */
  readonly handle?: number;
}

/** Bytes that a put-back took away: the file in `tails/` that has them, and their BLAKE3-256, lower-case hex. */
export interface KeptTail {
  readonly file: string;
  readonly size: number;
  readonly hash: string;
  /** The last 1 MiB before them. */
  readonly prefix: HashedRange;
}

/**
 * What a file was before a life changed it, by its first write or by putting it back: to bring it back to that for a source
 * image that is older than the change, or of another branch.
 */
export interface Baseline {
  readonly name: string;
  /** As the program gave it: a relative path stays the same file when the whole run is moved. */
  readonly given: string;
  readonly path: string;
  readonly epoch: number;
  /** The newest generation that had been captured when it was made. */
  readonly generation: number;
  readonly was:
    | { readonly kind: 'absent' }
    | {
        readonly kind: 'present';
        readonly size: number;
        readonly identity: FileIdentity;
        readonly check: HashedRange;
        /** File in `tails/` that holds the content, for handles that change it in place. */
        readonly copy?: string;
      }
    /** A put-back cut it at `keep`, removed it or wrote it anew from there on, where it had `size` bytes and inode `ino`. */
    | { readonly kind: 'cut'; readonly keep: number; readonly size: number; readonly ino: number; readonly tail: KeptTail };
}

/** One thing that a start does to one file. */
export type PutBack =
  | { readonly do: 'nothing' }
  | { readonly do: 'cut'; readonly to: number; readonly from: number }
  | { readonly do: 'remove'; readonly from: number }
  | { readonly do: 'write-contents'; readonly section: string; readonly size: number; readonly from: number | undefined }
  | { readonly do: 'copy-back'; readonly copy: string; readonly size: number; readonly from: number | undefined };

/** The plan for one file; also what the dry run shows. */
export interface FilePlan {
  readonly name: string;
  readonly path: string;
  readonly policy: FilePolicy;
  readonly found: boolean;
  /** Bytes beyond the recorded size. */
  readonly beyond: number;
  readonly prefix: 'matches' | 'differs' | 'not checked';
  readonly put: PutBack;
  readonly refused?: { readonly code: string; readonly message: string };
}
