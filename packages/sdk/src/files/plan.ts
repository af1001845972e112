/**
 * The plan of a start for all tracked files: everything is verified before anything is done.
 *
 * Invariants
 * 1. Planning has no effect; a dry run shows the same plan.
 * 2. Every refusal is in the plan, not only the first.
 * 3. A file that the program has declared is trusted by its path, whatever the image says; any other is looked at as
 *    hostile (inspect.ts).
 */
import { CheckpointError, isCheckpointError } from '../base/errors.js';
import type { StartContext } from './context.js';
import type { FileDeclaration, FilePlan, TrackedFileRecord } from './contract.js';
import { fileError } from './failure.js';
import type { Place } from './inspect.js';
import { isLibraryRecord } from './library-files.js';
import { planRecorded } from './plan-recorded.js';
import { type Facts, NOTHING, type Outcome, type PlannedFile } from './plan-types.js';
import { planClosed, planUnrecorded } from './plan-unrecorded.js';
import { isWithinRoots } from './roots.js';
import { attemptOn } from './verify.js';

/** Plans every recorded file and every declared one. Records and declarations of one member, matched by name. */
export async function planFiles(
  records: readonly TrackedFileRecord[],
  declared: readonly FileDeclaration[],
  context: StartContext,
): Promise<PlannedFile[]> {
  const plans: PlannedFile[] = [];
  for (const record of records) {
    const declaration = declared.find(({ name }) => name === record.name);
    const place = placeOf(record, declaration, context);
    plans.push(
      await planned(place, { policy: declaration?.policy ?? record.policy, given: declaration?.given ?? record.given }, async (facts) => {
        assertOwnName(place, record, declared);
        assertOnce(place, plans);
        if (declaration === undefined && isLeftToProgram(record, place, context)) return { ...NOTHING, deferred: true };
        return planRecorded(record, declaration, place, context, facts);
      }),
    );
  }
  const known = new Set(records.map(({ name }) => name));
  for (const declaration of declared) if (!known.has(declaration.name)) plans.push(await planFile(declaration, undefined, context, true));
  plans.push(...(await planClosedFiles(plans, context)));
  return plans;
}

/** Nothing outside of the roots is even looked at before the program comes to declare it, which it did after start(). */
function isLeftToProgram({ late }: TrackedFileRecord, { path }: Place, { roots }: StartContext): boolean {
  return late === true && !isWithinRoots(path, roots);
}

/**
 * Files that the history of the source has closed and that were changed since; those that are as they were are not told. One
 * that cannot be put back refuses the start only where the program need not come to it again: else it is told when it does.
 */
async function planClosedFiles(others: readonly PlannedFile[], context: StartContext): Promise<PlannedFile[]> {
  const { source, baselines, locate } = context;
  if (source === null) return [];
  const plans: PlannedFile[] = [];
  for (const { file, elsewhere } of baselines.changedSince(source)) {
    const { name, given } = file;
    if (isLibraryRecord(file) && baselines.isOnlyKnownAs(file)) continue; // the census tells what it was: plan-library.ts
    const place: Place = { name, path: locate?.(file) ?? file.path, trust: 'image-only' };
    if ([...others, ...plans].some(({ path }) => path === place.path)) continue;
    const plan = await planned(place, { policy: 'append', given }, (facts) => planClosed(file, place, source, context, facts));
    // Whoever opens it in this life opens it anew.
    if (plan.change !== undefined || (elsewhere && plan.error !== undefined)) plans.push({ ...plan, deferred: true });
  }
  return plans;
}

/**
 * Plans one declared file.
 * @param atStart whether it is declared before start()
 */
export function planFile(
  declaration: FileDeclaration,
  record: TrackedFileRecord | undefined,
  context: StartContext,
  atStart = false,
): Promise<PlannedFile> {
  const { name, path, policy, given } = declaration;
  const place: Place = { name, path, trust: 'registered' };
  return planned(place, { policy, given }, (facts) =>
    record === undefined
      ? planUnrecorded({ declaration, place, atStart }, context, facts)
      : planRecorded(record, declaration, place, context, facts),
  );
}

