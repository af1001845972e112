/**
 * Securing a captured file: what was written up to the capture becomes durable, and the record of it is made.
 * Runs in the helper thread while the program goes on.
 *
 * Invariants
 * 1. The file is looked up by its path and must still be the one that the handle holds, and hold what was written before
 *    the pending bytes. Only a volatile file may have been replaced: then there is nothing to secure.
 * 2. Pending bytes are written (again) at their positions; what the program writes behind them is not touched.
 * 3. The record is made only after the fsync, and after that of the directory for a file made since the last commit.
 */
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { CheckpointError, isCheckpointError, messageOf, systemCode } from '../base/errors.js';
import type { FileStat, FileSystem, OpenFile } from '../base/ports.js';
import { NO_FOLLOW, syncFolder } from '../store/durable.js';
import { writeWhole } from './bytes.js';
import { checkRangeOf, hashRange, NO_BYTES } from './check.js';
import type { CapturedFile, HashedRange, TrackedFileRecord } from './contract.js';
import { writes } from './declaration.js';

const NO_BLOCK: number = constants.O_NONBLOCK ?? 0; // a pipe that took the file's place must not hold up the thread

/** @throws CheckpointError ERR_CKPT_FILE_CHANGED, _FILE_MISSING, _NO_SPACE, _IO, each naming the file */
export async function secureFile(captured: CapturedFile, fs: FileSystem): Promise<TrackedFileRecord> {
  const { declaration } = captured;
  try {
    const how = writes(declaration.flags) ? constants.O_RDWR : constants.O_RDONLY;
    const file = await fs.open(declaration.path, how | NO_FOLLOW | NO_BLOCK);
    try {
      return await secureOpen(captured, file, fs);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (declaration.policy === 'volatile' && systemCode(error) === 'ENOENT') return recordOf(captured, undefined, NO_BYTES);
    throw asFileError(error, captured);
  }
}

async function secureOpen(captured: CapturedFile, file: OpenFile, fs: FileSystem): Promise<TrackedFileRecord> {
  const { declaration, position, size } = captured;
  const found = await file.stat();
  if (!isSame(captured, found)) {
    if (declaration.policy === 'volatile') return recordOf(captured, undefined, NO_BYTES);
    throw replaced(captured, found);
  }
  if (writes(declaration.flags)) {
    assertNotCut(captured, found);
    await makeDurable(captured, file, fs);
  }
  const stat = await file.stat();
  const { from, to } = checkRangeOf(declaration, position, writes(declaration.flags) ? size : stat.size);
  return recordOf(captured, stat, { from, to, hash: await hashRange(file, from, to) });
}

/** @param stat undefined where another file lies at the path, or none */
function recordOf(captured: CapturedFile, stat: FileStat | undefined, check: HashedRange): TrackedFileRecord {
  const { declaration, member, position, identity } = captured;
  const { name, given, path, flags, mode, policy, verify, late } = declaration;
  const size = writes(flags) ? captured.size : (stat?.size ?? captured.size);
  const mtimeMs = stat?.mtimeMs ?? 0;
  const record = { member, name, given, path, flags, mode, policy, verify, position, size, identity, mtimeMs, check };
  return late === true ? { ...record, late } : record;
}

function isSame({ identity }: CapturedFile, found: FileStat): boolean {
  return found.ino === identity.ino && found.dev === identity.dev;
}

function replaced({ declaration, identity }: CapturedFile, found: FileStat): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_FILE_CHANGED',
    `securing file '${declaration.name}' at ${declaration.path}: expected inode ${identity.ino}, which the program holds open, found inode ${found.ino}: ` +
      'it was replaced or rotated; close and declare it again, or let the program rotate it itself',
    { path: declaration.path, phase: 'persist' },
  );
}

/** A handle that writes at the end has written everything before its first pending byte. */
function assertNotCut({ declaration, pending, size }: CapturedFile, found: FileStat): void {
  const least = declaration.flags === 'r+' ? 0 : (pending[0]?.position ?? size);
  if (found.size >= least) return;
  throw new CheckpointError(
    'ERR_CKPT_FILE_CHANGED',
    `securing file '${declaration.name}' at ${declaration.path}: expected the ${least} bytes that were written, found ${found.size}: ` +
      'somebody cut it; restart from the image before, which needs the bytes back, or from an older one',
    { path: declaration.path, phase: 'persist' },
  );
}

async function makeDurable({ declaration, pending, created }: CapturedFile, file: OpenFile, fs: FileSystem): Promise<void> {
  for (const { position, bytes } of pending) await writeWhole(file, bytes, position);
  await file.sync();
  if (created) await syncFolder(fs, dirname(declaration.path));
}

function asFileError(error: unknown, { declaration: { name, path } }: CapturedFile): unknown {
  if (isCheckpointError(error)) return error;
  const system = systemCode(error);
  const details = { path, phase: 'persist', cause: error } as const;
  if (system === 'ENOENT') {
    return new CheckpointError(
      'ERR_CKPT_FILE_MISSING',
      `securing file '${name}' at ${path}: expected the file that the program holds open, found none: it was removed or renamed; put it back, or close and declare it again`,
      details,
    );
  }
  const full = system === 'ENOSPC' || system === 'EDQUOT';
  return new CheckpointError(
    full ? 'ERR_CKPT_NO_SPACE' : 'ERR_CKPT_IO',
    `securing file '${name}' at ${path}: ${messageOf(error)}; ${full ? 'free space' : 'look at the disk'}: the images before this one are untouched`,
    details,
  );
}
