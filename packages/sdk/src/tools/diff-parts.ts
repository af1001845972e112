/** What a comparison finds, before paths and texts are made of it: cheap, because most of it may only be counted. */
import type { ChangedElements } from './diff-elements.js';
import type { Trail } from './value-trail.js';

/** `+` only in B, `-` only in A, `M` modified, `T` of another type. */
export type Mark = '+' | '-' | 'M' | 'T';

/**
 * What of the two differs. `value`: all of it, or that it is there at all. `identity`: what is one object on one side is two
 * on the other. `order`: of keys, entries or items. `attributes`: of a property. `integrity`: frozen, sealed, closed or
 * open. `elements`: some elements of arrays of numbers. `bytes`: of memory, outside of what the views on it show.
 * `version`: of a class or a provider. `provider`: its kind.
 */
export type DifferentPart =
  | 'value'
  | 'identity'
  | 'order'
  | 'attributes'
  | 'integrity'
  | 'length'
  | 'maxLength'
  | 'offset'
  | 'tracking'
  | 'elements'
  | 'bytes'
  | 'version'
  | 'provider';

/** One side of a difference: a value, a text, or where its object was met before. */
export type Side = { readonly value: unknown } | { readonly text: string } | { readonly met: Trail | undefined };

export interface Finding {
  readonly mark: Mark;
  readonly part: DifferentPart;
  readonly trail: Trail;
  readonly a?: Side;
  readonly b?: Side;
  readonly elements?: ChangedElements;
}

/** What is inside of two values of one kind, collected in order. */
export interface Inside {
  /** Something that both have. */
  both(step: string, a: unknown, b: unknown): void;
  /** Something that one of them has. */
  only(mark: '+' | '-', step: string, side: Side): void;
  /** Something about them, or about what is at `step`. */
  differs(part: DifferentPart, a: Side, b: Side, step?: string): void;
  elements(a: unknown, b: unknown, found: ChangedElements): void;
  /** The object on the other side that an object of `a` was met with. */
  partnerOf(a: object): object | undefined;
}
