/**
 * The sections of one member of a verified image, decoded.
 *
 * Invariants
 * 1. Buffers and objects shared between sections come back as one.
 * 2. All of them are decoded before anybody sees a value, so that damage is found then. Sections with instances of
 *    classes are decoded again, once the program has registered its classes.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import type { ClassRegistry } from '../codec/classes.js';
import { decodeSection } from '../codec/codec.js';
import type { DecodedSection } from '../codec/contract.js';
import type { KnownClasses } from '../codec/graph-classes.js';
import { CONTENT_KIND } from '../files/content-sections.js';
import type { ImageContents } from '../image/contract.js';
import type { RestoredSection } from '../state/registry.js';

export type Sections = ReadonlyMap<string, RestoredSection>;

/**
 * @param classes those of the program, which may join until the first value is asked for
 * @throws CheckpointError ERR_CKPT_DECODE naming the section
 */
export function decodeSections(contents: ImageContents, member: string, classes: ClassRegistry): Sections {
  const found = decodeAll(contents, member, 'tagged');
  let decoded = [...found.values()].some(({ instances }) => instances) ? undefined : found;
  const value = (index: number): unknown => {
    decoded ??= decodeAll(contents, member, classes);
    return decoded.get(index)?.value;
  };
  const sections = new Map<string, RestoredSection>();
  for (const index of found.keys()) {
    const record = contents.manifest.sections[index];
    if (record === undefined) continue;
    const { name, kind, version } = record;
    sections.set(name, {
      name,
      kind,
      version,
      get value() {
        return value(index);
      },
    });
  }
  return sections;
}

/** By position in the manifest. */
function decodeAll(contents: ImageContents, member: string, classes: KnownClasses): Map<number, DecodedSection> {
  const decoded = new Map<number, DecodedSection>();
  for (const [index, record] of contents.manifest.sections.entries()) {
    // The content of a tracked file is no value.
    if (record.member !== member || record.kind === CONTENT_KIND) continue;
    const bytes = contents.sections[index];
    if (bytes === undefined) continue;
    try {
      const imports = (record.imports ?? []).flatMap((other) => decoded.get(other) ?? []);
      decoded.set(index, decodeSection({ name: record.name, encoding: record.encoding, bytes, imports }, contents.buffers, classes));
    } catch (error) {
      throw decodeFailed(error, record.name, contents.manifest.image.id);
    }
  }
  return decoded;
}

function decodeFailed(error: unknown, section: string, image: string): CheckpointError {
  if (isCheckpointError(error)) {
    const { message, context, cause, code } = error;
    return new CheckpointError(code, message, { ...context, section, image, phase: error.phase ?? 'read', cause });
  }
  return new CheckpointError(
    'ERR_CKPT_DECODE',
    `decoding section '${section}' of image ${image}: ${messageOf(error)}; the bytes are as they were written: name an older image to go on`,
    { section, image, phase: 'read', cause: error },
  );
}
