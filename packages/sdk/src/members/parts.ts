/**
 * Parts of an image that were encoded apart from each other, put one behind the other.
 *
 * Invariants
 * 1. Bytes of a section count the memory and the sections of what it was encoded with: indexes are shifted to where these
 *    lie now, and where memory of the same member comes before, `numbers` says what the bytes mean.
 */
import type { BufferInput } from '../image/contract.js';
import type { CapturedSection } from '../state/provider.js';
import type { CapturedMember, Welcome } from './protocol.js';

interface Part {
  readonly sections: readonly CapturedSection[];
  readonly buffers: readonly BufferInput[];
}

/** What belongs to one member, encoded in several calls. */
export function joined(parts: readonly CapturedMember[]): CapturedMember {
  const sections: CapturedSection[] = [];
  const buffers: BufferInput[] = [];
  let [stateBytes, dirtyBytes] = [0, 0];
  for (const part of parts) {
    const numbered = buffers.length === 0 ? part : { ...part, sections: part.sections.map(withNumbers) };
    sections.push(...shifted(numbered, sections.length, buffers.length));
    buffers.push(...part.buffers);
    stateBytes += part.stateBytes;
    dirtyBytes += part.dirtyBytes;
  }
  const delivered = together(parts);
  return { sections, buffers, stateBytes, dirtyBytes, ...(delivered === undefined ? {} : { delivered }) };
}

/** Resolves when the memory of all these parts is filled; undefined where it is. */
export function together(parts: readonly Pick<CapturedMember, 'delivered'>[]): Promise<void> | undefined {
  const awaited = parts.flatMap(({ delivered }) => delivered ?? []);
  if (awaited.length === 0) return undefined;
  const all = Promise.all(awaited).then(() => undefined);
  all.catch(() => {}); // of a capture that failed for another reason nobody waits for it
  return all;
}

/** The sections of a part as they are behind so many others. */
export function shifted({ sections }: Part, sectionsBefore: number, buffersBefore: number): readonly CapturedSection[] {
  return sections.map((section) => ({
    ...section,
    buffers: section.buffers.map((index) => index + buffersBefore),
    ...(section.imports === undefined ? {} : { imports: section.imports.map((index) => index + sectionsBefore) }),
  }));
}

function withNumbers(section: CapturedSection): CapturedSection {
  return section.buffers.length === 0 ? section : { ...section, numbers: section.numbers ?? section.buffers };
}

/** Restored memory is handed over, not copied. */
export function handedOver({ source }: Pick<Welcome, 'source'>): ArrayBuffer[] {
  if (source === undefined) return [];
  const buffers = [...source.part.buffers, ...source.part.sections.map(({ buffer }) => buffer)];
  return [...new Set(buffers.filter((buffer) => buffer instanceof ArrayBuffer))];
}

/** Structured state is handed over, not copied; bulk state is shared memory already. */
export function transferable(captured: CapturedMember): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const section of captured.sections)
    for (const chunk of section.chunks) if (chunk.buffer instanceof ArrayBuffer) buffers.add(chunk.buffer);
  return [...buffers];
}
