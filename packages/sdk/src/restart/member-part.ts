/**
 * The part of a verified image that one member decodes itself, in its own thread.
 *
 * Invariants
 * 1. It reads like an image of that member alone: indexes are those of the part, numbers in the bytes stay as they are.
 * 2. Its bytes can be handed over: no two sections share memory.
 */
import type { ImageParts, SectionRecord } from '../image/contract.js';
import { SET_KINDS } from '../state/provider.js';

const STARTED_WITH = 'worker-data';

export function memberPart({ manifest, sections, buffers }: ImageParts, member: string): ImageParts {
  const own = [...manifest.sections.entries()].filter(([, record]) => record.member === member && record.kind !== STARTED_WITH);
  const memory = [...manifest.buffers.entries()].filter(([, record]) => record.member === member);
  const [sectionPlaces, bufferPlaces] = [placesOf(own), placesOf(memory)];
  return {
    manifest: {
      image: manifest.image,
      sections: own.map(([, record]): SectionRecord => {
        const uses = record.buffers.flatMap((index) => bufferPlaces.get(index) ?? []);
        if (record.imports === undefined) return { ...record, buffers: uses };
        return { ...record, buffers: uses, imports: record.imports.flatMap((index) => sectionPlaces.get(index) ?? []) };
      }),
      buffers: memory.map(([, record]) => record),
    },
    // Copies: the bytes of small sections may share one buffer, which could not be handed over twice.
    sections: own.map(([index]) => (sections[index] ?? new Uint8Array()).slice()),
    buffers: memory.map(([index]) => buffers[index] ?? new ArrayBuffer(0)),
  };
}

/** Whether a section is a provider's of the member, and not of the set. */
export function isProviders({ kind }: Pick<SectionRecord, 'kind'>): boolean {
  return !SET_KINDS.has(kind);
}

function placesOf(found: readonly (readonly [number, unknown])[]): ReadonlyMap<number, number> {
  return new Map(found.map(([index], place) => [index, place]));
}
