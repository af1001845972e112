/// <reference lib="es2024.arraybuffer" />
/// <reference lib="es2024.sharedmemory" />
/**
 * The encoding `segments-1` of a collection's section, normative in docs/image-format.md: a log of segments, replayed in
 * order.
 *
 * Invariants
 * 1. Each segment owns its memory: it is handed to the thread without a copy.
 * 2. Reading checks every length against the bytes that are there before it is used; a section is replayed whole or refused.
 */

import { CheckpointError, messageOf } from '../base/errors.js';
import type { ClassRegistry } from '../codec/classes.js';
import type { DecodedSection, FoundBuffer } from '../codec/contract.js';
import type { KnownClasses } from '../codec/graph-classes.js';
import { decodeValue, encodeValue } from './collection-encoding.js';

export const SEGMENTS_1 = 'segments-1';

export const SEGMENT = {
  /** A Map of entries, from when everything was written; only at the beginning. */
  whole: 1,
  /** A Map of entries to set. */
  set: 2,
  /** An array of keys to delete. */
  delete: 3,
} as const;

export type SegmentKind = (typeof SEGMENT)[keyof typeof SEGMENT];

const HEADER_BYTES = 32;
const MEMORY_BYTES = 24;
const MEMORY_KINDS = ['ArrayBuffer', 'SharedArrayBuffer'] as const;
/** No maximum: memory of fixed size. */
const FIXED = 2n ** 64n - 1n;
/** Address space that the memories of one section may reserve. */
const MAX_RESERVED = 64 * 2 ** 30;

const padded = (length: number): number => Math.ceil(length / 8) * 8;

/** @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE, ERR_CKPT_MEMORY; RangeError when there is no memory for the segment */
export function encodeSegment(name: string, kind: SegmentKind, value: unknown, classes: ClassRegistry): Uint8Array {
  const { encoding, bytes, memories } = encodeValue(name, value, classes);
  const text = Buffer.from(encoding, 'latin1');
  const bulk = memories.reduce((sum, { byteLength }) => sum + MEMORY_BYTES + padded(byteLength), 0);
  const segment = new Uint8Array(HEADER_BYTES + padded(text.length) + padded(bytes.length) + bulk);
  const view = new DataView(segment.buffer);
  view.setUint32(0, kind, true);
  view.setUint32(4, text.length, true);
  view.setBigUint64(8, BigInt(bytes.length), true);
  view.setUint32(16, memories.length, true);
  view.setBigUint64(24, BigInt(segment.length), true);
  segment.set(text, HEADER_BYTES);
  let at = HEADER_BYTES + padded(text.length);
  segment.set(bytes, at);
  at += padded(bytes.length);
  for (const memory of memories) at = writeMemory(segment, view, at, memory);
  return segment;
}

function writeMemory(segment: Uint8Array, view: DataView, at: number, { kind, memory, byteLength, maxByteLength }: FoundBuffer): number {
  view.setUint32(at, MEMORY_KINDS.indexOf(kind), true);
  view.setBigUint64(at + 8, BigInt(byteLength), true);
  view.setBigUint64(at + 16, maxByteLength === undefined ? FIXED : BigInt(maxByteLength), true);
  segment.set(new Uint8Array(memory, 0, byteLength), at + MEMORY_BYTES);
  return at + MEMORY_BYTES + padded(byteLength);
}

/** What a section holds. */
export interface ReplayedCollection {
  readonly entries: Map<unknown, unknown>;
  /** Whether it holds instances of classes. */
  readonly instances: boolean;
  /** Bytes of the section. */
  readonly length: number;
  /** Of these, bytes from when everything was written. */
  readonly wholeBytes: number;
}

/** @throws CheckpointError ERR_CKPT_DECODE, ERR_CKPT_IMAGE_LIMIT */
export function replaySegments(name: string, section: Uint8Array, classes: KnownClasses): ReplayedCollection {
  const entries = new Map<unknown, unknown>();
  const reserved = { bytes: 0 };
  let wholeBytes = 0;
  let instances = false;
  let at = 0;
  while (at < section.length) {
    const { kind, decoded, length } = decodeSegment(name, section.subarray(at), reserved, classes);
    instances ||= decoded.instances;
    if (kind === SEGMENT.whole && wholeBytes !== at) throw malformed(name, 'entries of the whole behind changes');
    if (kind === SEGMENT.whole) wholeBytes += length;
    at += length;
    replay(name, entries, kind, decoded.value);
  }
  return { entries, instances, length: section.length, wholeBytes };
}

