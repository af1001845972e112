/**
 * The checkpoint set as the program sees it: brings every member to a stand together with the program itself.
 *
 *   idle → gathering → stopping → stopped → preparing → capturing → taken → idle
 *
 * Invariants
 * 1. Members that pass a step number stop at the same one: the highest at which one stands, or beyond the highest that
 *    one has passed without stopping; the others run on to it. So nobody stands who is waited for.
 * 2. A member that has finished stands for ever, at any step; one that left is no part of the set.
 * 3. Nobody captures before everybody has stopped and has everything its peers have sent.
 * 4. Where one member fails, nobody's part is used: the round is over with an error, and everybody goes on.
 * 5. A member that died refuses every round, unless such members are excluded.
 */

import { packError, unpackError } from '../base/error-transfer.js';
import type { CheckpointError } from '../base/errors.js';
import type { MemberEntry } from './carrier.js';
import { channelKey } from './channel-table.js';
import { Connections } from './connections.js';
import { prepareAndCapture } from './orders.js';
import type { MemberHandle, Participant } from './participant.js';
import { type CapturedMember, type EndOfSet, type FromMember, PROGRAM } from './protocol.js';
import { Roster } from './roster.js';
import {
  beyond,
  failureOf,
  finishedParts,
  highest,
  isBehind,
  type MissingMember,
  newRound,
  type Round,
  reach,
  recordsOf,
} from './round.js';
import type { MemberSetParts, Progress } from './set-contract.js';

const LOOK_AGAIN_MS = 5;
export class MemberSet {
  readonly #parts: MemberSetParts;
  readonly roster: Roster;
  readonly connections: Connections;
  #round: Round | undefined;
  #rounds = 0;
  #timer: NodeJS.Timeout | undefined;
  #ended: EndOfSet | undefined;

