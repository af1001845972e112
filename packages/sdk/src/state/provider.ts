/**
 * A provider: what captures and restores one named piece of state.
 *
 * Invariants
 * 1. `capture` is synchronous and leaves the state as it is.
 * 2. `restore` is called at most once, only with a section of the image, during start().
 */
import type { StandardSchema } from './schema.js';

export type ProviderKind = 'state' | 'provide' | 'random';

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

export interface Provider extends VersionOptions {
  readonly name: string;
  readonly kind: ProviderKind;
  /** Schema version written with the section. */
  readonly version: number;
  /** Where the program registered it. */
  readonly place: string;
  readonly capture: () => unknown;
  readonly restore?: (value: unknown) => void | Promise<void>;
}

/** What `ckpt.provide` takes. */
export interface ProvideOptions<T> extends VersionOptions {
  /** Returns the state to keep; synchronous. */
  readonly capture: () => T;
  /** Takes back what `capture` returned in an earlier life; never called without a section. May be async. */
  readonly restore: (value: T) => void | Promise<void>;
}

/** What `ckpt.state` takes beside name and init. */
export interface StateOptions extends VersionOptions {}
