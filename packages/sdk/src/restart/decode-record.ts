/** One section of an image as a value; some kinds of sections are more than that. */
import { decodeSection } from '../codec/codec.js';
import type { DecodedSection } from '../codec/contract.js';
import type { KnownClasses } from '../codec/graph-classes.js';
import type { SectionRecord } from '../image/contract.js';
import { replaySegments, SEGMENTS_1 } from '../state/collection-segments.js';
import { COLLECTION_KIND, WASM_KIND } from '../state/provider.js';
import { wasmSection } from '../state/wasm.js';

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
  if (kind === COLLECTION_KIND && encoding === SEGMENTS_1) {
    const replayed = replaySegments(name, bytes, classes);
    return { value: replayed, objects: [], instances: replayed.instances };
  }
  const section = decodeSection({ name, encoding, bytes, imports }, memory, classes);
  return kind === WASM_KIND ? { ...section, value: wasmSection(name, section.value, own) } : section;
}
