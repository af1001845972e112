/**
 * What a program says when the members of an image and those that it declares differ: who begins with which state, and what
 * becomes of each message that was on its way.
 *
 * Invariants
 * 1. Nothing is lost silently: every declared member and every undelivered message is spoken of, or the start is refused.
 */
import type { RecordedMember } from './recorded-members.js';

/** A member of the image, with its state. */
export interface RescaledMember extends RecordedMember {
  /**
   * The value of each of its providers, by name, as the version of the program that wrote it had it; of a collection, a Map.
   * Decoded when the first is read: classes among them have to be registered in the program, too.
   */
  readonly sections: Readonly<Record<string, unknown>>;
}

/** A message, or a request, that the image holds because its receiver, or its caller, had not gone on with it. */
export interface UndeliveredMessage {
  /** By which it is accounted for; says nothing else. */
  readonly id: number;
  readonly channel: string;
  readonly from: string;
  readonly to: string;
  readonly value: unknown;
  /**
   * Of a request how far it is: not handed out, handed out and without a reply, or replied to without the caller knowing. Absent
   * of a message.
   */
  readonly request?: 'asked' | 'owed' | 'answered';
}

export interface RescaledSet {
  readonly members: readonly RescaledMember[];
  /** Those of one channel in the order in which they were sent. */
  readonly messages: readonly UndeliveredMessage[];
}

export interface Rescaled {
  /**
   * For each declared member the values of providers that it begins with, by name; what is left out begins anew. `recorded`: it
   * goes on from its own part of the image, with the workerData or the arguments of then, and so do the members that it had declared;
   * those of a member that does not are gone. Members that members declare are not named here.
   */
  readonly members: Readonly<Record<string, 'recorded' | Readonly<Record<string, unknown>>>>;
  /** To be delivered, in this order: as they are, or copies with another `to`, `from`, `channel` or `value`. A request stays as it is. */
  readonly messages?: readonly UndeliveredMessage[];
  /** That nobody is to get. A request that is dropped is made anew by a caller that asks again. */
  readonly dropped?: readonly UndeliveredMessage[];
}

/** Synchronous. What it throws refuses the start. */
export type Rescale = (old: RescaledSet) => Rescaled;
