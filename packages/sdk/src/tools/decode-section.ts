/**
 * One section of an opened image as a value, without the program's classes.
 *
 * Invariants
 * 1. Only the section's own bytes and the buffers that it names are read.
 * 2. The content of a tracked file is no value: it is handed out as bytes.
 */
import { CheckpointError } from '../base/errors.js';
import { decodeSection } from '../codec/codec.js';
import { CONTENT_KIND } from '../files/content-sections.js';
import type { SectionRecord } from '../image/contract.js';
import type { LazyImage } from '../image/lazy.js';

/** The one place that calls the codec for tools: here a decoder is chosen that knows no classes. */
function decodeWithoutClasses(record: SectionRecord, bytes: Uint8Array, buffers: readonly ArrayBufferLike[]): unknown {
  return decodeSection(record.encoding, bytes, buffers, record.name);
}

/** Memory of the image by index; sections that share a buffer get the same one. */
export type Memories = Map<number, ArrayBufferLike>;

/** @throws CheckpointError ERR_CKPT_DECODE, _IMAGE_CORRUPT and its kin, _BASE_MISSING, _MEMORY */
export async function sectionValue(image: LazyImage, index: number, memories: Memories): Promise<unknown> {
  const record = image.manifest.sections[index];
  if (record === undefined) throw new RangeError(`section ${index}`);
  const bytes = await image.section(index);
  if (record.kind === CONTENT_KIND) return bytes;
  for (const at of record.buffers) if (!memories.has(at)) memories.set(at, await image.buffer(at));
  return decodeFrom(image, record, bytes, memories);
}

function decodeFrom(image: LazyImage, record: SectionRecord, bytes: Uint8Array, memories: Memories): unknown {
  const own = new Set(record.buffers);
  const buffers: ArrayBufferLike[] = [];
  for (const [index, memory] of memories) if (own.has(index)) buffers[index] = memory;
  try {
    return decodeWithoutClasses(record, bytes, buffers);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = `decode section ${record.name} of image ${image.manifest.image.id}: not enough memory; give the process more`;
    throw new CheckpointError('ERR_CKPT_MEMORY', message, { section: record.name, cause: error, phase: 'read' });
  }
}
