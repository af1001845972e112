/**
 * A provider: what captures and restores one named piece of state.
 *
 * Invariants
 * 1. `capture` is synchronous and leaves the state as it is.
 * 2. `restore` is called at most once, only with a section of the image, during start().
 */
import type { FoundBuffer } from '../codec/contract.js';
import type { SectionInput } from '../image/contract.js';
import type { StandardSchema } from './schema.js';

export type ProviderKind = 'state' | 'provide' | 'random' | 'timer' | 'wasm' | 'collection' | 'channels' | 'shared';

/** Kinds of sections that belong to the set of members, not to a provider: nobody claims them by name. */
export const SET_KINDS: ReadonlySet<string> = new Set(['channels', 'shared', 'worker-data']);
export const WASM_KIND: 'wasm' = 'wasm';
export const COLLECTION_KIND: 'collection' = 'collection';

/** A section whose first bytes are those of the same section in the image before. */
export interface CapturedLog {
  readonly encoding: string;
  /** How many bytes of that section come first; 0: none. */
  readonly follows: number;
  /** What comes behind them. */
  readonly chunks: readonly Uint8Array[];
}

/** A section as it is handed to the thread that writes it. */
export interface CapturedSection extends SectionInput {
  /** How many bytes of the same section in the image before come first. */
  readonly follows?: number;
}

/** Keeps the section of a provider as a log that only grows, until it is written anew. */
export interface SectionLog {
  /** Synchronous; what it takes stays to be taken until `committed`. @throws CheckpointError as encodeMember */
  capture(): CapturedLog;
  /** The image of the last capture was acknowledged. */
  committed(): void;
  /** The image before cannot be gone on with: the next capture follows nothing. */
  writeWhole(): void;
}

/**
 * Makes the value of one version into that of the next; synchronous. It may change the old value or make a new one.
 * Written as a method so that `(old: MyOldState) => …` is accepted: only the program knows what its old images hold.
 */
export type Migration = { migrate(old: unknown): unknown }['migrate'];

/** How a provider's state may differ between the program that wrote an image and the one that starts from it. */
export interface VersionOptions {
  /** Schema version, a whole number from 1 on; 1 by default. */
  readonly version?: number;
  /** `{ 1: old => new2, 2: old => new3 }`: one step for each version before this one that images may still have. */
  readonly migrate?: Readonly<Record<number, Migration>>;
  /**
   * Any synchronous Standard Schema. Checks what init makes and what an image held, after migration; what it returns is
   * ignored.
   */
  readonly schema?: StandardSchema;
  /** Check with `schema` at each capture too; a value that does not fit makes the checkpoint fail. Default false. */
  readonly validateAtCapture?: boolean;
  /** Names that this provider had in earlier versions of the program, the newest first. */
  readonly was?: readonly string[];
}

/** What becomes of values that cannot be carried (docs/guide-state.md). */
export interface CarryOptions {
  /**
   * `refuse`: the checkpoint fails and says where they are. `drop`: they are left out, and the image says where. Properties, and
   * entries of Maps and Sets, are then missing after a restart, elements of arrays are undefined. Default `refuse`.
   */
  readonly onUnsupported?: 'refuse' | 'drop';
}

export interface Provider extends VersionOptions, CarryOptions {
  readonly name: string;
  readonly kind: ProviderKind;
  /** Schema version written with the section. */
  readonly version: number;
  /** Where the program registered it. */
  readonly place: string;
  readonly capture: () => unknown;
  readonly restore?: (value: unknown) => void | Promise<void>;
  /** Bulk memory that belongs to the section beside its value, as it is now. */
  readonly memory?: () => FoundBuffer;
  /** In place of `capture`, whose value is then not asked for. */
  readonly log?: SectionLog;
  /** Before anything is restored: what the section needs is made, or refused. @throws CheckpointError ERR_CKPT_SCHEMA */
  readonly plan?: (value: unknown) => void;
}

/** What `ckpt.provide` takes. */
export interface ProvideOptions<T> extends VersionOptions, CarryOptions {
  /** Returns the state to keep; synchronous. */
  readonly capture: () => T;
  /** Takes back what `capture` returned in an earlier life; never called without a section. May be async. */
  readonly restore: (value: T) => void | Promise<void>;
}

/** What `ckpt.state` takes beside name and init. */
export interface StateOptions extends VersionOptions, CarryOptions {}
