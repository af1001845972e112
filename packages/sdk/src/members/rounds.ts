/**
 * The rounds of a set, one checkpoint each: brings every member to a stand together with the program itself.
 *
 *   idle → gathering → stopping → stopped → preparing → capturing → taken → idle
 *
 * Invariants
 * 1. Members that pass a step number stop at the same one: the highest at which one stands, or beyond the highest that
 *    one has passed without stopping; the others run on to it. So nobody stands who is waited for.
 * 2. Nobody captures before everybody has stopped and has everything its peers have sent.
 * 3. Where one member fails, nobody's part is used: the round is over with an error, and everybody goes on.
 * 4. A member that died refuses every round, unless such members are excluded.
 */
import type { CheckpointError, Missing } from '../base/errors.js';
import { prepareAndCapture } from './orders.js';
import type { Participant } from './participant.js';
import type { CapturedMember, FromMember } from './protocol.js';
import type { Roster } from './roster.js';
import { beyond, failureOf, finishedParts, highest, isBehind, leftDuring, newRound, type Round, reach, recordsOf } from './round.js';
import type { MemberSetParts, Progress } from './set-contract.js';

const LOOK_AGAIN_MS = 5;

/** What a member says of the round that it is asked in. */
export type FromRound = Extract<FromMember, { type: 'arrived' | 'partly' | 'leave' | 'stopped' | 'prepared' | 'captured' }>;

