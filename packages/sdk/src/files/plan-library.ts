/**
 * Planning the files of libraries that the source does not record: back to what the census says they were.
 *
 * Invariants
 * 1. What a rule with policy `append` matches is taken for this run's own; a file that was not there is emptied, not
 *    removed, because a library that is loaded already may have it open for appending.
 * 2. Files that the program declares, or ever declared, are none of these.
 * 3. One that is as it was, or is gone, is left alone; one that was replaced, or is shorter, is refused.
 */
import type { Census, Counted } from './census.js';
import type { StartContext } from './context.js';
import { fileError } from './failure.js';
import { type Place, withInspected } from './inspect.js';
import { LIBRARY_PREFIX } from './library-files.js';
import { planned } from './plan.js';
import { type Facts, NOTHING, type Outcome, type PlannedFile } from './plan-types.js';
import { attemptOn, verifyGrown } from './verify.js';

const BY = 'it was when the run began to write there';

/**
 * @param found what lies under the rules now
 * @param known paths of the source's records and of declared files
 */
export async function planLibrary(
  found: Iterable<string>,
  known: ReadonlySet<string>,
  census: Census,
  context: StartContext,
): Promise<PlannedFile[]> {
  const copied = await (context.copiedSince?.(census.epoch) ?? context.copied);
  const plans: PlannedFile[] = [];
  for (const path of found) {
    const name = LIBRARY_PREFIX + path;
    if (known.has(path) || !census.covers(path) || !context.baselines.isOnlyKnownAs({ name, given: path, path })) continue;
    const was = census.files.get(path);
    if (was === undefined && census.files.has(path)) continue;
    const place: Place = { name, path, trust: 'image-only' };
    const plan = await planned(place, { policy: 'append', given: path }, (facts) => planOne(place, was, copied, context, facts));
    if (plan.change !== undefined || plan.refused !== undefined) plans.push(plan);
  }
  return plans;
}

async function planOne(place: Place, was: Counted | undefined, copied: boolean, context: StartContext, facts: Facts): Promise<Outcome> {
  const outcome = await withInspected<Outcome>(context, place, true, async (inspected) => {
    const { stat: seen } = inspected;
    const size = was?.size ?? 0;
    facts.found = true;
    facts.beyond = Math.max(0, seen.size - size);
    if (seen.size === size && (was === undefined || copied || seen.ino === was.identity.ino)) return { ...NOTHING, seen };
    if (was === undefined && copied) throw unaccounted(place, seen.size);
    if (was !== undefined) {
      const identity = copied ? undefined : was.identity;
      await verifyGrown(context.fileSystem, place, inspected, { ...was, identity, isOurs: () => false, by: BY }, facts);
    }
    const mode = seen.mode & 0o7777;
    return { seen, put: { do: 'cut', to: size, from: seen.size }, change: { do: 'rewrite', keep: size, size, mode } };
  });
  return outcome ?? NOTHING;
}

/** In a copied store it may be anybody's. */
function unaccounted(place: Place, size: number): Error {
  return fileError('ERR_CKPT_FILE_CHANGED', attemptOn(place), {
    expected: 'no file: there was none when the run that this store was copied from began',
    found: `a file of ${size} bytes, which nobody can tell from one of another program`,
    remedy: "take it away, or give it a rule with policy 'ignore'; nothing was changed",
  });
}
