/** What a start does with opaque children, and why it is refused on account of members. */
import { CheckpointError } from '../base/errors.js';
import type { OpaqueChild } from '../members/opaque.js';
import type { MemberPlan } from '../restart/plan.js';
import type { RecordedFacts } from '../restart/recorded-members.js';

export function planOfOpaque(child: OpaqueChild, recorded: RecordedFacts | undefined, answered: boolean): MemberPlan {
  const { name, entry, policy } = child;
  const facts = { name, kind: entry.kind, finished: recorded?.finished === true, entry: entry.url.href, opaque: policy };
  if (recorded === undefined) return { ...facts, outcome: 'new' };
  // Its state would be lost.
  if (recorded.opaque === undefined) return { ...facts, outcome: 'refused' };
  if (policy === 'exclude') return { ...facts, outcome: 'excluded' };
  return { ...facts, outcome: answered ? 'answered' : 'match' };
}

/** Those whose parents are among them come after these. */
export function parentsFirst(facts: readonly RecordedFacts[]): readonly RecordedFacts[] {
  const byName = new Map(facts.map((each) => [each.name, each]));
  const ordered = new Set<RecordedFacts>();
  const visit = (each: RecordedFacts, below: ReadonlySet<string>): void => {
    const parent = each.parent === undefined || below.has(each.parent) ? undefined : byName.get(each.parent);
    if (parent !== undefined) visit(parent, new Set([...below, each.name]));
    ordered.add(each);
  };
  for (const each of facts) visit(each, new Set());
  return [...ordered];
}

/** Told once all have started: its parent could have declared it until then. */
export function notDeclared({ name, parent, kind }: RecordedFacts, image: string | undefined): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_UNCLAIMED',
    `start(): image ${image ?? ''} holds the member '${name}', which the member '${parent ?? ''}' had declared and now does not; ` +
      `call ${kind === 'worker' ? 'worker' : 'fork'}('${name}', …) there before its start(), declare it in the program, or name another image. What was begun is undone`,
    { member: name, phase: 'apply', ...(image === undefined ? {} : { image }) },
  );
}

export function unclaimed({ name, opaque, entry, parent }: MemberPlan, image: string | undefined): CheckpointError {
  const why =
    opaque !== undefined && entry !== undefined
      ? `the state of the member '${name}', which the program declares as opaque: '${opaque}'; leave that option out, give the opaque child another name`
      : `the member '${name}'${parent === undefined ? '' : ` of the member '${parent}'`}, which the program does not declare; call worker('${name}', …) or fork('${name}', …) before start(), answer for it with onMember()`;
  return new CheckpointError(
    'ERR_CKPT_UNCLAIMED',
    `start(): image ${image ?? ''} holds ${why}, name another image, or begin anew with CKPT_RESTART=never. Nothing has changed`,
    { member: name, phase: 'plan', ...(image === undefined ? {} : { image }) },
  );
}

/** A member that has not called start(). */
export interface NotStarted {
  readonly name: string;
  /** Where it was declared. */
  readonly place: string;
}

export function notStarted(missing: readonly NotStarted[], ms: number): CheckpointError {
  const who = missing.map(({ name, place }) => `'${name}' (declared at ${place})`).join(', ');
  return new CheckpointError(
    'ERR_CKPT_TIMEOUT',
    `start(): ${who} did not call start() within ${ms} ms; the program of a member calls joinCheckpointer() and start(). Raise handlerTimeout ` +
      "where that takes longer, or declare a child that never joins with opaque: 'restart' or 'exclude'",
    { phase: 'apply', ...(missing[0] === undefined ? {} : { member: missing[0].name }) },
  );
}
