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
 * 5. A member that died stays in the set and refuses every round, unless such members are excluded.
 */
import { MessageChannel } from 'node:worker_threads';
import { unpackError } from '../base/error-transfer.js';
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import type { MemberRecord } from '../image/contract.js';
import type { ChannelTable } from './channel-table.js';
import { membersOf } from './channel-table.js';
import { type MemberEntry, type MemberHandle, Participant } from './participant.js';
import { type CapturedMember, type Counts, type EndOfSet, type FromMember, NO_STEP, PROGRAM, type Welcome } from './protocol.js';

export type OnMemberError = 'cancel' | 'exclude';

export interface MemberSetParts {
  readonly onMemberError: OnMemberError;
  /** The program's own ends of channels. */
  readonly channels: () => ChannelTable;
  /** What a member is told when it joins. */
  readonly welcome: (name: string) => Omit<Welcome, 'type' | 'port' | 'attention' | 'name'>;
  /** Somebody came to stand, or left the set: a checkpoint may go on. */
  readonly advanced: () => void;
  /** The checkpoint under way cannot succeed. */
  readonly failed: (error: CheckpointError) => void;
  readonly launched: (participant: Participant) => void;
  readonly log: (message: string) => void;
}

const LOOK_AGAIN_MS = 5;

/** How far a round has come: what the conductor does next. */
export type Progress = 'waiting' | 'program-runs-on' | 'stopping' | 'stopped';

interface Round {
  readonly number: number;
  at: 'gathering' | 'stopping' | 'stopped' | 'preparing' | 'capturing' | 'taken';
  /** Members whose answer is missing. */
  readonly pending: Set<string>;
  /** The step at which everybody stops; the highest known so far. */
  target: number;
  readonly sent: Map<string, Counts>;
  readonly taken: Map<string, CapturedMember>;
  answered: () => void;
  failed: (error: Error) => void;
}

/** A member that has not arrived. */
export interface MissingMember {
  readonly task: string;
  readonly lastSafepoint: string;
}

export class MemberSet {
  readonly #parts: MemberSetParts;
  readonly #members = new Map<string, Participant>();
  /** Who has opened which channel. */
  readonly #openers = new Map<string, Set<string>>();
  #round: Round | undefined;
  #rounds = 0;
  #launching = false;
  #timer: NodeJS.Timeout | undefined;
  #ended: EndOfSet | undefined;
  #whenStarted: (() => void)[] = [];

  constructor(parts: MemberSetParts) {
    this.#parts = parts;
  }

