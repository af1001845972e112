/**
 * Reading from a store: small records whole, images as a source of bytes.
 *
 * Invariants
 * 1. No symbolic link is followed, and what is not a regular file is not read.
 * 2. A record is never read beyond its limit, whatever its size says.
 * 3. A source fills the whole target or rejects; a file that ends early is ERR_CKPT_IMAGE_INCOMPLETE.
 */
import { constants } from 'node:fs';
import { CheckpointError } from '../base/errors.js';
import type { FileSystem, OpenFile } from '../base/ports.js';
import type { ByteSource } from '../image/contract.js';
import { kindOf } from './context.js';
import { NO_FOLLOW } from './durable.js';
import { ifPresent, quietly, storeError, storeFailure, translated } from './failure.js';

// A pipe planted in the store must not block the open for ever.
const READ = constants.O_RDONLY | NO_FOLLOW | (constants.O_NONBLOCK ?? 0);

async function openRegular(fs: FileSystem, path: string): Promise<{ file: OpenFile; size: number } | undefined> {
  const file = await ifPresent(() => fs.open(path, READ));
  if (file === undefined) return undefined;
  try {
    const stat = await file.stat();
    if (!stat.isFile())
      throw storeError('ERR_CKPT_STORE_UNSAFE', { operation: 'read', path, phase: 'read' }, 'a regular file', kindOf(stat));
    return { file, size: stat.size };
  } catch (cause) {
    await quietly(() => file.close());
    throw cause;
  }
}

async function fill(file: OpenFile, target: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < target.byteLength) {
    const got = await file.read(target, done, target.byteLength - done, position + done);
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** The bytes of a record, or undefined when there is none. */
export async function readRecord(fs: FileSystem, path: string, limit: number): Promise<Uint8Array | undefined> {
  const attempt = { operation: 'read', path, phase: 'read' } as const;
  return translated(attempt, async () => {
    const opened = await openRegular(fs, path);
    if (opened === undefined) return undefined;
    const { file, size } = opened;
    try {
      if (size > limit) throw storeError('ERR_CKPT_STORE_UNSAFE', attempt, `at most ${limit} bytes`, `${size}`);
      const bytes = new Uint8Array(size);
      return bytes.subarray(0, await fill(file, bytes, 0));
    } finally {
      await quietly(() => file.close());
    }
  });
}

/** An image file as a source of bytes; undefined when there is no such file. */
export async function openSource(fs: FileSystem, path: string): Promise<ByteSource | undefined> {
  const attempt = { operation: 'read', path, phase: 'read' } as const;
  const opened = await translated(attempt, () => openRegular(fs, path));
  if (opened === undefined) return undefined;
  const { file, size } = opened;
  return {
    size,
    label: path,
    read: async (target, position) => {
      let got: number;
      try {
        got = await fill(file, target, position);
      } catch (cause) {
        throw storeFailure(cause, attempt);
      }
      if (got < target.byteLength) {
        throw new CheckpointError(
          'ERR_CKPT_IMAGE_INCOMPLETE',
          `cannot read ${path}: expected ${target.byteLength} bytes at ${position}, found ${got}; restart from an older image`,
          { path, phase: 'read' },
        );
      }
    },
    close: () => file.close(),
  };
}