/** The one error that says why these files cannot be put back; undefined when they can. */
export function refusalOf(plans: readonly PlannedFile[]): CheckpointError | undefined {
  const refused = [...plans.flatMap(({ error }) => error ?? []), ...changedTwice(plans)];
  const [first] = refused;
  if (first === undefined || refused.length === 1) return first;
  const messages = refused.map(({ message, code }) => `\n- ${message} [${code}]`).join('');
  return new CheckpointError(first.code, `start(): ${refused.length} files cannot be put back, and nothing was changed:${messages}`, {
    ...first.context,
    phase: 'plan',
    cause: new AggregateError(refused),
  });
}

/** Two paths of one file: what is planned for the one would not hold any more after the other. */
function changedTwice(plans: readonly PlannedFile[]): CheckpointError[] {
  const changed = new Map<string, PlannedFile>();
  return plans.flatMap((plan) => {
    // Beyond 2^53 neighbours have the same number here (file-number.ts), which says nothing of them.
    if (plan.change === undefined || plan.seen === undefined || !Number.isSafeInteger(plan.seen.ino)) return [];
    const key = `${plan.seen.dev}:${plan.seen.ino}`;
    const other = changed.get(key);
    changed.set(key, plan);
    if (other === undefined) return [];
    return fileError('ERR_CKPT_FILE', attemptOn(plan), {
      expected: 'a file of its own',
      found: `that it is the one at ${other.path}, which is put back as '${other.name}'`,
      remedy: 'declare it once, by one path; nothing was changed',
    });
  });
}

/** What is shown of a plan. */
export function shownPlan({ name, path, policy, found, beyond, prefix, put, refused }: PlannedFile): FilePlan {
  return { name, path, policy, found, beyond, prefix, put, ...(refused === undefined ? {} : { refused }) };
}

function placeOf(record: TrackedFileRecord, declaration: FileDeclaration | undefined, { locate }: StartContext): Place {
  const { name } = record;
  if (declaration !== undefined) return { name, path: declaration.path, trust: 'registered' };
  return { name, path: locate?.(record) ?? record.path, trust: 'image-only' };
}

/** Runs one plan; a refusal becomes part of it. */
export async function planned(
  { name = '', path, trust }: Place,
  { policy, given }: Pick<PlannedFile, 'policy' | 'given'>,
  plan: (facts: Facts) => Promise<Outcome>,
): Promise<PlannedFile> {
  const facts: Facts = { found: false, beyond: 0, prefix: 'not checked' };
  try {
    const { put, seen, change, deferred = false } = await plan(facts);
    return { name, path, given, policy, trust, ...facts, put, seen, change, deferred, error: undefined };
  } catch (error) {
    if (!isCheckpointError(error)) throw error;
    const refused = { code: error.code, message: error.message };
    return { name, path, given, policy, trust, ...facts, ...NOTHING, seen: undefined, change: undefined, deferred: false, refused, error };
  }
}

/** Under two names one file would be put back twice, and recorded twice in the next image. */
function assertOwnName(place: Place, record: TrackedFileRecord, declared: readonly FileDeclaration[]): void {
  const other = declared.find(({ path, name }) => path === place.path && name !== record.name);
  if (other === undefined) return;
  throw fileError('ERR_CKPT_FILE', attemptOn(place), {
    expected: `it to be declared as '${record.name}', the name in the image`,
    found: `that the program declares it as '${other.name}'`,
    remedy: 'keep the name',
  });
}

function assertOnce(place: Place, plans: readonly PlannedFile[]): void {
  const other = plans.find(({ path }) => path === place.path);
  if (other === undefined) return;
  throw fileError('ERR_CKPT_FILE', attemptOn(place), {
    expected: 'one record of it in the image',
    found: `that '${other.name}' is the same file`,
    remedy: 'restart from another image',
  });
}