function replay(name: string, entries: Map<unknown, unknown>, kind: number, value: unknown): void {
  if (kind === SEGMENT.delete) {
    if (!Array.isArray(value)) throw malformed(name, 'deletions that are not an array');
    for (let index = 0; index < value.length; index++) {
      // A few bytes make an array of thousands of millions of holes.
      if (!(index in value)) throw malformed(name, 'deletions with holes');
      entries.delete(value[index]);
    }
    return;
  }
  if (kind !== SEGMENT.set && kind !== SEGMENT.whole) throw malformed(name, `a segment of kind ${kind}`);
  if (!(value instanceof Map)) throw malformed(name, 'entries that are not a Map');
  for (const [key, one] of value) entries.set(key, one);
}

interface DecodedSegment {
  readonly kind: number;
  readonly decoded: DecodedSection;
  readonly length: number;
}

function decodeSegment(name: string, rest: Uint8Array, reserved: { bytes: number }, classes: KnownClasses): DecodedSegment {
  if (rest.length < HEADER_BYTES) throw malformed(name, 'a segment that is cut');
  const view = new DataView(rest.buffer, rest.byteOffset, rest.length);
  const textLength = view.getUint32(4, true);
  const valueLength = Number(view.getBigUint64(8, true));
  const count = view.getUint32(16, true);
  const length = Number(view.getBigUint64(24, true));
  const textEnd = HEADER_BYTES + padded(textLength);
  const valueEnd = textEnd + padded(valueLength);
  if (length > rest.length || valueEnd + count * MEMORY_BYTES > length || view.getUint32(20, true) !== 0)
    throw malformed(name, 'a segment of impossible lengths');
  const segment = rest.subarray(0, length);
  const encoding = Buffer.from(rest.subarray(HEADER_BYTES, HEADER_BYTES + textLength)).toString('latin1');
  const memories = readMemories(name, segment, valueEnd, count, reserved);
  const bytes = segment.slice(textEnd, textEnd + valueLength);
  const decoded = decodeValue(name, { encoding, bytes, memories }, classes);
  return { kind: view.getUint32(0, true), decoded, length };
}

function readMemories(name: string, segment: Uint8Array, from: number, count: number, reserved: { bytes: number }): ArrayBufferLike[] {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.length);
  const memories: ArrayBufferLike[] = [];
  let at = from;
  for (let index = 0; index < count; index++) {
    if (at + MEMORY_BYTES > segment.length) throw malformed(name, 'memory beyond its segment');
    const kind = MEMORY_KINDS[view.getUint32(at, true)];
    const length = Number(view.getBigUint64(at + 8, true));
    const most = view.getBigUint64(at + 16, true);
    const end = at + MEMORY_BYTES + padded(length);
    if (kind === undefined || end > segment.length) throw malformed(name, 'memory beyond its segment, or of an unknown kind');
    const max = most === FIXED ? undefined : Number(most);
    reserved.bytes += max ?? 0;
    if (max !== undefined && (max < length || reserved.bytes > MAX_RESERVED)) throw malformed(name, `memory of at most ${max} bytes`);
    const memory = makeMemory(name, kind, length, max);
    new Uint8Array(memory).set(segment.subarray(at + MEMORY_BYTES, at + MEMORY_BYTES + length));
    memories.push(memory);
    at = end;
  }
  if (at !== segment.length) throw malformed(name, 'a segment of impossible lengths');
  return memories;
}

function makeMemory(name: string, kind: (typeof MEMORY_KINDS)[number], length: number, max: number | undefined): ArrayBufferLike {
  const options = max === undefined ? undefined : { maxByteLength: max };
  try {
    return kind === 'ArrayBuffer' ? new ArrayBuffer(length, options) : new SharedArrayBuffer(length, options);
  } catch (error) {
    throw malformed(name, `memory that cannot be made (${messageOf(error)})`);
  }
}

function malformed(name: string, found: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_DECODE',
    `decoding collection '${name}': expected whole segments, found ${found}; choose another image`,
    { section: name, phase: 'read' },
  );
}
