/**
 * How entries and keys of a collection become values, and how values become bytes: the one place that knows the codec.
 *
 * Invariants
 * 1. A segment is complete in itself: the bulk memory of its values is part of it, never of the image's buffers.
 */

import { decodeSection, encodeMember } from '../codec/codec.js';
import type { FoundBuffer } from '../codec/contract.js';

export interface EncodedValue {
  readonly encoding: string;
  readonly bytes: Uint8Array;
  /** Live memory that the bytes refer to, by index. */
  readonly memories: readonly FoundBuffer[];
}

/** @param name of the collection, where paths in errors begin */
export function encodeValue(name: string, value: unknown): EncodedValue {
  const { sections, buffers } = encodeMember(new Map([[name, value]]));
  const [section] = sections;
  if (section === undefined) throw new Error(`encode ${name}: one section was expected`);
  return { encoding: section.encoding, bytes: section.bytes, memories: buffers };
}

export function decodeValue(name: string, encoding: string, bytes: Uint8Array, memories: readonly ArrayBufferLike[]): unknown {
  return decodeSection(encoding, bytes, memories, name);
}
