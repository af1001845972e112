/**
 * What a start would do with each provider and each section, as it is shown.
 *
 * Invariants
 * 1. Every provider and every section of the image is told exactly once; sections that only others need are left out.
 */
import type { ErrorCode } from '../base/errors.js';
import type { DroppedValues } from '../codec/contract.js';

/** What becomes of the sections that no provider claims. */
export type Unclaimed = false | 'carry' | 'drop';

export interface ProviderPlan {
  /** Of the provider; where there is none, of the section. */
  readonly name: string;
  readonly kind: string;
  /**
   * `match`: the section is taken as it is. `migrate`: it is brought from version `from` to `to` first. `default`: the image has
   * no such section; init made the value, or restore is not called. `unclaimed`: no provider takes the section, see
   * `handling`. `refused`: see `reason`. `recorded`: the program did not say.
   */
  readonly outcome: 'match' | 'migrate' | 'default' | 'unclaimed' | 'refused' | 'recorded';
  /** Version in the image. */
  readonly from?: number;
  /** Version of the program. */
  readonly to?: number;
  /** Name of the section, where it is another than the provider's. */
  readonly section?: string;
  readonly handling?: 'refuse' | 'carry' | 'drop';
  readonly reason?: { readonly code: ErrorCode; readonly message: string };
  /** What the image lacks of the section, because its provider asked to leave it out. */
  readonly dropped?: DroppedValues;
  /** Sections with which it had objects in common, and has no more after this start. */
  readonly parts?: readonly string[];
}

/** What is known of a section of the image. */
export interface SectionFacts {
  readonly name: string;
  readonly kind: string;
  readonly version: number;
  readonly imports?: readonly string[];
  readonly dropped?: DroppedValues;
}

/** Sections that have objects in common with the section of this name. */
export function sharingWith(name: string, sections: Iterable<SectionFacts>): string[] {
  const found = new Set<string>();
  for (const section of sections) {
    if (section.name === name) for (const other of section.imports ?? []) found.add(other);
    else if (section.imports?.includes(name) === true) found.add(section.name);
  }
  return [...found];
}

export function recordedPlan({ name, kind, version, dropped }: Omit<SectionFacts, 'imports'>): ProviderPlan {
  return { name, kind, outcome: 'recorded', from: version, ...(dropped === undefined ? {} : { dropped }) };
}
