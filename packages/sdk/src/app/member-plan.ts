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

export function unclaimed({ name, opaque, entry }: MemberPlan, image: string | undefined): CheckpointError {
  const why =
    opaque !== undefined && entry !== undefined
      ? `the state of the member '${name}', which the program declares as opaque: '${opaque}'; leave that option out, give the opaque child another name`
      : `the member '${name}', which the program does not declare; call worker('${name}', …) or fork('${name}', …) before start(), answer for it with onMember()`;
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
