/**
 * What the members that have stopped are told to do: run their handlers, then capture.
 *
 * Invariants
 * 1. Nobody captures before everybody has everything its peers have sent, and has run its handlers.
 * 2. No process sends what it has captured before everybody has: it would keep the others from it.
 * 3. Each order is answered by everybody within `answerMs`, or the round fails; with `exclude` it goes on without those that
 *    fail, die or do not answer.
 */
import { within } from '../base/deadline.js';
import { isCheckpointError } from '../base/errors.js';
import type { Participant } from './participant.js';
import { PROGRAM, type ToMember } from './protocol.js';
import { expectations, leftDuring, noAnswer, type Round } from './round.js';
import type { MemberSetParts } from './set-contract.js';

export interface OrderParts {
  readonly set: Pick<MemberSetParts, 'answerMs' | 'channels' | 'clock' | 'onMemberError'>;
  /** Whom the round waits for. */
  readonly asked: () => readonly Participant[];
  readonly all: () => readonly Participant[];
  readonly leaveOut: (member: string, why: string) => void;
  readonly facts: { readonly reason: string; readonly name: string | undefined };
}

/** @throws CheckpointError what a member failed with, ERR_CKPT_MEMBER, ERR_CKPT_TIMEOUT */
export async function prepareAndCapture(round: Round, parts: OrderParts): Promise<void> {
  const { channels } = parts.set;
  const number = round.number;
  const live = parts.asked();
  const expect = expectations(round, parts.all(), channels().sent());
  round.at = 'preparing';
  await order(round, live, parts, ({ name }) => ({
    type: 'prepare',
    round: number,
    expect: expect.get(name) ?? [],
    ...parts.facts,
  }));
  while (!channels().drain(expect.get(PROGRAM) ?? [])) await new Promise((resolve) => setImmediate(resolve));
  round.at = 'capturing';
  await order(round, live, parts, () => ({ type: 'capture', round: number }));
  for (const participant of live) if (participant.entry.kind === 'process') participant.post({ type: 'deliver' });
  round.at = 'taken';
}

async function order(round: Round, live: readonly Participant[], parts: OrderParts, message: (to: Participant) => ToMember): Promise<void> {
  const { clock, answerMs: ms, onMemberError } = parts.set;
  // It may have died since everybody stopped, while handlers of the program ran: then it is not among the live ones.
  const lost = [...live.filter(({ live }) => !live), ...parts.all().filter(({ stage }) => stage === 'dead')][0];
  if (lost !== undefined && onMemberError === 'cancel') throw lost.failure ?? leftDuring(lost.name);
  const answers = new Promise<void>((resolve, reject) => {
    round.answered = resolve;
    round.failed = reject;
    for (const participant of live) {
      if (!participant.live || round.leftOut.has(participant.name)) continue;
      round.pending.add(participant.name);
      participant.post(message(participant));
    }
    if (round.pending.size === 0) resolve();
  });
  try {
    await within(clock, answers, {
      ms,
      keepAlive: true,
      onTimeout: () =>
        noAnswer(
          parts.all().filter(({ name }) => round.pending.has(name)),
          ms,
        ),
    });
  } catch (error) {
    if (!isCheckpointError(error, 'ERR_CKPT_TIMEOUT') || onMemberError === 'cancel') throw error;
    for (const name of [...round.pending]) parts.leaveOut(name, error.message);
  }
}
