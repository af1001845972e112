/**
 * What a set needs of the rooms around it, and what it answers them.
 *
 * Invariants
 * 1. Nobody guesses how far a round is: the set says it.
 */
import type { CheckpointError } from '../base/errors.js';
import type { Clock } from '../base/ports.js';
import type { CarrierEvents, Greeting } from './carrier.js';
import type { ChannelTable } from './channel-table.js';
import type { Participant } from './participant.js';
import type { FromMember, NestedOrder } from './protocol.js';

export type OnMemberError = 'cancel' | 'exclude';

export interface MemberSetParts {
  readonly clock: Clock;
  readonly onMemberError: OnMemberError;
  /** How long a member may take for its handlers, or for its capture, ms. */
  readonly answerMs: number;
  /** The program's own ends of channels. */
  readonly channels: () => ChannelTable;
  /** What a member is told when it joins. */
  readonly welcome: (name: string) => Greeting;
  readonly forked: CarrierEvents['forked'];
  /** Somebody came to stand, or left the set: a checkpoint may go on. */
  readonly advanced: () => void;
  /** The checkpoint under way cannot succeed. */
  readonly failed: (error: CheckpointError) => void;
  /** A member asks for a checkpoint, or for none any more. */
  readonly asked: (from: Participant, message: Extract<FromMember, { type: 'ask' | 'withdraw' }>) => void;
  /** A member declares another, or dismisses one that it has declared. */
  readonly nested: (from: Participant, message: NestedOrder) => void;
  /** This member has died or left: those that it has declared go too. */
  readonly orphaned: (parent: string) => void;
  readonly launched: (participant: Participant) => void;
  readonly log: (message: string) => void;
}

/** How far a round has come: what the conductor does next. */
export type Progress = 'waiting' | 'program-runs-on' | 'stopping' | 'stopped';
