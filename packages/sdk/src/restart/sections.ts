/**
 * The sections of one member of a verified image, decoded.
 *
 * Invariants
 * 1. Each section is decoded once; buffers shared between sections come back as one buffer.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import { decodeSection } from '../codec/codec.js';
import { CONTENT_KIND } from '../files/content-sections.js';
import type { ImageContents, SectionRecord } from '../image/contract.js';
import { replaySegments, SEGMENTS_1 } from '../state/collection-segments.js';
import { COLLECTION_KIND, WASM_KIND } from '../state/provider.js';
import type { RestoredSection } from '../state/registry.js';
import { wasmSection } from '../state/wasm.js';

export type Sections = ReadonlyMap<string, RestoredSection>;

/** @throws CheckpointError ERR_CKPT_DECODE naming the section */
export function decodeSections(contents: ImageContents, member: string): Sections {
  const sections = new Map<string, RestoredSection>();
  for (const [index, record] of contents.manifest.sections.entries()) {
    // The content of a tracked file is no value.
    if (record.member !== member || record.kind === CONTENT_KIND) continue;
    const bytes = contents.sections[index];
    if (bytes === undefined) continue;
    try {
      const value = decodeValue(record, bytes, contents.buffers);
      sections.set(record.name, { name: record.name, kind: record.kind, version: record.version, value });
    } catch (error) {
      throw decodeFailed(error, record.name, contents.manifest.image.id);
    }
  }
  return sections;
}

/** Kinds of sections that are more than a value. */
function decodeValue({ name, kind, encoding, buffers }: SectionRecord, bytes: Uint8Array, memory: readonly ArrayBufferLike[]): unknown {
  if (kind === COLLECTION_KIND && encoding === SEGMENTS_1) return replaySegments(name, bytes);
  const value = decodeSection(encoding, bytes, memory, name);
  if (kind !== WASM_KIND) return value;
  return wasmSection(
    name,
    value,
    buffers.flatMap((index) => memory[index] ?? []),
  );
}

function decodeFailed(error: unknown, section: string, image: string): CheckpointError {
  if (isCheckpointError(error, 'ERR_CKPT_DECODE')) {
    const { message, context, cause } = error;
    return new CheckpointError('ERR_CKPT_DECODE', message, { ...context, section, image, phase: 'read', cause });
  }
  return new CheckpointError(
    'ERR_CKPT_DECODE',
    `decoding section '${section}' of image ${image}: ${messageOf(error)}; the bytes are as they were written: name an older image to go on`,
    { section, image, phase: 'read', cause: error },
  );
}
