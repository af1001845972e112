/** What the member's side of a checkpoint needs of the rooms around it, and what it keeps (agent.ts). */
import type { MessagePort } from 'node:worker_threads';
import type { ChannelTable } from './channel-table.js';
import type { CapturedMember, ToMember } from './protocol.js';

export interface AgentParts {
  /** Of the member, and of its main task. */
  readonly name: string;
  readonly port: MessagePort;
  readonly shared: Int32Array;
  readonly channels: () => ChannelTable;
  /** Runs the handlers; in a synchronous loop they must be synchronous. */
  readonly handlers: (kind: 'atCheckpoint' | 'atResume', reason: string, name: string | undefined) => Promise<void>;
  readonly handlersSync: (kind: 'atCheckpoint' | 'atResume', reason: string, name: string | undefined) => void;
  readonly capture: () => CapturedMember;
  /** Told of the checkpoints that the member has asked for. */
  readonly asked: (message: Extract<ToMember, { type: 'ask-captured' | 'ask-settled' }>) => void;
  /** Told of the members that this one has declared. */
  readonly nested: (message: Extract<ToMember, { type: 'nested' }>) => void;
  readonly recycle: () => void;
  /** What became of the image of the last capture. */
  readonly committed: (failure: Error | undefined) => void;
  readonly during: <T>(work: Promise<T>) => Promise<T>;
}

/** The checkpoint under way, as the member knows it. */
export interface MemberRound {
  readonly number: number;
  target: number | undefined;
  /** Whether the program counts on it that all tasks stand. */
  reported: boolean;
  stopped: boolean;
  reason: string;
  name: string | undefined;
  prepared: boolean;
  /** Tasks of which it has told that they do not stand. */
  missing: string;
}
