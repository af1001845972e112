/** What the member's side of a checkpoint needs of the rooms around it, and what it keeps (agent.ts). */
import type { MessagePort } from 'node:worker_threads';
import type { Place } from '../base/place.js';
import type { ChannelTable } from './channel-table.js';
import type { CapturedMember, StandingKind } from './protocol.js';

export interface AgentParts {
  readonly port: MessagePort;
  readonly shared: Int32Array;
  readonly channels: () => ChannelTable;
  /** Runs the handlers; in a synchronous loop they must be synchronous. */
  readonly handlers: (kind: 'atCheckpoint' | 'atResume', reason: string, name: string | undefined) => Promise<void>;
  readonly handlersSync: (kind: 'atCheckpoint' | 'atResume', reason: string, name: string | undefined) => void;
  readonly capture: () => CapturedMember;
  readonly recycle: () => void;
  /** What became of the image of the last capture. */
  readonly committed: (failure: Error | undefined) => void;
  readonly during: <T>(work: Promise<T>) => Promise<T>;
}

/** Where the member stands. */
export interface Standing {
  readonly kind: StandingKind;
  readonly step: number | undefined;
  readonly place: Place;
  readonly sync: boolean;
  /** Whether the program counts on it (invariant 1). */
  reported: boolean;
  leaving: boolean;
  released: boolean;
  release: () => void;
}

/** The checkpoint under way, as the member knows it. */
export interface MemberRound {
  readonly number: number;
  target: number | undefined;
  stopped: boolean;
  reason: string;
  name: string | undefined;
  prepared: boolean;
}
