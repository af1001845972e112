/**
 * One section of an opened image as a value, without the program's classes: instances come as Tagged.
 *
 * Invariants
 * 1. Only the section's own bytes, those of the sections it imports, and the buffers that these name are read.
 * 2. The content of a tracked file is no value: it is handed out as bytes.
 */
import { CheckpointError } from '../base/errors.js';
import type { DecodedSection } from '../codec/contract.js';
import { CONTENT_KIND } from '../files/content-sections.js';
import type { SectionRecord } from '../image/contract.js';
import type { LazyImage } from '../image/lazy.js';
import { numbersOf } from '../image/section-buffers.js';
import { decodeRecord, programValue } from '../restart/decode-record.js';

/** What was read of an image so far; sections that share a buffer get the same one. */
export interface ReadParts {
  readonly memories: Map<number, ArrayBufferLike>;
  readonly sections: Map<number, DecodedSection>;
}

/** @throws CheckpointError ERR_CKPT_DECODE, _IMAGE_CORRUPT and its kin, _BASE_MISSING, _MEMORY */
export async function sectionValue(image: LazyImage, index: number, parts: ReadParts): Promise<unknown> {
  const record = image.manifest.sections[index];
  if (record === undefined) throw new RangeError(`section ${index}`);
  if (record.kind === CONTENT_KIND) return image.section(index);
  const { value } = await decoded(image, index, record, parts);
  return programValue(record.kind, value);
}

async function decoded(image: LazyImage, index: number, record: SectionRecord, parts: ReadParts): Promise<DecodedSection> {
  const known = parts.sections.get(index);
  if (known !== undefined) return known;
  const imports: DecodedSection[] = [];
  for (const other of record.imports ?? []) {
    const imported = image.manifest.sections[other];
    // Each lies before the one that imports it, so this ends.
    if (imported !== undefined) imports.push(await decoded(image, other, imported, parts));
  }
  const bytes = await image.section(index);
  const own: ArrayBufferLike[] = [];
  const memory: ArrayBufferLike[] = [];
  const numbers = numbersOf(image.manifest, record);
  for (const [position, at] of record.buffers.entries()) {
    const buffer = parts.memories.get(at) ?? (await image.buffer(at));
    parts.memories.set(at, buffer);
    own.push(buffer);
    memory[numbers[position] ?? 0] = buffer;
  }
  try {
    const section = decodeRecord(record, { bytes, imports, memory, own }, 'tagged');
    parts.sections.set(index, section);
    return section;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = `decode section ${record.name} of image ${image.manifest.image.id}: not enough memory; give the process more`;
    throw new CheckpointError('ERR_CKPT_MEMORY', message, { section: record.name, cause: error, phase: 'read' });
  }
}