  constructor(parts: MemberSetParts) {
    this.#parts = parts;
    this.roster = new Roster(
      { message: (from, message) => this.#take(from, message), ended: (who) => this.#memberEnded(who), forked: parts.forked },
      (participant) => this.#launch(participant),
    );
    this.connections = new Connections((member, key, port) => {
      if (member === PROGRAM) parts.channels().connect(key, port);
      else this.roster.get(member)?.connect(key, port);
    });
  }

  get populated(): boolean {
    return this.roster.populated;
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS */
  declare(name: string, entry: MemberEntry): MemberHandle {
    const participant = this.roster.declare(name, entry);
    this.connections.forget(name);
    return participant;
  }

  /** Begins a round. @returns why it cannot succeed */
  gather(): CheckpointError | undefined {
    const failure = this.roster.all().find(({ stage }) => stage === 'dead')?.failure;
    if (failure !== undefined && this.#parts.onMemberError === 'cancel') return failure;
    const number = ++this.#rounds;
    this.#round = newRound(number);
    for (const participant of this.roster.live()) this.#ask(participant, number);
    this.#parts.channels().hurry();
    return undefined;
  }

  get gathering(): boolean {
    return this.#round?.at === 'gathering' || this.#round?.at === 'stopping';
  }

  get somebodyStands(): boolean {
    return this.roster.live().some(({ arrival }) => arrival !== undefined);
  }

  missing(): readonly MissingMember[] {
    if (!this.gathering) return [];
    return this.#asked()
      .filter(({ arrival }) => arrival === undefined)
      .map((participant) => ({ task: participant.name, lastSafepoint: participant.describe() }));
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
    this.#answered(name);
  }

  /** Whom the round waits for. */
  #asked(): readonly Participant[] {
    return this.roster.live().filter(({ name }) => this.#round?.leftOut.has(name) !== true);
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
    if (round === undefined || !this.populated) return undefined;
    return prepareAndCapture(round, {
      set: this.#parts,
      asked: () => this.#asked(),
      all: () => this.roster.all(),
      leaveOut: (member, why) => this.#leaveOut(round, member, why),
      facts: { reason, name },
    });
  }

  /** What the members have handed over in this round, the finished ones included. */
  taken(): readonly (readonly [name: string, captured: CapturedMember])[] {
    return [...(this.#round?.taken ?? []), ...finishedParts(this.roster.all())];
  }

  /** The round is over, well or not: everybody goes on. */
  goOn(): void {
    const round = this.#round;
    if (round === undefined) return;
    this.#round = undefined;
    this.#parts.channels().goOn();
    for (const participant of this.roster.live()) {
      participant.arrival = undefined;
      participant.post({ type: 'resume', round: round.number });
    }
  }

  /** Staging of the last capture may be used again. */
  recycle(): void {
    for (const participant of this.roster.live()) participant.post({ type: 'recycle' });
  }

  /** The image of the last capture was acknowledged. */
  committed(): void {
    for (const participant of this.roster.live()) participant.post({ type: 'committed' });
  }

  /** The checkpoint failed: what the members gave for it is not in an image. */
  notCommitted(error: CheckpointError): void {
    for (const participant of this.roster.live()) participant.post({ type: 'not-committed', error: packError(error) });
  }

  end(why: EndOfSet): void {
    this.#ended ??= why;
    for (const participant of this.roster.live()) participant.post({ type: 'ended', why });
  }

  records(): ReturnType<typeof recordsOf> {
    return recordsOf(this.#round, this.roster.all());
  }

  #launch(participant: Participant): void {
    participant.launch(this.#parts.welcome(participant.name));
    this.#parts.launched(participant);
    if (this.#ended !== undefined) participant.post({ type: 'ended', why: this.#ended });
    if (this.#round !== undefined) this.#ask(participant, this.#round.number);
  }

  #ask(participant: Participant, round: number): void {
    participant.arrival = undefined;
    participant.post({ type: 'quiesce', round });
  }

  #runOn(participant: Participant, round: Round): void {
    participant.arrival = undefined;
    participant.post({ type: 'run-on', round: round.number, target: round.target });
  }

  #take(from: Participant, message: FromMember): void {
    switch (message.type) {
      case 'started':
        this.roster.started(from);
        return;
      case 'channel':
        this.connections.opened(message.key, from.name);
        return;
      case 'finished':
        for (const { name, peer } of message.unsent) this.connections.opened(channelKey(name, from.name, peer), from.name);
        this.#answered(from.name);
        this.roster.lookStarted();
        this.#parts.advanced();
        return;
      case 'failed-start':
        return;
      case 'failed':
        this.#memberFailed(from, unpackError(message.error), message.round);
        return;
      default:
        if (message.round === this.#round?.number) this.#takeInRound(from, message, this.#round);
    }
  }

  #takeInRound(
    from: Participant,
    message: Extract<FromMember, { type: 'arrived' | 'leave' | 'stopped' | 'prepared' | 'captured' }>,
    round: Round,
  ): void {
    switch (message.type) {
      case 'arrived':
        from.arrival = { kind: message.kind, step: message.step, place: message.place };
        from.lastPlace = message.place;
        this.#parts.advanced();
        return;
      case 'leave':
        if (round.at === 'gathering') this.#runOn(from, round);
        return;
      case 'stopped':
        round.sent.set(from.name, message.sent);
        this.#answered(from.name);
        return;
      case 'prepared':
        this.#answered(from.name);
        return;
      case 'captured':
        round.taken.set(from.name, message.captured);
        this.#answered(from.name);
        return;
    }
  }

  #answered(name: string): void {
    const round = this.#round;
    if (round === undefined || !round.pending.delete(name) || round.pending.size > 0) return;
    if (round.at === 'stopping') {
      round.at = 'stopped';
      this.#parts.advanced();
    } else {
      round.answered();
    }
  }

  #memberFailed(from: Participant, error: Error, number: number): void {
    const failure = failureOf(from.name, error);
    const round = this.#round;
    if (round === undefined || round.number !== number) this.#parts.log(failure.message);
    else if (this.#parts.onMemberError === 'exclude') this.#leaveOut(round, from.name, failure.message);
    else round.failed(failure);
  }

  #memberEnded(participant: Participant): void {
    const { name, stage, failure } = participant;
    this.connections.forget(name);
    if (failure !== undefined) this.#parts.log(failure.message);
    this.roster.lookStarted();
    const round = this.#round;
    if (round === undefined) return;
    if (stage === 'dead' && failure !== undefined && this.#parts.onMemberError === 'cancel') {
      round.failed(failure);
      if (this.gathering) this.#parts.failed(failure);
      return;
    }
    round.taken.delete(name);
    this.#answered(name);
    this.#parts.advanced();
  }
}
