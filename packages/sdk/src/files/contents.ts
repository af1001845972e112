/**
 * Contents of tracked files in images, incrementally: what did not change stays in the image that has it already.
 *
 * Invariants
 * 1. Only committed images are built upon.
 * 2. Extents are reused unread only for the same handle of a file that is written at its end; what an earlier process
 *    or another handle wrote is read and compared.
 * 3. Files that the program has not declared keep their content from image to image, unread.
 */
import { CheckpointError } from '../base/errors.js';
import type { FileSystem } from '../base/ports.js';
import type { ImageRef, StreamedSection } from '../image/contract.js';
import type { Reuse } from '../store/base-leases.js';
import { carriedParts } from '../store/carried-parts.js';
import type { Store } from '../store/contract.js';
import type { OldSection, PreviousImage } from '../store/previous-image.js';
import { partsOfFile } from './content-parts.js';
import { contentSection, contentSections, contentsName, sectionsOf } from './content-sections.js';
import type { CapturedFile, TrackedFileRecord } from './contract.js';

/** A captured file and the record that securing it made. */
export interface SecuredFile {
  readonly captured: CapturedFile;
  readonly record: TrackedFileRecord;
}

/** What the next image is to hold of tracked files. */
export interface FilesToKeep {
  readonly secured: readonly SecuredFile[];
  /** Records of files that the program has not declared. */
  readonly carried: readonly TrackedFileRecord[];
  /** The image before on the lineage, the last committed one or the one that this life started from; if it can be had. */
  readonly previous: PreviousImage | undefined;
  /** The content of every file that is changed in place is copied: its handle may write on. Not called when there is none. */
  readonly copied: () => void;
}

/** Ready to be written with the image. */
export interface KeptFiles {
  readonly records: readonly TrackedFileRecord[];
  /** Sections of the image before that may go on lying where they are. */
  readonly old: readonly OldSection[];
  /** Length of all contents. */
  readonly bytes: number;
  sections(reuse: Reuse): readonly StreamedSection[];
  committed(image: ImageRef): void;
}

interface Wanted {
  readonly file: TrackedFileRecord;
  readonly old: readonly OldSection[];
  /** undefined for a file that is carried. */
  readonly live: { readonly onlyAppended: boolean } | undefined;
}

export class Contents {
  readonly #store: Pick<Store, 'openImage'>;
  readonly #fileSystem: FileSystem;
  /** What the last committed image recorded of the handles of this process, and which image that is. */
  #handles: { readonly image: string; readonly files: ReadonlyMap<string, CapturedFile> } | undefined;

  constructor(store: Pick<Store, 'openImage'>, fileSystem: FileSystem) {
    this.#store = store;
    this.#fileSystem = fileSystem;
  }

  /** @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT when the content of a carried file is nowhere */
  prepare({ secured, carried, previous, copied }: FilesToKeep): KeptFiles {
    const captured = secured.filter(({ record }) => keepsContent(record)).sort((a, b) => order(a.record) - order(b.record));
    const recorded = carried.filter(({ contents }) => contents !== undefined);
    const wanted = [
      ...captured.map((file): Wanted => this.#wanted(file, previous)),
      ...recorded.map((file): Wanted => ({ file, old: carriedSections(file, previous), live: undefined })),
    ];
    const records = secured.map(({ record }) => (keepsContent(record) ? { ...record, contents: contentsName(record.name) } : record));
    return {
      records: [...records, ...carried],
      old: wanted.flatMap(({ old }) => old),
      bytes: wanted.reduce((sum, { file }) => sum + file.size, 0),
      sections: (reuse) => this.#sections(wanted, reuse, copied),
      committed: ({ id }) => {
        this.#handles = { image: id, files: new Map(secured.map((file) => [keyOf(file.record), file.captured])) };
      },
    };
  }

  #wanted({ captured, record }: SecuredFile, previous: PreviousImage | undefined): Wanted {
    const before = this.#handles?.image === previous?.image.id ? this.#handles?.files.get(keyOf(record)) : undefined;
    const onlyAppended =
      appends(record) &&
      before?.handle !== undefined &&
      before.handle === captured.handle &&
      before.size <= captured.size &&
      before.identity.ino === captured.identity.ino &&
      before.identity.dev === captured.identity.dev;
    return { file: record, old: oldSectionsOf(record, previous), live: { onlyAppended } };
  }

  #sections(wanted: readonly Wanted[], reuse: Reuse, copied: () => void): StreamedSection[] {
    const sections: StreamedSection[] = [];
    let lastInPlace = -1;
    for (const { file, old, live } of wanted) {
      const { member, name, size } = file;
      if (live === undefined) {
        for (const section of old) sections.push(contentSection(member, section.record.name, carriedParts(this.#store, section, reuse)));
        continue;
      }
      const content = { record: file, fileSystem: this.#fileSystem, reuse, onlyAppended: live.onlyAppended };
      for (const [index, part] of contentSections(name, size).entries()) {
        sections.push(contentSection(member, part.name, partsOfFile(content, part, old[index]?.extents ?? [])));
        if (isHeld(file)) lastInPlace = sections.length - 1;
      }
    }
    return sections.map((section, index) => (index === lastInPlace ? { ...section, chunks: followed(section.chunks, copied) } : section));
  }
}

/** Whether something of the image before may be gone on with: otherwise nobody need look into it. */
export function keepsContents(secured: readonly SecuredFile[], carried: readonly TrackedFileRecord[]): boolean {
  return secured.some(({ record }) => keepsContent(record)) || carried.some(({ contents }) => contents !== undefined);
}

function keepsContent({ policy }: TrackedFileRecord): boolean {
  return policy === 'contents' || policy === 'contents-if-missing';
}

/** It changes bytes in place, and is held back until they are copied. */
function isHeld({ flags }: TrackedFileRecord): boolean {
  return flags === 'r+';
}

function appends({ flags }: TrackedFileRecord): boolean {
  return flags === 'a' || flags === 'w' || flags === 'wx';
}

/** Whoever is held back comes first. */
function order(file: TrackedFileRecord): number {
  return isHeld(file) ? 0 : 1;
}

function keyOf({ member, name }: TrackedFileRecord): string {
  return JSON.stringify([member, name]);
}

function oldSectionsOf({ member, name }: TrackedFileRecord, last: PreviousImage | undefined): OldSection[] {
  if (last === undefined) return [];
  const found = sectionsOf(
    last.sections.map(({ record }) => record),
    member,
    name,
  );
  return found.flatMap((record) => last.sections.filter((section) => section.record === record));
}

function carriedSections(file: TrackedFileRecord, last: PreviousImage | undefined): OldSection[] {
  const found = oldSectionsOf(file, last);
  const length = found.reduce((sum, { record }) => sum + record.length, 0);
  if (found.length > 0 && length === file.size) return found;
  throw new CheckpointError(
    'ERR_CKPT_IMAGE_CORRUPT',
    `carrying the content of file '${file.name}' along: expected ${file.size} bytes in the image before, found ${found.length === 0 ? 'none' : length}; ` +
      'declare the file, or restart from another image',
    { path: file.path, phase: 'persist' },
  );
}

async function* followed<T>(parts: Iterable<T> | AsyncIterable<T>, then: () => void): AsyncGenerator<T> {
  yield* parts;
  then();
}
