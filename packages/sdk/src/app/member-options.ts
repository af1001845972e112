/** What a program says of its members, and what it is asked about those of an image. */
import type { ForkOptions, OpaquePolicy } from '../members/protocol.js';
import type { RecordedMember } from '../restart/recorded-members.js';

/** Where the program of a member lies. */
export type MemberProgram = URL | string;

/** @returns the program of the member, or undefined for one that is not ours */
export type OnMember = (recorded: RecordedMember) => MemberProgram | undefined;

interface Opaque {
  /**
   * What becomes of a child that never calls joinCheckpointer(). `'error'`, the default: start() fails with ERR_CKPT_TIMEOUT.
   * `'restart'` and `'exclude'`: it is opaque from the beginning, so that nothing of it is captured and nobody waits for it; a
   * restart starts it again with what it was first started with, or leaves it alone. It cannot join then.
   */
  readonly opaque?: OpaquePolicy | 'error';
}

export interface WorkerOptions extends Opaque {
  /** What the worker finds as `workerData`: a value that state can hold, without shared memory. */
  readonly workerData?: unknown;
}

export interface ChildOptions extends ForkOptions, Opaque {}
