/**
 * Who belongs to the set: declared, started and ended members by name.
 *
 * Invariants
 * 1. A name is used by one member at a time; that of a member that died or left can be used again.
 * 2. Members declared before start() are started by it, later ones at once.
 */
import { CheckpointError } from '../base/errors.js';
import { callPlace, type Place } from '../base/place.js';
import type { MemberEntry } from './carrier.js';
import { Participant, type ParticipantEvents } from './participant.js';

/** Who declared a member. */
export interface Declaration {
  readonly place: Place;
  /** The member that did; undefined for the program. */
  readonly parent?: string;
}

export class Roster {
  readonly #members = new Map<string, Participant>();
  readonly #events: ParticipantEvents;
  readonly #launch: (participant: Participant) => void;
  /** Members begin together: one that has started waits until all have. */
  #at: 'declaring' | 'starting' | 'running' = 'declaring';
  #whenStarted: (() => void)[] = [];

  constructor(events: ParticipantEvents, launch: (participant: Participant) => void) {
    this.#events = events;
    this.#launch = launch;
  }

  /** Whether there is anybody beside the program. */
  get populated(): boolean {
    return this.all().some(({ stage }) => stage !== 'left');
  }

  all(): readonly Participant[] {
    return [...this.#members.values()];
  }

  live(): readonly Participant[] {
    return this.all().filter(({ live }) => live);
  }

  get(name: string): Participant | undefined {
    return this.#members.get(name);
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS while a member has the name */
  assertFree(name: string, entry: MemberEntry): void {
    const other = this.#members.get(name);
    if (other !== undefined && other.stage !== 'dead' && other.stage !== 'left')
      throw nameTaken(name, entry, `a member of that name is ${other.stage}`);
  }

  /** One that has ended makes room for what is no member. */
  forget(name: string): void {
    this.#members.delete(name);
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS */
  declare(name: string, entry: MemberEntry, by: Declaration = { place: callPlace() }): Participant {
    this.assertFree(name, entry);
    const participant = new Participant(name, entry, by, this.#events);
    this.#members.set(name, participant);
    if (this.#at !== 'declaring') this.#launch(participant);
    return participant;
  }

  /** Starts the declared members; resolves when each has restored its state and waits at its start(). @throws why one could not */
  async launch(): Promise<void> {
    this.#at = 'starting';
    for (const participant of this.#members.values()) this.#launch(participant);
    await new Promise<void>((resolve) => {
      this.#whenStarted.push(resolve);
      this.lookStarted();
    });
    for (const { failure } of this.#members.values()) if (failure !== undefined) throw failure;
  }

  /** Lets them begin. */
  go(): void {
    this.#at = 'running';
    for (const participant of this.#members.values()) if (participant.stage === 'started') this.#begin(participant);
  }

  started(participant: Participant): void {
    if (this.#at === 'running') this.#begin(participant);
    else participant.stage = 'started';
    this.lookStarted();
  }

  /** Told only now: before, a member may not have come to where it waits for it. */
  #begin(participant: Participant): void {
    participant.stage = 'running';
    participant.post({ type: 'go' });
  }

  /** Tells who waits for the start of all, when it is over. */
  lookStarted(): void {
    if (this.notStarted().length > 0) return;
    for (const resolve of this.#whenStarted.splice(0)) resolve();
  }

  notStarted(): readonly { readonly name: string; readonly place: string }[] {
    return this.all()
      .filter(({ stage }) => stage === 'declared' || stage === 'launched')
      .map(({ name, place }) => ({ name, place: String(place) }));
  }

  /** The run is over: members are not started again. */
  stayFinished(): void {
    for (const participant of this.#members.values()) participant.stayFinished();
  }

  async terminate(): Promise<void> {
    await Promise.allSettled(this.all().map((participant) => participant.terminate()));
  }
}

export function nameTaken(name: string, entry: MemberEntry, found: string): CheckpointError {
  const message = `${entry.kind === 'worker' ? 'worker' : 'fork'}('${name}'): ${found}; give one of them another name`;
  return new CheckpointError('ERR_CKPT_EXISTS', message, { member: name, phase: 'register' });
}
