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
import type { DecodedSection } from '../codec/contract.js';
import type { KnownClasses } from '../codec/graph-classes.js';
import { CONTENT_KIND } from '../files/content-sections.js';
import type { ImageParts, SectionRecord } from '../image/contract.js';
import { buffersOf } from '../image/section-buffers.js';
import type { RestoredSection } from '../state/registry.js';
import { decodeRecord } from './decode-record.js';

export type Sections = ReadonlyMap<string, RestoredSection>;

/**
 * @param classes those of the program, which may join until the first value is asked for
 * @throws CheckpointError ERR_CKPT_DECODE naming the section
 */
export function decodeSections(contents: ImageParts, member: string, classes: ClassRegistry): Sections {
  const { sections: records } = contents.manifest;
  const checked = new Map<number, DecodedSection>();
  const indexes = [...records.keys()].filter((index) => isValue(records[index], member) && contents.sections[index] !== undefined);
  for (const index of indexes) decode(index, { contents, classes: 'tagged', decoded: checked });
  const instances = [...checked.values()].some((section) => section.instances);
  const decoding = { contents, classes, decoded: instances ? new Map<number, DecodedSection>() : checked };
  const sections = new Map<string, RestoredSection>();
  for (const index of indexes) {
    const record = records[index];
    if (record === undefined) continue;
    const { name, kind, version, dropped } = record;
    const imports = record.imports?.flatMap((other) => records[other]?.name ?? []);
    sections.set(name, {
      name,
      kind,
      version,
      ...(imports === undefined ? {} : { imports }),
      ...(dropped === undefined ? {} : { dropped }),
      get value() {
        return decode(index, decoding).value;
      },
    });
  }
  return sections;
}

/** The content of a tracked file is no value. */
function isValue(record: SectionRecord | undefined, member: string): boolean {
  return record !== undefined && record.member === member && record.kind !== CONTENT_KIND;
}

interface Decoding {
  readonly contents: ImageParts;
  readonly classes: KnownClasses;
  /** By position in the manifest. */
  readonly decoded: Map<number, DecodedSection>;
}

/** Sections that it imports come first; they lie before it, so this ends. */
function decode(index: number, decoding: Decoding): DecodedSection {
  const { contents, classes, decoded } = decoding;
  const known = decoded.get(index);
  if (known !== undefined) return known;
  const record = contents.manifest.sections[index];
  const bytes = contents.sections[index];
  if (record === undefined || bytes === undefined) throw new Error(`decode section ${index}: it was listed, and is not there`);
  const imports = (record.imports ?? []).map((other) => decode(other, decoding));
  try {
    const memory = buffersOf(contents.manifest, record, contents.buffers);
    const own = record.buffers.flatMap((at) => contents.buffers[at] ?? []);
    const section = decodeRecord(record, { bytes, imports, memory, own }, classes);
    decoded.set(index, section);
    return section;
  } catch (error) {
    throw decodeFailed(error, record.name, contents.manifest.image.id);
  }
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
