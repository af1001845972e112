/**
 * One round of a set: what is known of it, and how steps and counts of messages are compared.
 *
 * Invariants
 * 1. A member that has passed a step without stopping stops beyond it; one that stands, where it stands.
 */
import { CheckpointError, isCheckpointError, type Missing, messageOf } from '../base/errors.js';
import type { MemberRecord } from '../image/contract.js';
import type { ChannelRecord } from './channel.js';
import { membersOf } from './channel-table.js';
import { CHANNELS_SECTION, encodedSection } from './encoded-section.js';
import type { Participant } from './participant.js';
import { joined } from './parts.js';
import { type CapturedMember, type Counts, NO_STEP, PROGRAM } from './protocol.js';

export interface Round {
  readonly number: number;
  at: 'gathering' | 'stopping' | 'stopped' | 'preparing' | 'capturing' | 'taken';
  /** Members whose answer is missing. */
  readonly pending: Set<string>;
  /** The step at which everybody stops; the highest known so far. */
  target: number;
  /** Members without which this round goes on. */
  readonly leftOut: Set<string>;
  readonly sent: Map<string, Counts>;
  readonly taken: Map<string, CapturedMember>;
  answered: () => void;
  failed: (error: Error) => void;
}

/** What each member has to have received before it is captured. */
export function expectations(round: Round, members: readonly Participant[], program: Counts): Map<string, [string, number][]> {
  const finished = members.flatMap(({ name, final }) => (final === undefined ? [] : [[name, final.sent] as const]));
  const sent: readonly (readonly [string, Counts])[] = [...round.sent, ...finished, [PROGRAM, program]];
  const expect = new Map<string, [string, number][]>();
  for (const [sender, counts] of sent) {
    for (const [key, count] of counts) {
      const [one, other] = membersOf(key);
      const receiver = one === sender ? other : one;
      expect.set(receiver, [...(expect.get(receiver) ?? []), [key, count]]);
    }
  }
  return expect;
}

/** Where somebody stops who has passed this step, or stands at it. */
export function beyond(step: number | undefined, stands: boolean): number {
  return step === undefined ? NO_STEP : stands ? step : step + 1;
}

/** The least step at which a member can stop: a peer that stands at an earlier one may be what it waits for. */
export function reach({ arrival, passedStep }: Participant): number {
  return arrival === undefined ? beyond(passedStep, false) : beyond(arrival.step, true);
}

export function isBehind({ arrival }: Participant, target: number): boolean {
  return arrival?.step !== undefined && arrival.step < target;
}

export function highest(steps: readonly number[]): number {
  return steps.reduce((most, step) => Math.max(most, step), NO_STEP);
}

export function leftDuring(name: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_MEMBER',
    `checkpoint: member '${name}' left while it was taken; the next checkpoint goes without it`,
    {
      member: name,
      phase: 'capture',
    },
  );
}

/** A handler that is too slow is told by its member, earlier and by name. */
export function noAnswer(members: readonly Participant[], ms: number): CheckpointError {
  const who = members.map(({ name, place }) => `'${name}' (declared at ${String(place)})`).join(', ');
  const missing = members.map(({ name, place }): Missing => {
    return {
      task: name,
      registeredAt: String(place),
      sinceMs: ms,
      lastSafepoint: 'it stands at a safepoint, in a handler or a capture function',
    };
  });
  return new CheckpointError(
    'ERR_CKPT_TIMEOUT',
    `checkpoint: ${who} did not run its handlers, or capture, within ${ms} ms (twice handlerTimeout); make them quicker, raise handlerTimeout, ` +
      'or end the member with terminate(). Nothing was written, everybody goes on',
    { phase: 'handlers', missing, ...(members[0] === undefined ? {} : { member: members[0].name }) },
  );
}

export function newRound(number: number): Round {
  return {
    number,
    at: 'gathering',
    pending: new Set(),
    target: NO_STEP,
    leftOut: new Set(),
    sent: new Map(),
    taken: new Map(),
    answered: () => {},
    failed: () => {},
  };
}

/** What failed in a member, told with its name and the code it had there. */
export function failureOf(member: string, error: Error): CheckpointError {
  const message = `member '${member}': ${error.message}`;
  if (!isCheckpointError(error))
    return new CheckpointError('ERR_CKPT_MEMBER', `member '${member}': ${messageOf(error)}`, { member, cause: error });
  return new CheckpointError(error.code, message, {
    ...error.context,
    member,
    ...(error.phase ? { phase: error.phase } : {}),
    cause: error,
  });
}

/**
 * The last state of a finished member and what it has left unsent. Copies: structured state is handed over with each image. Not
 * of shared memory, which is not handed over, and may not be filled yet.
 */
function withUnsent(
  member: string,
  final: { readonly captured: CapturedMember; readonly unsent: readonly ChannelRecord[] },
): CapturedMember {
  const { captured, unsent } = final;
  const sections = captured.sections.map((section) => ({ ...section, chunks: section.chunks.map(kept) }));
  const part = { ...captured, sections };
  return unsent.length === 0 ? part : joined([part, encodedSection(member, { name: CHANNELS_SECTION, kind: 'channels' }, unsent)]);
}

function kept(chunk: Uint8Array): Uint8Array {
  return chunk.buffer instanceof SharedArrayBuffer ? chunk : chunk.slice();
}

export function finishedParts(members: readonly Participant[]): readonly (readonly [name: string, captured: CapturedMember])[] {
  return members.flatMap(({ name, final }) => (final === undefined ? [] : [[name, withUnsent(name, final)] as const]));
}

/** What the manifest says of the members whose parts are in the image. */
export function recordsOf(round: Round | undefined, members: readonly Participant[]): readonly MemberRecord[] {
  return members.flatMap(({ name, stage, entry, arrival, parent }): MemberRecord[] => {
    if (stage !== 'finished' && round?.taken.has(name) !== true) return [];
    const step = arrival?.step === undefined ? {} : { step: arrival.step };
    return [
      {
        name,
        kind: entry.kind,
        entry: entry.url.href,
        finished: stage === 'finished',
        ...step,
        ...(parent === undefined ? {} : { parent }),
      },
    ];
  });
}
