/**
 * Reads one request file without trusting it.
 *
 * Invariants
 * 1. No symbolic link is followed, nothing but a regular file is read, and opening never hangs (a FIFO).
 * 2. At most LONGEST_REQUEST bytes are kept.
 */
import { constants } from 'node:fs';
import { messageOf, systemCode } from '../base/errors.js';
import type { FileStat, FileSystem, OpenFile } from '../base/ports.js';
import { LONGEST_REQUEST } from './request-content.js';

interface Identity {
  readonly ino: number;
  readonly mtimeMs: number;
}

export type ReadRequest =
  | { readonly kind: 'absent' }
  | ({ readonly kind: 'text'; readonly text: string } & Identity)
  | ({ readonly kind: 'too-large' | 'directory' | 'special' } & Identity)
  | ({ readonly kind: 'unreadable'; readonly reason: string } & Identity);

// Windows has neither flag.
const READ_ONLY = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

export async function readRequestFile(fileSystem: FileSystem, path: string): Promise<ReadRequest> {
  let found: FileStat;
  try {
    found = await fileSystem.lstat(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { kind: 'absent' };
    throw error;
  }
  const identity: Identity = { ino: found.ino, mtimeMs: found.mtimeMs };
  if (found.isDirectory()) return { kind: 'directory', ...identity };
  if (!found.isFile()) return { kind: 'special', ...identity };
  try {
    const file = await fileSystem.open(path, READ_ONLY);
    try {
      return await readOpen(file);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { kind: 'absent' };
    return { kind: 'unreadable', reason: messageOf(error), ...identity };
  }
}

async function readOpen(file: OpenFile): Promise<ReadRequest> {
  const stat = await file.stat();
  const identity: Identity = { ino: stat.ino, mtimeMs: stat.mtimeMs };
  if (!stat.isFile()) return { kind: 'special', ...identity };
  const bytes = Buffer.alloc(LONGEST_REQUEST + 1);
  let length = 0;
  while (length < bytes.length) {
    const count = await file.read(bytes, length, bytes.length - length, length);
    if (count === 0) break;
    length += count;
  }
  if (length > LONGEST_REQUEST) return { kind: 'too-large', ...identity };
  return { kind: 'text', text: bytes.toString('utf8', 0, length), ...identity };
}