  /** Whether there is anybody beside the program. */
  get populated(): boolean {
    return [...this.#members.values()].some(({ stage }) => stage !== 'left');
  }

  get declared(): readonly string[] {
    return [...this.#members.keys()];
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS */
  declare(name: string, entry: MemberEntry): MemberHandle {
    const other = this.#members.get(name);
    if (other !== undefined && other.stage !== 'dead' && other.stage !== 'left') {
      throw new CheckpointError('ERR_CKPT_EXISTS', `worker('${name}'): a member of that name is ${other.stage}; give one of them another name`, {
        member: name,
        phase: 'register',
      });
    }
    const participant = new Participant(name, entry, {
      message: (from, message) => this.#take(from, message),
      ended: (who) => this.#memberEnded(who),
    });
    this.#members.set(name, participant);
    this.#disconnect(name);
    if (this.#launching) {
      this.#launch(participant);
      participant.post({ type: 'go' });
    }
    return participant;
  }

  handle(name: string): MemberHandle | undefined {
    return this.#members.get(name);
  }

  /** Starts the declared members; resolves when each has restored its state and waits at its start(). @throws why one could not */
  async launch(): Promise<void> {
    this.#launching = true;
    for (const participant of this.#members.values()) this.#launch(participant);
    await new Promise<void>((resolve) => {
      this.#whenStarted.push(resolve);
      this.#tellStarted();
    });
    for (const { failure } of this.#members.values()) if (failure !== undefined) throw failure;
  }

  /** Lets them begin. */
  go(): void {
    for (const participant of this.#members.values()) {
      participant.post({ type: 'go' });
      if (participant.stage === 'started') participant.stage = 'running';
    }
  }

  async terminate(): Promise<void> {
    await Promise.allSettled([...this.#members.values()].map((participant) => participant.terminate()));
  }

  /** Connects the two ends of a channel once both members have opened theirs. */
  opened(key: string, member: string): void {
    const openers = this.#openers.get(key) ?? new Set();
    openers.add(member);
    this.#openers.set(key, openers);
    const [one, other] = membersOf(key);
    if (!openers.has(one) || !openers.has(other)) return;
    const { port1, port2 } = new MessageChannel();
    for (const [name, port] of [
      [one, port1],
      [other, port2],
    ] as const) {
      if (name === PROGRAM) this.#parts.channels().connect(key, port);
      else this.#members.get(name)?.post({ type: 'connect', key, port }, [port]);
    }
  }

  /** Begins a round. @returns why it cannot succeed */
  gather(): CheckpointError | undefined {
    const dead = [...this.#members.values()].find(({ stage }) => stage === 'dead');
    if (dead?.failure !== undefined && this.#parts.onMemberError === 'cancel') return dead.failure;
    const number = ++this.#rounds;
    this.#round = {
      number,
      at: 'gathering',
      pending: new Set(),
      target: NO_STEP,
      sent: new Map(),
      taken: new Map(),
      answered: () => {},
      failed: () => {},
    };
    for (const participant of this.#live()) this.#ask(participant, number);
    this.#parts.channels().hurry();
    return undefined;
  }

  get gathering(): boolean {
    return this.#round?.at === 'gathering' || this.#round?.at === 'stopping';
  }

  get somebodyStands(): boolean {
    return this.#live().some(({ arrival }) => arrival !== undefined);
  }

  missing(): readonly MissingMember[] {
    if (!this.gathering) return [];
    return this.#live()
      .filter(({ arrival }) => arrival === undefined)
      .map((participant) => ({ task: participant.name, lastSafepoint: participant.describe() }));
  }

  /** Somebody moved: tells those behind to run on, and everybody to stop once all stand at one step. */
  progress(program: { readonly stands: boolean; readonly step: number | undefined }): Progress {
    const round = this.#round;
    if (round === undefined || round.at === 'stopped') return program.stands ? 'stopped' : 'waiting';
    if (round.at !== 'gathering') return 'waiting';
    const live = this.#live();
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
    if (live.length === 0) round.at = 'stopped';
    return round.at === 'stopped' ? 'stopped' : 'stopping';
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
    return this.#prepareAndCapture(round, reason, name);
  }

  /** What the members have handed over in this round, the finished ones included. */
  taken(): readonly (readonly [name: string, captured: CapturedMember])[] {
    const finished = [...this.#members.values()].flatMap(({ name, final }) => (final === undefined ? [] : [[name, copied(final.captured)] as const]));
    return [...(this.#round?.taken ?? []), ...finished];
  }

  notStarted(): readonly string[] {
    return [...this.#members.values()].filter(({ stage }) => stage === 'declared' || stage === 'launched').map(({ name }) => name);
  }

  /** The run is over: members are not started again. */
  stayFinished(): void {
    for (const participant of this.#members.values()) participant.stayFinished();
  }

  /** The round is over, well or not: everybody goes on. */
  goOn(): void {
    const round = this.#round;
    if (round === undefined) return;
    this.#round = undefined;
    this.#parts.channels().goOn();
    for (const participant of this.#live()) {
      participant.arrival = undefined;
      participant.post({ type: 'resume', round: round.number });
    }
  }

  /** Staging of the last capture may be used again. */
  recycle(): void {
    for (const participant of this.#live()) participant.post({ type: 'recycle' });
  }

  end(why: EndOfSet): void {
    this.#ended ??= why;
    for (const participant of this.#live()) participant.post({ type: 'ended', why });
  }

  records(): readonly MemberRecord[] {
    const round = this.#round;
    return [...this.#members.values()].flatMap(({ name, stage, entry, arrival }): MemberRecord[] => {
      if (stage !== 'finished' && round?.taken.has(name) !== true) return [];
      const step = arrival?.step === undefined ? {} : { step: arrival.step };
      return [{ name, kind: 'worker', entry: entry.url.href, finished: stage === 'finished', ...step }];
    });
  }

  #live(): Participant[] {
    return [...this.#members.values()].filter(({ live }) => live);
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

  #disconnect(name: string): void {
    for (const openers of this.#openers.values()) openers.delete(name);
  }

  #tellStarted(): void {
    const pending = [...this.#members.values()].some(({ stage }) => stage === 'declared' || stage === 'launched');
    if (pending) return;
    for (const resolve of this.#whenStarted.splice(0)) resolve();
  }

  async #prepareAndCapture(round: Round, reason: string, name: string | undefined): Promise<void> {
    const live = this.#live();
    const expect = expectations([
      ...round.sent,
      ...[...this.#members.values()].flatMap((member) => (member.final === undefined ? [] : [[member.name, member.final.sent] as const])),
      [PROGRAM, this.#parts.channels().sent()],
    ]);
    round.at = 'preparing';
    await this.#askAll(round, live, (participant) =>
      participant.post({ type: 'prepare', round: round.number, expect: expect.get(participant.name) ?? [], reason, name }),
    );
    while (!this.#parts.channels().drain(expect.get(PROGRAM) ?? [])) await new Promise((resolve) => setImmediate(resolve));
    round.at = 'capturing';
    await this.#askAll(round, live, (participant) => participant.post({ type: 'capture', round: round.number }));
    round.at = 'taken';
  }

  async #askAll(round: Round, live: readonly Participant[], ask: (participant: Participant) => void): Promise<void> {
    const lost = live.find((participant) => !participant.live);
    if (lost !== undefined && this.#parts.onMemberError === 'cancel') throw lost.failure ?? leftDuring(lost.name);
    if (live.length === 0) return;
    await new Promise<void>((resolve, reject) => {
      round.answered = resolve;
      round.failed = reject;
      for (const participant of live) {
        if (!participant.live) continue;
        round.pending.add(participant.name);
        ask(participant);
      }
      if (round.pending.size === 0) resolve();
    });
  }

  #take(from: Participant, message: FromMember): void {
    switch (message.type) {
      case 'started':
        from.stage = this.#whenStarted.length > 0 ? 'started' : 'running';
        return this.#tellStarted();
      case 'channel':
        return this.opened(message.key, from.name);
      case 'finished':
        this.#answered(from.name);
        this.#tellStarted();
        return this.#parts.advanced();
      case 'failed-start':
        return;
      case 'failed':
        return this.#memberFailed(from, unpackError(message.error), message.round);
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
        return this.#parts.advanced();
      case 'leave':
        if (round.at === 'gathering') this.#runOn(from, round);
        return;
      case 'stopped':
        round.sent.set(from.name, message.sent);
        return this.#answered(from.name);
      case 'prepared':
        return this.#answered(from.name);
      case 'captured':
        round.taken.set(from.name, message.captured);
        return this.#answered(from.name);
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
    const failure = isCheckpointError(error)
      ? new CheckpointError(error.code, `member '${from.name}': ${error.message}`, { ...error.context, member: from.name, ...(error.phase ? { phase: error.phase } : {}), cause: error })
      : new CheckpointError('ERR_CKPT_MEMBER', `member '${from.name}': ${messageOf(error)}`, { member: from.name, cause: error });
    const round = this.#round;
    if (round === undefined || round.number !== number) this.#parts.log(failure.message);
    else round.failed(failure);
  }

  #memberEnded(participant: Participant): void {
    const { name, stage, failure } = participant;
    this.#disconnect(name);
    if (failure !== undefined) this.#parts.log(failure.message);
    this.#tellStarted();
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

/** What each member has to have received before it is captured. */
function expectations(sent: readonly (readonly [string, Counts])[]): Map<string, [string, number][]> {
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

/** Structured state is handed over to the helper thread with each image. */
function copied(captured: CapturedMember): CapturedMember {
  return { ...captured, sections: captured.sections.map((section) => ({ ...section, chunks: section.chunks.map((chunk) => chunk.slice()) })) };
}

/** Where somebody stops who has passed this step, or stands at it. */
function beyond(step: number | undefined, stands: boolean): number {
  return step === undefined ? NO_STEP : stands ? step : step + 1;
}

/** The least step at which a member can stop: a peer that stands at an earlier one may be what it waits for. */
function reach({ arrival, passedStep }: Participant): number {
  return arrival === undefined ? beyond(passedStep, false) : beyond(arrival.step, true);
}

function isBehind({ arrival }: Participant, target: number): boolean {
  return arrival?.step !== undefined && arrival.step < target;
}

function highest(steps: readonly number[]): number {
  return steps.reduce((most, step) => Math.max(most, step), NO_STEP);
}

function leftDuring(name: string): CheckpointError {
  return new CheckpointError('ERR_CKPT_MEMBER', `checkpoint: member '${name}' left while it was taken; the next checkpoint goes without it`, {
    member: name,
    phase: 'capture',
  });
}
