/**
 * Records of tracked files as they come from an image: untrusted until they have passed here.
 *
 * Invariants
 * 1. Whatever is not exactly of the stated shape refuses the image (ERR_CKPT_IMAGE_CORRUPT), naming the file.
 */
import { isAbsolute, normalize } from 'node:path';
import { z } from 'zod';
import { CheckpointError } from '../base/errors.js';
import { INTERPRETED } from '../base/interpreted.js';
import type { FileRecord } from '../image/contract.js';
import type { TrackedFileRecord } from './contract.js';
import { FILE_NUMBER } from './file-number.js';

const bytes = z.int().nonnegative();
const path = z
  .string()
  .refine((text) => isAbsolute(text) && normalize(text) === text && !text.includes('\0'), 'expected an absolute path without detours');

const SCHEMA: z.ZodType<TrackedFileRecord> = z
  .object({
    member: z.string(),
    name: z.string(),
    given: z.string(),
    path,
    flags: z.enum(['r', 'r+', 'a', 'w', 'wx']),
    mode: z.int().min(0).max(0o7777),
    policy: z.enum(['append', 'unchanged', 'contents', 'contents-if-missing', 'volatile', 'ignore']),
    verify: z.enum(['tail', 'whole']),
    position: bytes,
    size: bytes,
    identity: z.object({ dev: FILE_NUMBER, ino: FILE_NUMBER }),
    mtimeMs: z.number(),
    check: z.object({ from: bytes, to: bytes, hash: z.string().regex(/^[0-9a-f]{64}$/) }),
    contents: z.string().exactOptional(),
    late: z.literal(true).exactOptional(),
  })
  .refine(({ check, size }) => check.from <= check.to && check.to <= size, 'expected a check within the file');

/** @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT */
export function parseFileRecord(record: FileRecord, image: string): TrackedFileRecord {
  const parsed = SCHEMA.safeParse(record, INTERPRETED);
  if (parsed.success) return parsed.data;
  const found = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the record'}: ${issue.message}`).join('; ');
  throw new CheckpointError('ERR_CKPT_IMAGE_CORRUPT', `reading the file '${record.name}' of image ${image}: ${found}; name another image`, {
    image,
    path: record.path,
    phase: 'plan',
  });
}
