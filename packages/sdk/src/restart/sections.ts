/**
 * The sections of one member of a verified image, decoded.
 *
 * Invariants
 * 1. Each section is decoded once; buffers shared between sections come back as one buffer.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import { decodeSection } from '../codec/codec.js';
import { CONTENT_KIND } from '../files/content-sections.js';
import type { ImageContents } from '../image/contract.js';
import { buffersOf } from '../image/section-buffers.js';
import type { RestoredSection } from '../state/registry.js';

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
      const memory = buffersOf(contents.manifest, record, contents.buffers);
      const value = decodeSection(record.encoding, bytes, memory, record.name);
      const imports = record.imports?.flatMap((other) => contents.manifest.sections[other]?.name ?? []);
      const { name, kind, version } = record;
      sections.set(name, { name, kind, version, value, ...(imports === undefined ? {} : { imports }) });
    } catch (error) {
      throw decodeFailed(error, record.name, contents.manifest.image.id);
    }
  }
  return sections;
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
