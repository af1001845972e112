/**
 * The census: what lay under the rules of the option `files` when a life began, kept in the journal so that a later start can
 * tell what libraries have written since.
 *
 *   census-<epoch>
 *
 * Invariants
 * 1. It is durable before the program goes on from start(), and taken after everything was put back.
 * 2. The one that counts for an image is that of the life that made it, because its images record every file that differs
 *    from it; for a fresh start it is the oldest.
 * 3. Of a path that its rules do not cover nothing is known. The same of files that a start could not put back: those outside
 *    the program's roots, or not to be opened.
 */
import { isAbsolute, relative } from 'node:path';
import { z } from 'zod';
import { isCheckpointError } from '../base/errors.js';
import type { Journal } from '../store/contract.js';
import { checkRangeOf, hashRange } from './check.js';
import type { StartContext } from './context.js';
import type { FileIdentity, HashedRange } from './contract.js';
import { FILE_NUMBER } from './file-number.js';
import { withInspected } from './inspect.js';
import { locate, type Root } from './mapped-paths.js';
import { compileRules, type FileRule } from './rules.js';

/** A file as it was. */
export interface Counted {
  readonly size: number;
  readonly identity: FileIdentity;
  readonly check: HashedRange;
}

interface CensusRecord {
  readonly epoch: number;
  readonly workingDirectory: string;
  readonly rules: readonly { readonly pattern: string; readonly policy: 'append' | 'volatile' | 'ignore' }[];
  /** `given` as the rules would give it: relative below the working directory, so that it moves with the run. */
  readonly files: readonly { readonly given: string; readonly was?: Counted }[];
}

/** The census that counts for a start. */
export interface Census {
  readonly epoch: number;
  /** By where each lies now; undefined for one of which nothing is known (invariant 3). */
  readonly files: ReadonlyMap<string, Counted | undefined>;
  readonly covers: (path: string) => boolean;
}

const bytes = z.int().nonnegative();
const counted = z.object({
  size: bytes,
  identity: z.object({ dev: FILE_NUMBER, ino: FILE_NUMBER }),
  check: z.object({ from: bytes, to: bytes, hash: z.string() }),
});
const RECORD: z.ZodType<CensusRecord> = z.object({
  epoch: z.int().positive(),
  workingDirectory: z.string(),
  rules: z.array(z.object({ pattern: z.string(), policy: z.enum(['append', 'volatile', 'ignore']) })),
  files: z.array(z.object({ given: z.string(), was: counted.exactOptional() })),
});
const NAME = /^census-([1-9]\d{0,14})$/;

const nameOf = (epoch: number): string => `census-${epoch}`;

async function epochsOf(journal: Journal): Promise<number[]> {
  const epochs = (await journal.list()).flatMap((record) => NAME.exec(record)?.[1] ?? []);
  return epochs.map(Number).sort((a, b) => a - b);
}

/** Invariant 2. @throws CheckpointError ERR_CKPT_STORE_UNSAFE when it is damaged */
export async function countingCensus(
  { journal, source, epoch }: StartContext,
  workingDirectory: string,
  roots: readonly Root[],
): Promise<Census | undefined> {
  const wanted = source?.epoch ?? (await epochsOf(journal)).find((one) => one < epoch);
  const record = wanted === undefined ? undefined : await journal.read(nameOf(wanted), RECORD);
  if (record === undefined) return undefined;
  const moved = { roots, recorded: record.workingDirectory, now: workingDirectory };
  const files = record.files.map(({ given, was }) => {
    const path = isAbsolute(given) ? given : `${record.workingDirectory}/${given}`;
    return [locate({ path, given }, moved), was] as const;
  });
  const policyOf = compileRules(record.rules, workingDirectory);
  return { epoch: record.epoch, files: new Map(files), covers: (path) => policyOf(path) === 'append' };
}

/** Takes the census of this life (invariant 1). @param unknown those that are somebody else's to put back */
export async function takeCensus(
  paths: Iterable<string>,
  unknown: ReadonlySet<string>,
  { rules, workingDirectory }: { readonly rules: readonly FileRule[]; readonly workingDirectory: string },
  context: StartContext,
): Promise<ReadonlyMap<string, Counted | undefined>> {
  const files = new Map<string, Counted | undefined>();
  for (const path of new Set([...paths, ...unknown])) files.set(path, unknown.has(path) ? undefined : await count(path, context));
  const record: CensusRecord = {
    epoch: context.epoch,
    workingDirectory,
    rules: [...rules],
    files: [...files].map(([path, was]) => ({ given: givenOf(path, workingDirectory), ...(was === undefined ? {} : { was }) })),
  };
  await context.journal.put(nameOf(context.epoch), record);
  return files;
}

/** The start of this life failed: nothing was written after its census. */
export function withdrawCensus({ journal, epoch }: StartContext): Promise<void> {
  return journal.remove(nameOf(epoch));
}

/** Removes those that count for no start any more. @param needed epochs of images */
export async function cleanCensuses({ journal, source, epoch }: StartContext, needed: readonly number[]): Promise<void> {
  const [oldest, ...later] = await epochsOf(journal);
  for (const one of later)
    if (one !== oldest && one !== epoch && one !== source?.epoch && !needed.includes(one)) await journal.remove(nameOf(one));
}

/** @returns undefined where it is not to be put back (invariant 3), or is gone meanwhile */
async function count(path: string, context: StartContext): Promise<Counted | undefined> {
  try {
    return await withInspected(context, { path, trust: 'image-only' }, true, async ({ file, stat: { size, dev, ino } }) => {
      const { from, to } = checkRangeOf({ flags: 'a', verify: 'tail' }, size, size);
      return { size, identity: { dev, ino }, check: { from, to, hash: await hashRange(file, from, to) } };
    });
  } catch (error) {
    if (isCheckpointError(error, 'ERR_CKPT_FENCED') || !isCheckpointError(error)) throw error;
    return undefined;
  }
}

function givenOf(path: string, workingDirectory: string): string {
  const given = relative(workingDirectory, path);
  return given.startsWith('..') ? path : given;
}
