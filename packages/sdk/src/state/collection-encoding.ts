/**
 * How entries and keys of a collection become values, and how values become bytes: the one place that knows the codec.
 *
 * Invariants
 * 1. A segment is complete in itself: the bulk memory of its values is part of it, never of the image's buffers.
 */

import type { ClassRegistry } from '../codec/classes.js';
import { decodeSection, encodeMember } from '../codec/codec.js';
import type { DecodedSection, FoundBuffer } from '../codec/contract.js';
import type { KnownClasses } from '../codec/graph-classes.js';

export interface EncodedValue {
  readonly encoding: string;
  readonly bytes: Uint8Array;
  /** Live memory that the bytes refer to, by index. */
  readonly memories: readonly FoundBuffer[];
}

/** @param name of the collection, where paths in errors begin */
export function encodeValue(name: string, value: unknown, classes: ClassRegistry): EncodedValue {
  const { sections, buffers } = encodeMember(new Map([[name, value]]), classes);
  const [section] = sections;
  if (section === undefined) throw new Error(`encode ${name}: one section was expected`);
  return { encoding: section.encoding, bytes: section.bytes, memories: buffers };
}

export function decodeValue(
  name: string,
  { encoding, bytes, memories }: { readonly encoding: string; readonly bytes: Uint8Array; readonly memories: readonly ArrayBufferLike[] },
  classes: KnownClasses,
): DecodedSection {
  return decodeSection({ name, encoding, bytes, imports: [] }, memories, classes);
}
