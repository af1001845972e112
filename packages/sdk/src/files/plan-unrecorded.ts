/**
 * Planning a file that the source image does not record: back to what it was while that source was the newest.
 *
 * Invariants
 * 1. A file is removed only if this run made it, or if it is empty where the run was about to make one.
 * 2. A file that the program cuts anyway (`w`), only reads, or asked not to be looked after is left as it is.
 * 3. A file that the history of the source has written and closed, and that the program declares again before start(), is
 *    not opened anew: `w` does not cut it and `wx` is not refused.
 * 4. One that the program does not declare is put back too when lives have changed it since. What became of a closed file
 *    otherwise is the program's own affair: it may have moved or removed it.
 */
import { dirname, isAbsolute } from 'node:path';
import type { FileStat } from '../base/ports.js';
import type { ImageRef } from '../image/contract.js';
import { ifPresent } from '../store/failure.js';
import type { KnownFile } from './baselines.js';
import { asReadable } from './bytes.js';
import { hashRange } from './check.js';
import type { StartContext } from './context.js';
import type { Baseline, FileDeclaration } from './contract.js';
import { fileError, onFile } from './failure.js';
import { type Place, withInspected } from './inspect.js';
import { planContent } from './plan-content.js';
import { planEarlier } from './plan-earlier.js';
import { type Facts, NOTHING, type Outcome } from './plan-types.js';
import { attemptOn, type Expected, missing, verifyGrown } from './verify.js';

const BY = 'it was before the run wrote to it';
const BEFORE_CUT = 'it was before a start from an older image put it back';

type Present = Extract<Baseline['was'], { kind: 'present' }>;

interface Unrecorded {
  readonly declaration: FileDeclaration;
  readonly place: Place;
  readonly atStart: boolean;
}

/** @throws CheckpointError where the file cannot be put back */
export async function planUnrecorded({ declaration, place, atStart }: Unrecorded, context: StartContext, facts: Facts): Promise<Outcome> {
  const { flags, policy } = declaration;
  if (policy === 'ignore') return NOTHING;
  const seen = await usable(place, flags !== 'r', context);
  facts.found = seen !== undefined;
  const closed = atStart && context.source !== null && context.baselines.isOfHistory(declaration, context.source); // invariant 3
  if ((flags === 'w' && !closed) || policy === 'volatile') return { ...NOTHING, seen };
  const entries = flags === 'r' && !closed ? [] : context.baselines.since(declaration, context.source);
  const [baseline] = entries;
  if (flags === 'r+' && (baseline === undefined ? seen === undefined : baseline.was.kind === 'absent')) throw notThere(place, flags, seen);
  if (baseline !== undefined && baseline.was.kind !== 'absent') return planBefore({ file: declaration, place, entries }, context, facts);
  if (baseline !== undefined && seen !== undefined && flags !== 'r') return planAbsent(declaration, baseline, seen, place, context, facts);
  if (flags === 'wx' && seen !== undefined && !closed) throw exists(place, seen);
  if (flags === 'r' && seen === undefined) throw notThere(place, flags, seen);
  return { ...NOTHING, seen };
}

/** Invariant 4. @throws CheckpointError where the file cannot be put back */
export async function planClosed(file: KnownFile, place: Place, source: ImageRef, context: StartContext, facts: Facts): Promise<Outcome> {
  const entries = context.baselines.since(file, source);
  const [first] = entries;
  // Whoever comes to a file that was not there makes it, and puts it back then.
  if (first === undefined || first.was.kind === 'absent') return NOTHING;
  // What was written down before the store was copied speaks of the original's files.
  if (isAbsolute(file.given) && (await (context.copiedSince?.(first.epoch) ?? context.copied))) return NOTHING;
  return planBefore({ file, place, entries }, context, facts);
}

/** What lies there, after it could be opened as the program will; a refusal now is better than one half way. */
async function usable(place: Place, writing: boolean, context: StartContext): Promise<FileStat | undefined> {
  const seen = await withInspected(context, place, writing, async ({ stat }) => stat);
  if (seen !== undefined || !writing) return seen;
  const folder = dirname(place.path);
  const above = await onFile(attemptOn(place), () => ifPresent(() => context.fileSystem.realpath(folder)));
  if (above !== undefined) return undefined;
  throw fileError('ERR_CKPT_FILE_MISSING', attemptOn(place), {
    expected: `the folder ${folder} to make it in`,
    found: 'none',
    remedy: 'make the folder; nothing was changed',
  });
}

