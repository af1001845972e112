/**
 * A provider: what captures and restores one named piece of state.
 *
 * Invariants
 * 1. `capture` is synchronous and leaves the state as it is.
 * 2. `restore` is called at most once, only with a section of the image, during start().
 */

export type ProviderKind = 'state' | 'provide' | 'random' | 'channels' | 'shared';

export interface Provider {
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
export interface ProvideOptions<T> {
  /** Returns the state to keep; synchronous. */
  readonly capture: () => T;
  /** Takes back what `capture` returned in an earlier life; never called without a section. May be async. */
  readonly restore: (value: T) => void | Promise<void>;
  /** Schema version, a whole number from 1 on; 1 by default. */
  readonly version?: number;
}

/** What `ckpt.state` takes beside name and init. */
export interface StateOptions {
  /** Schema version, a whole number from 1 on; 1 by default. */
  readonly version?: number;
}
