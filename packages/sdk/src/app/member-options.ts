/** What a program says of its members, and what it is asked about those of an image. */
import type { ForkOptions, OpaquePolicy } from '../members/protocol.js';

/** What the image tells of a member that the program has not declared. */
export interface RecordedMember {
  readonly name: string;
  readonly kind: 'worker' | 'process';
  readonly finished: boolean;
  /** Of a worker; undefined of a process. */
  readonly workerData: unknown;
  /** Of a process; empty of a worker. */
  readonly args: readonly string[];
  /** Set for an opaque child, one that never joined: what a restart is to do with it. */
  readonly opaque: OpaquePolicy | undefined;
  /** Set for one that a member had declared, and that member is not there. */
  readonly parent: string | undefined;
}

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
