/**
 * The journal's records about what files were: their names and shapes.
 *
 *   base-<epoch>-<n>      what the file was before this life opened it for writing
 *   put-<epoch>-<n>-<i>   what it was before a put-back of this life changed it, and which file in `tails/` has what went
 *   made-<epoch>-<n>      a file of that path that this run made
 *
 * Invariants
 * 1. Whatever is not exactly of the stated shape refuses the store (ERR_CKPT_STORE_UNSAFE).
 */
import { z } from 'zod';
import type { Baseline, HashedRange, KeptTail } from './contract.js';
import { FILE_NUMBER } from './file-number.js';

export interface Made {
  readonly path: string;
  readonly ino: number;
  /** 0 where the file system does not keep it; with it a reused inode is told from ours. */
  readonly birthtimeMs: number;
}

const bytes = z.int().nonnegative();
export const HASHED_RANGE: z.ZodType<HashedRange> = z.object({ from: bytes, to: bytes, hash: z.string() });
export const TAIL_NAME: z.ZodType<string> = z.string().regex(/^tail-[A-Za-z0-9._-]{1,190}$/);
export const KEPT_TAIL: z.ZodType<KeptTail> = z
  .object({ file: TAIL_NAME, size: bytes, hash: z.string(), prefix: HASHED_RANGE })
  .refine(({ prefix }) => prefix.from <= prefix.to, 'expected a range of bytes');
const present = z
  .object({
    kind: z.literal('present'),
    size: bytes,
    identity: z.object({ dev: FILE_NUMBER, ino: FILE_NUMBER }),
    check: HASHED_RANGE,
    copy: z.string().exactOptional(),
  })
  .refine(({ check, size }) => check.to <= size, 'expected a check within the file');
const cut = z
  .object({ kind: z.literal('cut'), keep: bytes, size: bytes, ino: FILE_NUMBER, tail: KEPT_TAIL })
  .refine(({ keep, size, tail }) => tail.size > 0 && keep + tail.size === size && tail.prefix.to === keep, 'expected a tail that fits');

export const BASELINE: z.ZodType<Baseline> = z.object({
  name: z.string(),
  given: z.string(),
  path: z.string(),
  epoch: z.int().positive(),
  generation: bytes,
  was: z.union([z.object({ kind: z.literal('absent') }), present, cut]),
});
export const MADE: z.ZodType<Made> = z.object({ path: z.string(), ino: FILE_NUMBER, birthtimeMs: z.number() });

/** What the name of such a record tells. */
export interface RecordName {
  readonly record: string;
  readonly kind: 'base' | 'made' | 'put';
  readonly epoch: number;
}

const RECORD = /^(?:(base|made)-([1-9]\d{0,14})-([1-9]\d{0,14})|(put)-([1-9]\d{0,14})-([1-9]\d{0,14})-([1-9]\d{0,14}))$/;

/** The names of such records among others, in order of time: a life puts back before it opens. */
export function inOrder(records: readonly string[]): RecordName[] {
  const found = records.flatMap((record) => {
    const [, opened, ofOpened, count, put, ofPut, number, place] = RECORD.exec(record) ?? [];
    if (opened === 'base' || opened === 'made')
      return { record, kind: opened, epoch: Number(ofOpened), order: [1, Number(count), 0] } as const;
    if (put === 'put') return { record, kind: put, epoch: Number(ofPut), order: [0, Number(number), Number(place)] } as const;
    return [];
  });
  return found.sort((a, b) => a.epoch - b.epoch || a.order[0] - b.order[0] || a.order[1] - b.order[1] || a.order[2] - b.order[2]);
}
