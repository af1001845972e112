/**
 * The parts of one content section while it is written: extents that lie in older images, and bytes.
 *
 * Invariants
 * 1. At most 1 MiB of a file is in memory at a time.
 * 2. An extent is reused unread only where the file cannot have changed below it; otherwise its bytes are read and it is
 *    reused when they have its hash.
 * 3. A file that is not the one that was captured, or has become shorter, ends the checkpoint.
 */
import { constants } from 'node:fs';
import type { FileSystem, OpenFile } from '../base/ports.js';
import type { Extent } from '../image/contract.js';
import { EXTENT_BYTES } from '../image/format.js';
import { hash, hex } from '../image/integrity.js';
import type { Reuse } from '../store/base-leases.js';
import { NO_FOLLOW } from '../store/durable.js';
import { quietly } from '../store/failure.js';
import type { OldExtent } from '../store/previous-image.js';
import type { ContentSection } from './content-sections.js';
import type { TrackedFileRecord } from './contract.js';
import { fileError, onFile } from './failure.js';

type Part = Uint8Array | Extent;

export interface ContentFile {
  readonly record: TrackedFileRecord;
  readonly fileSystem: FileSystem;
  readonly reuse: Reuse;
  /** The file is as it was below what was recorded before (invariant 2). */
  readonly onlyAppended: boolean;
}

/** @param old the same section of the image before */
export async function* partsOfFile(content: ContentFile, { from, to }: ContentSection, old: readonly OldExtent[]): AsyncGenerator<Part> {
  const { reuse, onlyAppended, record } = content;
  let file: OpenFile | undefined;
  const read = async (at: number, length: number): Promise<Uint8Array> => {
    file ??= await openContent(content);
    return readWhole(file, at, length, record);
  };
  async function* bytes(at: number, end: number): AsyncGenerator<Uint8Array> {
    for (let next = at; next < end; next += EXTENT_BYTES) yield await read(next, Math.min(EXTENT_BYTES, end - next));
  }
  try {
    let at = from;
    for (const extent of old) {
      const end = at + extent.length;
      if (end > to) break;
      const again = reuse(extent);
      if (again !== undefined && onlyAppended) yield again;
      else if (again === undefined || extent.image === undefined) yield* bytes(at, end);
      else {
        const found = await read(at, extent.length);
        yield hex(hash(found)) === extent.hash ? again : found;
      }
      at = end;
    }
    yield* bytes(at, to);
  } finally {
    await file?.close();
  }
}

async function openContent({ record, fileSystem }: ContentFile): Promise<OpenFile> {
  const attempt = { operation: 'copy the content of', name: record.name, path: record.path, phase: 'persist' } as const;
  const file = await onFile(attempt, () => fileSystem.open(record.path, constants.O_RDONLY | NO_FOLLOW));
  try {
    const { ino, dev } = await onFile(attempt, () => file.stat());
    if (ino === record.identity.ino && dev === record.identity.dev) return file;
    throw fileError('ERR_CKPT_FILE_CHANGED', attempt, {
      expected: `inode ${record.identity.ino}, which the program holds open`,
      found: `inode ${ino}`,
      remedy: 'it was replaced or rotated; close and declare it again',
    });
  } catch (error) {
    await quietly(() => file.close());
    throw error;
  }
}

async function readWhole(file: OpenFile, position: number, length: number, { name, path }: TrackedFileRecord): Promise<Uint8Array> {
  const attempt = { operation: 'copy the content of', name, path, phase: 'persist' } as const;
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const got = await onFile(attempt, () => file.read(bytes, done, length - done, position + done));
    if (got === 0) {
      throw fileError('ERR_CKPT_FILE_CHANGED', attempt, {
        expected: `at least ${position + length} bytes`,
        found: `${position + done}`,
        remedy: 'something cut it while the checkpoint was written; see who else writes to it',
      });
    }
    done += got;
  }
  return bytes;
}
