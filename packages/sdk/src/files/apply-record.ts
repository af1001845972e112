/**
 * The journal of a put-back: what is going to be done, and that it has begun.
 *
 *   apply-<epoch>-<n>       what will be done to which file, and where the bytes that go are to be kept; nothing is done yet
 *   apply-<epoch>-<n>-go    those bytes are kept and durable, with their hashes; from now on files are changed
 *
 * Invariants
 * 1. Without its `go` nothing was changed, and what was kept is superfluous.
 * 2. While both are there the put-back is unfinished; it is over when the first record is gone.
 */
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import type { ImageRef } from '../image/contract.js';
import type { Journal } from '../store/contract.js';
import { HASHED_RANGE, KEPT_TAIL, TAIL_NAME } from './baseline-record.js';
import type { StartContext } from './context.js';
import type { HashedRange, KeptTail } from './contract.js';
import { FILE_NUMBER } from './file-number.js';

/** One change of one file, with what undoing it needs. */
export interface Action {
  readonly do: 'rewrite' | 'remove' | 'create';
  readonly path: string;
  /** The program registered the path; whether it does so in a later start is asked then. */
  readonly name: string;
  /** The path as the program gave it. */
  readonly given: string;
  /** Inode of the file that is changed; undefined for one that is made. */
  readonly ino: number | undefined;
  /** The bytes [0, keep) stay, [keep, before) go. */
  readonly keep: number;
  readonly before: number;
  readonly after: number;
  /** File in `tails/` for the bytes that go; undefined when none go. */
  readonly tail: string | undefined;
  readonly mode: number;
}

interface Intent {
  readonly epoch: number;
  /** The newest generation that had been captured when it was made. */
  readonly generation: number;
  readonly source: ImageRef | null;
  readonly actions: readonly Action[];
}

/** A file from which nothing goes, and which becomes longer. */
export interface Grown {
  readonly path: string;
  /** The last 1 MiB of what it has before. */
  readonly check: HashedRange;
}

/** What is durable before the first file is changed. */
export interface Kept {
  readonly tails: readonly KeptTail[];
  readonly grown: readonly Grown[];
}

/** A put-back as the journal tells it. */
export interface Recorded extends Intent {
  readonly record: string;
  /** Undefined while nothing has been changed. */
  readonly kept: Kept | undefined;
}

const bytes = z.int().nonnegative();
const action: z.ZodType<Action> = z
  .object({
    do: z.enum(['rewrite', 'remove', 'create']),
    path: z.string().refine((path) => isAbsolute(path) && !path.includes('\0'), 'expected an absolute path'),
    name: z.string(),
    given: z.string(),
    ino: FILE_NUMBER.optional(),
    keep: bytes,
    before: bytes,
    after: bytes,
    tail: TAIL_NAME.optional(),
    mode: z.int().min(0).max(0o7777),
  })
  .transform(({ ino, tail, ...rest }) => ({ ...rest, ino, tail }))
  .refine(({ keep, before, after }) => keep <= before && keep <= after, 'expected what is kept to be part of both')
  .refine((change) => (change.do === 'create') === (change.ino === undefined), 'expected an inode of a file that was there');
const INTENT: z.ZodType<Intent> = z.object({
  epoch: z.int().positive(),
  generation: bytes,
  source: z.object({ id: z.string(), epoch: z.int().positive(), generation: bytes }).nullable(),
  actions: z.array(action),
});
const GO: z.ZodType<Kept> = z.object({ tails: z.array(KEPT_TAIL), grown: z.array(z.object({ path: z.string(), check: HASHED_RANGE })) });
const RECORD = /^apply-([1-9]\d{0,14})-([1-9]\d{0,14})$/;

/**
 * Records what will be done. `actionsOf` is told what tells this record from others: a number of this life that nothing
 * else has, because what was kept outlives the record.
 */
export async function putIntent(
  { journal, epoch, generation, source, baselines }: Pick<StartContext, 'journal' | 'epoch' | 'generation' | 'source' | 'baselines'>,
  actionsOf: (record: string) => readonly Action[],
): Promise<Recorded> {
  for (;;) {
    const count = baselines.nextNumber();
    const record = `apply-${epoch}-${count}`;
    const intent: Intent = { epoch, generation: generation(), source, actions: actionsOf(`${epoch}-${count}`) };
    if (await journal.put(record, intent)) return { ...intent, record, kept: undefined };
  }
}

export async function putGo(journal: Journal, { record }: Recorded, kept: Kept): Promise<void> {
  await journal.put(`${record}-go`, kept);
}

/** What earlier lives have not brought to an end, oldest first. What a kill in between has left is tidied up. */
export async function unfinished({
  journal,
  epoch,
  keepTails,
}: {
  readonly journal: Journal;
  readonly epoch: number;
  readonly keepTails: boolean;
}): Promise<Recorded[]> {
  const files = new Set(await journal.list());
  const found: Recorded[] = [];
  for (const file of files) {
    const [record, ofEpoch] = RECORD.exec(file.replace(/-go$/, '')) ?? [];
    // What this life is doing itself is no business of this.
    if (record === undefined || Number(ofEpoch) >= epoch) continue;
    if (record !== file) {
      if (!files.has(record)) await removeGo(journal, record, keepTails);
      continue;
    }
    const intent = await journal.read(file, INTENT);
    if (intent === undefined) continue;
    const go = await journal.read(`${file}-go`, GO);
    if (go === undefined) await forgetUnbegun(journal, file, intent);
    else found.push({ ...intent, record: file, kept: go });
  }
  return found.sort((a, b) => a.epoch - b.epoch || countOf(a) - countOf(b));
}

/** Done: what was cut stays cut, and is in the baselines already. */
export async function close(journal: Journal, { record }: Recorded, keepTails: boolean): Promise<void> {
  await journal.remove(record);
  await removeGo(journal, record, keepTails);
}

/** Undone, or never begun: every file is as it was, so what was kept is in its place. */
export async function forget(journal: Journal, { record, actions }: Recorded): Promise<void> {
  await journal.remove(`${record}-go`);
  await forgetUnbegun(journal, record, { actions });
}

async function forgetUnbegun(journal: Journal, record: string, { actions }: Pick<Intent, 'actions'>): Promise<void> {
  for (const { tail } of actions) if (tail !== undefined) await journal.drop(tail);
  await journal.remove(record);
}

async function removeGo(journal: Journal, record: string, keepTails: boolean): Promise<void> {
  const go = keepTails ? undefined : await journal.read(`${record}-go`, GO);
  for (const { file } of go?.tails ?? []) await journal.drop(file);
  await journal.remove(`${record}-go`);
}

function countOf({ record }: Recorded): number {
  return Number(RECORD.exec(record)?.[2]);
}