export class Rounds {
  readonly #parts: MemberSetParts;
  readonly #roster: Roster;
  #round: Round | undefined;
  #rounds = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: MemberSetParts, roster: Roster) {
    this.#parts = parts;
    this.#roster = roster;
  }

  /** Whether there is anybody beside the program. */
  get populated(): boolean {
    return this.#roster.populated;
  }

  /** Begins a round. @returns why it cannot succeed */
  gather(): CheckpointError | undefined {
    const failure = this.#roster.all().find(({ stage }) => stage === 'dead')?.failure;
    if (failure !== undefined && this.#parts.onMemberError === 'cancel') return failure;
    const number = ++this.#rounds;
    this.#round = newRound(number);
    for (const participant of this.#roster.live()) this.#ask(participant, number);
    this.#parts.channels().hurry();
    return undefined;
  }

  get gathering(): boolean {
    return this.#round?.at === 'gathering' || this.#round?.at === 'stopping';
  }

  get somebodyStands(): boolean {
    return this.#roster.live().some(({ arrival }) => arrival !== undefined);
  }

  missing(): readonly Missing[] {
    if (!this.gathering) return [];
    const now = this.#parts.clock.monotonic();
    return this.#asked()
      .filter(({ arrival }) => arrival === undefined)
      .map((participant) => ({
        task: participant.name,
        registeredAt: String(participant.place),
        sinceMs: Math.round(now - participant.askedAt),
        lastSafepoint: participant.describe(),
      }));
  }

  /** Goes on without those that have not arrived, where that is allowed. @returns whether anybody was left out */
  leaveOut(): boolean {
    const round = this.#round;
    if (round?.at !== 'gathering' || this.#parts.onMemberError === 'cancel') return false;
    const missing = this.missing();
    for (const { task, lastSafepoint } of missing) this.#leaveOut(round, task, `it did not come to a safepoint (${lastSafepoint})`);
    return missing.length > 0;
  }

  #leaveOut(round: Round, name: string, why: string): void {
    this.#parts.log(`member '${name}' is left out of this checkpoint: ${why}`);
    round.leftOut.add(name);
    round.sent.delete(name);
    round.taken.delete(name);
    this.answered(name);
  }

  /** Whom the round waits for. */
  #asked(): readonly Participant[] {
    return this.#roster.live().filter(({ name }) => this.#round?.leftOut.has(name) !== true);
  }

  /** Somebody moved: tells those behind to run on, and everybody to stop once all stand at one step. */
  progress(program: { readonly stands: boolean; readonly step: number | undefined }): Progress {
    const round = this.#round;
    if (round === undefined || round.at === 'stopped') return program.stands ? 'stopped' : 'waiting';
    if (round.at !== 'gathering') return 'waiting';
    const live = this.#asked();
    round.target = highest([round.target, beyond(program.step, program.stands), ...live.map(reach)]);
    for (const participant of live) if (isBehind(participant, round.target)) this.#runOn(participant, round);
    if (program.stands && program.step !== undefined && program.step < round.target) return 'program-runs-on';
    if (!program.stands || live.some(({ arrival }) => arrival === undefined)) return this.#lookAgain();
    return this.#stop(round, live);
  }

  #stop(round: Round, live: readonly Participant[]): Progress {
    round.at = 'stopping';
    this.#parts.channels().hold();
    for (const participant of live) {
      round.pending.add(participant.name);
      participant.post({ type: 'stop', round: round.number });
    }
    if (live.length > 0) return 'stopping';
    round.at = 'stopped';
    return 'stopped';
  }

  /** Steps that members pass are read from shared memory, which nobody announces. */
  #lookAgain(): Progress {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#round?.at === 'gathering') this.#parts.advanced();
    }, LOOK_AGAIN_MS).unref();
    return 'waiting';
  }

  /** Handlers and capture of all members, who have all stopped; undefined where there is none. */
  prepare(reason: string, name: string | undefined): Promise<void> | undefined {
    const round = this.#round;
    if (round === undefined || !this.#roster.populated) return undefined;
    return prepareAndCapture(round, {
      set: this.#parts,
      asked: () => this.#asked(),
      all: () => this.#roster.all(),
      leaveOut: (member, why) => this.#leaveOut(round, member, why),
      facts: { reason, name },
    });
  }

  /** What the members have handed over in this round, the finished ones included. */
  taken(): readonly (readonly [name: string, captured: CapturedMember])[] {
    return [...(this.#round?.taken ?? []), ...finishedParts(this.#roster.all())];
  }

  /** The round is over, well or not: everybody goes on. */
  goOn(): void {
    const round = this.#round;
    if (round === undefined) return;
    this.#round = undefined;
    this.#parts.channels().goOn();
    for (const participant of this.#roster.live()) {
      participant.arrival = undefined;
      participant.post({ type: 'resume', round: round.number });
    }
  }

  records(): ReturnType<typeof recordsOf> {
    return recordsOf(this.#round, this.#roster.all());
  }

  /** A member that was started while a round is under way is asked in it, too. */
  joined(participant: Participant): void {
    if (this.#round !== undefined) this.#ask(participant, this.#round.number);
  }

  /** What is said of a round that is over counts no more. */
  take(from: Participant, message: FromRound): void {
    const round = this.#round;
    if (round?.number !== message.round) return;
    switch (message.type) {
      case 'arrived':
        from.arrival = { step: message.step, place: message.place };
        from.lastPlace = message.place;
        from.partly = undefined;
        this.#parts.advanced();
        return;
      case 'partly':
        from.partly = message.missing;
        return;
      case 'leave':
        if (round.at === 'gathering') this.#runOn(from, round);
        return;
      case 'stopped':
        round.sent.set(from.name, message.sent);
        this.answered(from.name);
        return;
      case 'prepared':
        this.answered(from.name);
        return;
      case 'captured':
        round.taken.set(from.name, message.captured);
        this.answered(from.name);
        return;
    }
  }

  /** It has said what the round waits for, or will not any more. */
  answered(name: string): void {
    const round = this.#round;
    if (round === undefined || !round.pending.delete(name) || round.pending.size > 0) return;
    if (round.at === 'stopping') {
      round.at = 'stopped';
      this.#parts.advanced();
    } else {
      round.answered();
    }
  }

  failed(from: Participant, error: Error, number: number): void {
    const failure = failureOf(from.name, error);
    const round = this.#round;
    if (round === undefined || round.number !== number) this.#parts.log(failure.message);
    else if (this.#parts.onMemberError === 'exclude') this.#leaveOut(round, from.name, failure.message);
    else round.failed(failure);
  }

  /** What it could not send goes to others, who may have been captured without it. */
  leaving({ name }: Participant): void {
    if (this.#round?.at === 'capturing' || this.#round?.at === 'taken') this.#round.failed(leftDuring(name));
  }

  ended({ name, stage, failure }: Participant): void {
    const round = this.#round;
    if (round === undefined) return;
    if (stage === 'dead' && failure !== undefined && this.#parts.onMemberError === 'cancel') {
      round.failed(failure);
      if (this.gathering) this.#parts.failed(failure);
      return;
    }
    round.taken.delete(name);
    this.answered(name);
    this.#parts.advanced();
  }

  #ask(participant: Participant, round: number): void {
    participant.arrival = undefined;
    participant.askedAt = this.#parts.clock.monotonic();
    participant.post({ type: 'quiesce', round });
  }

  #runOn(participant: Participant, round: Round): void {
    participant.arrival = undefined;
    participant.post({ type: 'run-on', round: round.number, target: round.target });
  }
}
