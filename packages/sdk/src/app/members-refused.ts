/** Why a start with members is refused, in words. */
import { CheckpointError } from '../base/errors.js';
import type { MemberPlan } from '../restart/plan.js';
import type { RecordedFacts } from '../restart/recorded-members.js';

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
      : `the member '${name}'${parent === undefined ? '' : ` of the member '${parent}'`}, which the program does not declare; call worker('${name}', …) or fork('${name}', …) before start(), answer for it with onMember()${opaque === undefined ? ', go on with other members by rescale()' : ''}`;
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

export function hookTwice(): CheckpointError {
  return new CheckpointError('ERR_CKPT_EXISTS', 'rescale(): there is a hook already; give one that does all', { phase: 'register' });
}

export function talkedBefore(): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_PHASE',
    'start(): rescale: the program has used a channel before start(), and what becomes of that is unknown; send and receive after start()',
    { phase: 'plan' },
  );
}
