/**
 * How bytes become durable under a final name: the one primitive behind records and images.
 *
 * Invariants
 * 1. A file is complete, of the expected size and fsynced before anything refers to it by its final name.
 * 2. A final name is given by `link`, which never overwrites; never by rename, never by copying.
 * 3. An inode whose write or fsync failed is abandoned: unlinked, never fsynced again.
 * 4. A failed fsync of the directory after the link is ERR_CKPT_UNCERTAIN; the file stays.
 * 5. No temporary file outlives a failure that the process survives.
 */
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { systemCode } from '../base/errors.js';
import type { FileSystem, OpenFile } from '../base/ports.js';
import type { ByteSink } from '../image/contract.js';
import type { BusyTime } from './busy-time.js';
import { epochTemporary, processTemporary, type StoreContext } from './context.js';
import { type Attempt, quietly, storeError, storeFailure, translated } from './failure.js';
import { PieceSink } from './piece-sink.js';
import { encodeRecord } from './records.js';

/** Absent on Windows, which has no such flag. */
export const NO_FOLLOW: number = constants.O_NOFOLLOW ?? 0;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW;
const LARGEST_WRITE = 64 * 1024 * 1024;

/** File systems that cannot fsync a directory say so with one of these; that is reported once, at open. */
const NO_DIRECTORY_SYNC: ReadonlySet<string> = new Set([
  'EINVAL',
  'ENOTSUP',
  'EOPNOTSUPP',
  ...(process.platform === 'win32' ? ['EPERM', 'EISDIR', 'EACCES'] : []),
]);

async function writeAll(file: OpenFile, chunk: Uint8Array, start: number, attempt: Attempt): Promise<number> {
  let done = 0;
  while (done < chunk.byteLength) {
    const written = await file.write(chunk, done, Math.min(chunk.byteLength - done, LARGEST_WRITE), start + done);
    if (written === 0) throw storeError('ERR_CKPT_IO', attempt, `${chunk.byteLength} bytes to be taken`, `${done}`);
    done += written;
  }
  return start + done;
}

/**
 * Creates `path`, lets `fill` write it, and makes it durable (invariants 1, 3, 5). @returns what `fill` returned and the size
 * @param busy counts the time that the writes and the sync take
 */
export async function createDurable<T>(
  fs: FileSystem,
  path: string,
  fill: (sink: ByteSink) => Promise<T>,
  busy?: BusyTime,
): Promise<{ result: T; size: number }> {
  const attempt = { operation: 'write', path, phase: 'persist' } as const;
  const file = await translated({ ...attempt, operation: 'create' }, () => fs.open(path, CREATE, 0o600));
  let open = true;
  try {
    const { result, size } = await fillPieces(fs, path, file, fill, { attempt, busy });
    const { size: found } = await file.stat();
    if (found !== size) throw storeError('ERR_CKPT_IO', attempt, `a file of ${size} bytes`, `${found} bytes`);
    await (busy === undefined ? file.sync() : busy.during(() => file.sync()));
    open = false;
    await file.close();
    return { result, size };
  } catch (cause) {
    if (open) await quietly(() => file.close());
    await quietly(() => fs.unlink(path));
    throw storeFailure(cause, attempt);
  }
}

async function fillPieces<T>(
  fs: FileSystem,
  path: string,
  file: OpenFile,
  fill: (sink: ByteSink) => Promise<T>,
  { attempt, busy }: { readonly attempt: Attempt; readonly busy: BusyTime | undefined },
): Promise<{ result: T; size: number }> {
  const sink = new PieceSink(fs, path, file, (to, chunk, start) => writeAll(to, chunk, start, attempt), busy);
  try {
    const result = await fill(sink);
    return { result, size: await sink.end() };
  } finally {
    await sink.close();
  }
}

async function isSameFile(fs: FileSystem, a: string, b: string): Promise<boolean> {
  try {
    const [first, second] = [await fs.lstat(a), await fs.lstat(b)];
    return first.ino === second.ino && first.dev === second.dev;
  } catch {
    return false;
  }
}

/**
 * Gives a complete file its final name. A network file system may have done so although it answers with an error
 * (the answer to a first try was lost): whose inode lies there decides.
 * @returns false when another file has that name
 */
export async function linkOnce(fs: FileSystem, from: string, to: string): Promise<boolean> {
  try {
    await fs.link(from, to);
    return true;
  } catch (cause) {
    if (await isSameFile(fs, from, to)) return true;
    if (systemCode(cause) === 'EEXIST') return false;
    throw storeFailure(cause, { operation: 'link', path: to, phase: 'commit' });
  }
}

/** Makes the entries of a folder durable (invariant 4). @returns false where the file system cannot do that */
export async function syncFolder(fs: FileSystem, folder: string): Promise<boolean> {
  try {
    await fs.syncDirectory(folder);
    return true;
  } catch (cause) {
    const system = systemCode(cause) ?? '';
    if (NO_DIRECTORY_SYNC.has(system)) return false;
    const attempt = { operation: 'make durable', path: folder, phase: 'commit' } as const;
    if (system === 'ENOENT' || system === 'ENOTDIR' || system === 'ESTALE') throw storeFailure(cause, attempt);
    throw storeError('ERR_CKPT_UNCERTAIN', attempt, 'its entries to reach the disk', system || 'a failure', cause);
  }
}

/**
 * Writes a record under its final name, durably.
 * @param epoch whose life the temporary file belongs to; undefined before a claim
 * @returns false when that name is taken, in which case nothing was changed
 */
export async function putRecord(store: StoreContext, path: string, record: object, epoch?: number): Promise<boolean> {
  const temporary = epoch === undefined ? processTemporary(store) : epochTemporary(store, epoch);
  await createDurable(store.fs, temporary, (sink) => sink.write(encodeRecord(record)));
  let linked: boolean;
  try {
    linked = await linkOnce(store.fs, temporary, path);
  } finally {
    await quietly(() => store.fs.unlink(temporary));
  }
  if (linked) await syncFolder(store.fs, dirname(path));
  return linked;
}

/** Makes a folder unless it is there, durably. */
export async function makeFolder(fs: FileSystem, path: string): Promise<void> {
  const attempt = { operation: 'make the directory', path, phase: 'commit' } as const;
  try {
    await fs.mkdir(path, 0o700);
  } catch (cause) {
    if (systemCode(cause) !== 'EEXIST') throw storeFailure(cause, attempt);
    const stat = await translated(attempt, () => fs.lstat(path));
    if (!stat.isDirectory()) throw storeError('ERR_CKPT_STORE_UNSAFE', attempt, 'a directory or nothing', 'something else', cause);
  }
  // Always: whoever made it may have been killed before this.
  await syncFolder(fs, dirname(path));
}
