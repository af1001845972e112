/**
 * The contents of tracked files as sections of an image.
 *
 * Invariants
 * 1. A content is the bytes of `file:<name>` and, beyond SECTION_BYTES, of `file+1:<name>`, `file+2:<name>`, … in this
 *    order; all but the last are SECTION_BYTES long. A record names the first.
 * 2. Such sections have a kind of their own: no provider's state is ever taken for the content of a file.
 */
import { CheckpointError } from '../base/errors.js';
import type { ByteSource, ImageContents, SectionRecord, StreamedSection } from '../image/contract.js';

export const CONTENT_KIND = 'file';

/** Below what a section may have, and a multiple of the longest extent. */
const SECTION_BYTES: number = 2 ** 30;

const FIRST = 'file:';

/** One section's share [from, to) of a content. */
export interface ContentSection {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** The section that a record names in `contents`. */
export function contentsName(file: string): string {
  return sectionName(file, 0);
}

function sectionName(file: string, index: number): string {
  return index === 0 ? FIRST + file : `file+${index}:${file}`;
}

/** The sections for a content of `size` bytes; at least one. */
export function contentSections(file: string, size: number): ContentSection[] {
  const count = Math.max(1, Math.ceil(size / SECTION_BYTES));
  return Array.from({ length: count }, (_, index) => ({
    name: sectionName(file, index),
    from: index * SECTION_BYTES,
    to: Math.min((index + 1) * SECTION_BYTES, size),
  }));
}

export function contentSection(member: string, name: string, chunks: StreamedSection['chunks']): StreamedSection {
  return { member, name, kind: CONTENT_KIND, version: 1, encoding: 'raw', buffers: [], chunks };
}

/** The sections of a file's content among those that are there, in order; none when it has no content there. */
export function sectionsOf<S extends Pick<SectionRecord, 'member' | 'name' | 'kind'>>(
  sections: readonly S[],
  member: string,
  file: string,
): S[] {
  const found: S[] = [];
  for (;;) {
    const name = sectionName(file, found.length);
    const section = sections.find((one) => one.name === name && one.member === member && one.kind === CONTENT_KIND);
    if (section === undefined) return found;
    found.push(section);
  }
}

/**
 * The content of a tracked file in a verified image, from the image's memory.
 * @param section as the file's record names it
 * @returns undefined when the image does not hold it
 */
export function contentsOf(image: Pick<ImageContents, 'manifest' | 'sections'>, section: string, member = 'main'): ByteSource | undefined {
  const { sections } = image.manifest;
  if (!section.startsWith(FIRST)) return undefined;
  const parts = sectionsOf(sections, member, section.slice(FIRST.length)).flatMap((one) => image.sections[sections.indexOf(one)] ?? []);
  return parts.length === 0 ? undefined : memorySource(parts, `${section} of image ${image.manifest.image.id}`);
}

function memorySource(parts: readonly Uint8Array[], label: string): ByteSource {
  return {
    size: parts.reduce((sum, part) => sum + part.length, 0),
    label,
    read: async (target, position) => {
      let done = 0;
      let start = 0;
      for (const part of parts) {
        const from = position + done - start;
        if (from < part.length && done < target.length) {
          const piece = part.subarray(from, from + target.length - done);
          target.set(piece, done);
          done += piece.length;
        }
        start += part.length;
      }
      if (done === target.length) return;
      throw new CheckpointError(
        'ERR_CKPT_IMAGE_INCOMPLETE',
        `read ${label}: expected ${target.length} bytes at ${position}, found ${done}`,
        {
          phase: 'read',
        },
      );
    },
    close: async () => {},
  };
}
