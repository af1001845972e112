/** One section of an image as a value; some kinds of sections are more than that. */
import { CheckpointError } from '../base/errors.js';
import { decodeSection } from '../codec/codec.js';
import type { DecodedSection } from '../codec/contract.js';
import type { KnownClasses } from '../codec/graph-classes.js';
import type { SectionRecord } from '../image/contract.js';
import { type ReplayedCollection, replaySegments, SEGMENTS_1 } from '../state/collection-segments.js';
import { COLLECTION_KIND, WASM_KIND } from '../state/provider.js';
import { wasmSection } from '../state/wasm.js';

/** What the program has under that name, of what decodeRecord made: of a collection its entries, without the log they came from. */
export function programValue(kind: string, value: unknown): unknown {
  return kind === COLLECTION_KIND ? (value as ReplayedCollection).entries : value; // as decodeRecord made it
}

export interface SectionParts {
  readonly bytes: Uint8Array;
  /** Decoded before, in the order of the record. */
  readonly imports: readonly DecodedSection[];
  /** By the numbers that the bytes use (image/section-buffers.ts). */
  readonly memory: readonly ArrayBufferLike[];
  /** That of the record, in its order. */
  readonly own: readonly ArrayBufferLike[];
}

/** @throws CheckpointError ERR_CKPT_DECODE, _IMAGE_LIMIT, _SCHEMA, _RESTORE */
export function decodeRecord(record: SectionRecord, { bytes, imports, memory, own }: SectionParts, classes: KnownClasses): DecodedSection {
  const { name, kind, encoding } = record;
  if (kind === COLLECTION_KIND) {
    if (encoding !== SEGMENTS_1) throw otherEncoding(name, encoding);
    const replayed = replaySegments(name, bytes, classes);
    return { value: replayed, objects: [], instances: replayed.instances };
  }
  const section = decodeSection({ name, encoding, bytes, imports }, memory, classes);
  return kind === WASM_KIND ? { ...section, value: wasmSection(name, section.value, own) } : section;
}

function otherEncoding(name: string, encoding: string): CheckpointError {
  const message = `decode collection ${name}: expected encoding ${SEGMENTS_1}, found ${encoding}; a newer version may read it`;
  return new CheckpointError('ERR_CKPT_DECODE', message, { section: name });
}
