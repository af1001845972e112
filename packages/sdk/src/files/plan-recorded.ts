/**
 * Planning a file that the source image recorded: what its policy asks for.
 *
 * Invariants
 * 1. Nothing is changed here, and nothing that is not verified is planned to be changed.
 * 2. The program's policy decides, where the record holds what it needs; how a file is used (read, changed in place,
 *    written at its end) must be as recorded, because the position means something else otherwise.
 * 3. Into a file that only the image names nothing of the image is written: it is cut at most, content waits until it is
 *    declared. What this run itself has cut or emptied since is put back.
 */
import type { StartContext } from './context.js';
import type { FileDeclaration, FileFlags, FilePolicy, TrackedFileRecord } from './contract.js';
import { fileError } from './failure.js';
import { look, type Place, withInspected } from './inspect.js';
import { planContent } from './plan-content.js';
import { planEarlier } from './plan-earlier.js';
import { type Facts, NOTHING, type Outcome } from './plan-types.js';
import { attemptOn, type Expected, missing, verifyGrown, verifyUnchanged } from './verify.js';

const BY = 'the image recorded';

interface Recorded {
  readonly record: TrackedFileRecord;
  readonly declaration: FileDeclaration | undefined;
  readonly place: Place;
  readonly policy: FilePolicy;
}

/** @throws CheckpointError where the file cannot be put back */
export async function planRecorded(
  record: TrackedFileRecord,
  declaration: FileDeclaration | undefined,
  place: Place,
  context: StartContext,
  facts: Facts,
): Promise<Outcome> {
  const recorded: Recorded = { record, declaration, place, policy: declaration?.policy ?? record.policy };
  if (declaration !== undefined) assertUsedAlike(record, declaration, place);
  switch (recorded.policy) {
    case 'ignore':
      return NOTHING;
    case 'volatile':
      if (place.trust === 'registered') facts.found = (await look(context, place, record.flags !== 'r')) !== undefined;
      return facts.found || record.contents === undefined ? NOTHING : planRecordedContent(recorded, context, facts);
    case 'append':
      return planGrown(recorded, context, facts);
    case 'unchanged':
      return planUnchanged(recorded, context, facts);
    case 'contents':
      return planRecordedContent(recorded, context, facts);
    case 'contents-if-missing':
      facts.found = (await look(context, place, record.flags !== 'r')) !== undefined;
      if (!facts.found) return planRecordedContent(recorded, context, facts);
      return record.flags === 'r' ? planUnchanged(recorded, context, facts) : planGrown(recorded, context, facts);
  }
}

function usage(flags: FileFlags): string {
  if (flags === 'r') return 'read';
  return flags === 'r+' ? 'changed in place' : 'written at its end';
}

/** Invariant 2. */
function assertUsedAlike(record: TrackedFileRecord, { flags, policy }: FileDeclaration, place: Place): void {
  if (policy === 'ignore' || usage(flags) === usage(record.flags)) return;
  throw fileError('ERR_CKPT_FILE', attemptOn(place), {
    expected: `flags like '${record.flags}', with which the image recorded it as a file that is ${usage(record.flags)}`,
    found: `flags '${flags}', for a file that is ${usage(flags)}`,
    remedy: "declare it as it was, or with policy 'ignore', or under another name",
  });
}

function expectedOf({ record, place }: Recorded, { copied, baselines }: StartContext): Expected {
  const { size, identity, check, path } = record;
  return {
    size,
    check,
    by: BY,
    identity: copied || path !== place.path ? undefined : identity,
    isOurs: (stat) => baselines.wasMadeAt(place.path, stat),
  };
}

async function planGrown(recorded: Recorded, context: StartContext, facts: Facts): Promise<Outcome> {
  const { place, record } = recorded;
  const expected = expectedOf(recorded, context);
  const { name, given, mode } = record;
  const entries = context.baselines.since({ name, given, path: place.path }, context.source);
  // A start may have made it from an image.
  const isGone = entries[0]?.was.kind === 'absent' || (await look(context, place, true)) === undefined;
  const fromImage = record.contents !== undefined && isGone;
  const earlier = fromImage ? undefined : await planEarlier({ place, expected, entries, mode }, context, facts);
  if (earlier !== undefined) return earlier;
  const outcome = await withInspected<Outcome>(context, place, true, async (inspected) => {
    facts.found = true;
    await verifyGrown(context.fileSystem, place, inspected, expected, facts);
    const { stat: seen } = inspected;
    if (seen.size === record.size) return { ...NOTHING, seen };
    return {
      seen,
      put: { do: 'cut', to: record.size, from: seen.size },
      change: { do: 'rewrite', keep: record.size, size: record.size, mode: record.mode },
    };
  });
  return outcome ?? planMissing(recorded, expected, context, facts);
}

async function planUnchanged(recorded: Recorded, context: StartContext, facts: Facts): Promise<Outcome> {
  const { place, record } = recorded;
  const expected = expectedOf(recorded, context);
  const mtimeMs = expected.identity === undefined ? undefined : record.mtimeMs;
  const outcome = await withInspected<Outcome>(context, place, false, async (inspected) => {
    facts.found = true;
    await verifyUnchanged(context.fileSystem, place, inspected, { ...expected, mtimeMs }, facts);
    return { ...NOTHING, seen: inspected.stat };
  });
  return outcome ?? planMissing(recorded, expected, context, facts);
}

/** An export can put the content in, whatever the policy: it is for where the file is not. */
function planMissing(recorded: Recorded, expected: Expected, context: StartContext, facts: Facts): Promise<Outcome> {
  if (recorded.record.contents === undefined) throw missing(recorded.place, expected);
  return planRecordedContent(recorded, context, facts);
}

async function planRecordedContent({ record, place, policy }: Recorded, context: StartContext, facts: Facts): Promise<Outcome> {
  const section = record.contents;
  if (section === undefined) {
    throw fileError('ERR_CKPT_FILE', attemptOn(place), {
      expected: `its content in the image, which policy '${policy}' puts back`,
      found: `that it was recorded with policy '${record.policy}' and without content`,
      remedy: `declare it with policy '${record.policy}' until an image with its content was made`,
    });
  }
  // Invariant 3.
  if (place.trust === 'image-only') return { ...NOTHING, deferred: true };
  const content = async () => {
    const source = context.contents(section);
    if (source?.size === record.size) return source;
    await source?.close();
    throw fileError('ERR_CKPT_IMAGE_CORRUPT', attemptOn(place), {
      expected: `${record.size} bytes of content in section '${section}'`,
      found: source === undefined ? 'no such section' : `${source.size} bytes`,
      remedy: 'restart from another image',
    });
  };
  const put = (from: number | undefined) => ({ do: 'write-contents', section, size: record.size, from }) as const;
  return planContent({ place, content, mode: record.mode, put }, context, facts);
}
