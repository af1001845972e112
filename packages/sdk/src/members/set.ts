/**
 * The checkpoint set as the program sees it: who belongs to it, what each says and is told. Rounds do the checkpoints.
 *
 * Invariants
 * 1. A member that has finished stands for ever, at any step; one that left is no part of the set.
 * 2. A member that is started late is told what all the others were.
 * 3. What a member that leaves could not send, because its peer had not opened the channel yet, is handed to that peer; where
 *    there is nobody of that name, the log says that it is lost.
 */

import { packError, unpackError } from '../base/error-transfer.js';
import { type CheckpointError, isCheckpointError } from '../base/errors.js';
import type { MemberEntry } from './carrier.js';
import type { ChannelRecord } from './channel.js';
import { channelKey, readRecords } from './channel-table.js';
import { Connections } from './connections.js';
import { packMessage, unpackMessage } from './frames.js';
import type { MemberHandle, Participant } from './participant.js';
import { type EndOfSet, type FromMember, PROGRAM } from './protocol.js';
import { type Declaration, Roster } from './roster.js';
import { Rounds } from './rounds.js';
import type { MemberSetParts } from './set-contract.js';

export class MemberSet {
  readonly #parts: MemberSetParts;
  readonly roster: Roster;
  readonly rounds: Rounds;
  readonly connections: Connections;
  readonly #declared = new Set<string>();
  #ended: EndOfSet | undefined;

  constructor(parts: MemberSetParts) {
    this.#parts = parts;
    this.roster = new Roster(
      { message: (from, message) => this.#take(from, message), ended: (who) => this.#memberEnded(who), forked: parts.forked },
      (participant) => this.#launch(participant),
    );
    this.rounds = new Rounds(parts, this.roster);
    this.connections = new Connections((member, key, port) => {
      if (member === PROGRAM) parts.channels().connect(key, port);
      else this.roster.get(member)?.connect(key, port);
    });
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS */
  declare(name: string, entry: MemberEntry, declaration?: Declaration): MemberHandle {
    const participant = this.roster.declare(name, entry, declaration);
    if (this.#declared.has(name)) this.#disconnect(name);
    this.#declared.add(name);
    return participant;
  }

  /** What is sent to the name from now on is for the new one. */
  #disconnect(name: string): void {
    this.connections.forget(name);
    this.#parts.channels().disconnect(name);
    for (const other of this.roster.live()) other.post({ type: 'anew', name });
  }

  /** Whether a forked member still sends what it has captured. */
  get incoming(): boolean {
    return this.roster.all().some(({ incoming }) => incoming);
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

  #launch(participant: Participant): void {
    participant.launch(this.#parts.welcome(participant.name));
    this.#parts.launched(participant);
    if (this.#ended !== undefined) participant.post({ type: 'ended', why: this.#ended });
    this.rounds.joined(participant);
  }

  #take(from: Participant, message: FromMember): void {
    switch (message.type) {
      case 'started':
        this.roster.started(from);
        return;
      case 'channel':
        this.connections.opened(message.key, from.name);
        return;
      case 'ask':
      case 'withdraw':
        this.#parts.asked(from, message);
        return;
      case 'declare':
      case 'dismiss':
        this.#parts.nested(from, message);
        return;
      case 'report':
        this.#parts.log(`member '${from.name}': ${message.message}`);
        return;
      case 'finished':
        for (const { name, peer } of message.unsent) this.connections.opened(channelKey(name, from.name, peer), from.name);
        this.rounds.answered(from.name);
        this.roster.lookStarted();
        this.#parts.advanced();
        return;
      case 'seen-at':
        from.lastPlace = message.place;
        return;
      case 'leaving':
        this.#takeUnsent(from, message.unsent);
        return;
      case 'failed-start':
        return;
      case 'failed':
        this.rounds.failed(from, unpackError(message.error), message.round);
        return;
      default:
        this.rounds.take(from, message);
    }
  }

  /** Invariant 3. */
  #takeUnsent(from: Participant, unsent: Uint8Array): void {
    this.rounds.leaving(from);
    for (const record of readRecords(unpackMessage(unsent))) {
      const to = this.roster.get(record.peer);
      if (record.peer === PROGRAM) this.#parts.channels().takeUnsent(from.name, [record]);
      else if (to?.live === true) to.post({ type: 'left-unsent', from: from.name, unsent: packMessage([record]) });
      else this.#parts.log(unsentLost(from.name, record));
    }
  }

  #memberEnded(participant: Participant): void {
    this.connections.forget(participant.name);
    this.#parts.orphaned(participant.name);
    if (participant.failure !== undefined) this.#parts.log(toldWhole(participant.failure));
    this.roster.lookStarted();
    this.rounds.ended(participant);
  }
}

function unsentLost(from: string, { name, peer, outbox, requests }: ChannelRecord): string {
  const count = outbox.length + (requests?.replies.length ?? 0);
  return (
    `member '${from}' has left, and with it ${count} message${count === 1 ? '' : 's'} on channel '${name}' for '${peer}', ` +
    'which is not there to take them; a member that calls finish() leaves what it has sent for whoever comes later'
  );
}

/** Of a thread nobody else prints where it threw. */
function toldWhole({ message, cause }: CheckpointError): string {
  return cause instanceof Error && !isCheckpointError(cause) && cause.stack !== undefined ? `${message}\n${cause.stack}` : message;
}