function notThere(place: Place, flags: string, seen: FileStat | undefined): Error {
  return fileError('ERR_CKPT_FILE_MISSING', attemptOn(place), {
    expected: `a file to open with flags '${flags}'`,
    found: seen === undefined ? 'none' : 'one that was made only after the image',
    remedy: 'put it there, or let the program make it first; nothing was changed',
  });
}

function exists(place: Place, { size }: FileStat): Error {
  return fileError('ERR_CKPT_FILE', attemptOn(place), {
    expected: "no file, because flags 'wx' make it",
    found: `a file of ${size} bytes that this run did not make`,
    remedy: "take it away, or open it with flags 'w' or 'a'; nothing was changed",
  });
}

function planAbsent(
  declaration: FileDeclaration,
  { path }: Baseline,
  seen: FileStat,
  place: Place,
  { baselines }: StartContext,
  facts: Facts,
): Outcome {
  facts.beyond = seen.size;
  // Killed after the file was made and before that was recorded: nothing had been written to it.
  const justMade = seen.size === 0;
  if (!justMade && !baselines.isOurs(declaration, seen)) {
    throw fileError('ERR_CKPT_FILE_CHANGED', attemptOn(place), {
      expected: `no file, or the one that this run made at ${path}: there was none before the run wrote to it`,
      found: `a file of ${seen.size} bytes with inode ${seen.ino}, which this run did not make`,
      remedy: 'take it away or rename it; nothing was changed',
    });
  }
  return { seen, put: { do: 'remove', from: seen.size }, change: { do: 'remove', keep: 0, size: 0, mode: seen.mode & 0o7777 } };
}

interface Before {
  readonly file: KnownFile & { readonly mode?: number };
  readonly place: Place;
  /** From the one that counts on; before that change the file was there. */
  readonly entries: readonly Baseline[];
}

async function planBefore({ file, place, entries }: Before, context: StartContext, facts: Facts): Promise<Outcome> {
  const [first] = entries;
  if (first === undefined || first.was.kind === 'absent') return NOTHING;
  const { was, path, epoch } = first;
  const mode = file.mode ?? 0o666;
  if (was.kind === 'present' && was.copy !== undefined) return planCopyBack({ ...was, copy: was.copy }, mode, place, context, facts);
  const { size } = was;
  const isElsewhere = path !== place.path || (await (context.copiedSince?.(epoch) ?? context.copied));
  const identity = was.kind === 'cut' ? { dev: 0, ino: was.ino } : was.identity;
  const expected: Expected = {
    size,
    check: was.kind === 'cut' ? { from: was.keep, to: size, hash: was.tail.hash } : was.check,
    by: was.kind === 'cut' ? BEFORE_CUT : BY,
    identity: isElsewhere ? undefined : identity,
    isOurs: (stat) => context.baselines.isOurs(file, stat),
  };
  const earlier = await planEarlier({ place, expected, entries, mode }, context, facts);
  if (earlier !== undefined) return earlier;
  const outcome = await withInspected<Outcome>(context, place, true, async (inspected) => {
    await verifyGrown(context.fileSystem, place, inspected, expected, facts);
    const { stat: seen } = inspected;
    if (seen.size === size) return { ...NOTHING, seen };
    return { seen, put: { do: 'cut', to: size, from: seen.size }, change: { do: 'rewrite', keep: size, size, mode } };
  });
  if (outcome === undefined) throw missing(place, expected);
  return outcome;
}

async function planCopyBack(
  was: Present & { readonly copy: string },
  mode: number,
  place: Place,
  context: StartContext,
  facts: Facts,
): Promise<Outcome> {
  const content = async () => {
    const source = await context.journal.open(was.copy);
    if (source !== undefined && source.size === was.size && (await hashRange(asReadable(source), 0, was.size)) === was.check.hash)
      return source;
    await source?.close();
    throw fileError('ERR_CKPT_STORE_UNSAFE', attemptOn(place), {
      expected: `its ${was.size} bytes of before the run in ${context.journal.whereSaved(was.copy)}`,
      found: source === undefined ? 'no such file' : 'other bytes',
      remedy: 'put that file back from a copy of the store',
    });
  };
  const put = (from: number | undefined) => ({ do: 'copy-back', copy: was.copy, size: was.size, from }) as const;
  return planContent({ place, content, mode, put }, context, facts);
}
