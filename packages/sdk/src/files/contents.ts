/**
 * Contents of tracked files in images, incrementally: what did not change stays in the image that has it already.
 *
 * Invariants
 * 1. Only committed images are built upon, and each base is leased from before it is relied on until the new image is
 *    committed or has failed; the commit checks it once more.
 * 2. What a base cannot be relied on for (gone, damaged, not chosen) is written again.
 * 3. Extents are reused unread only for the same handle of a file that is written at its end; what an earlier process
 *    or another handle wrote is read and compared.
 * 4. Files that the program has not declared keep their content from image to image, unread.
 */
import { CheckpointError, isCheckpointError } from '../base/errors.js';
import type { FileSystem } from '../base/ports.js';
import type { BaseRecord, ImageRef, StreamedSection, WrittenImage } from '../image/contract.js';
import type { Lease, Store } from '../store/contract.js';
import { quietly } from '../store/failure.js';
import { chooseBases } from './content-bases.js';
import { partsOfFile, partsOfImage, type Reuse } from './content-parts.js';
import { contentSection, contentSections, contentsName, sectionsOf } from './content-sections.js';
import type { CapturedFile, TrackedFileRecord } from './contract.js';
import { baseSize, loadOldContents, type OldContents, type OldExtent, type OldSection, oldContents } from './previous-contents.js';

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
  /** The image before on the lineage: the last committed one, or the one that this life started from. */
  readonly parent: ImageRef | null;
  /** Bytes of everything else in the image. */
  readonly otherBytes: number;
  /** How many bases the image may have for contents. */
  readonly mostBases: number;
  /** The content of every file that is changed in place is copied: its handle may write on. Not called when there is none. */
  readonly copied: () => void;
}

/** Ready to be written with the image; `release` must follow, whether it was committed or not. */
export interface KeptFiles {
  readonly records: readonly TrackedFileRecord[];
  readonly sections: readonly StreamedSection[];
  readonly bases: readonly BaseRecord[];
  committed(image: WrittenImage): void;
  release(): Promise<void>;
}

interface Wanted {
  readonly file: TrackedFileRecord;
  readonly old: readonly OldSection[];
  /** undefined for a file that is carried. */
  readonly live: { readonly onlyAppended: boolean } | undefined;
}

interface LeasedBase {
  readonly base: BaseRecord;
  readonly lease: Lease;
}

export class Contents {
  readonly #store: Pick<Store, 'openImage' | 'lease'>;
  readonly #fileSystem: FileSystem;
  #last: OldContents | undefined;
  /** What the last committed image recorded of the handles of this process. */
  #handles: ReadonlyMap<string, CapturedFile> = new Map();

  constructor(store: Pick<Store, 'openImage' | 'lease'>, fileSystem: FileSystem) {
    this.#store = store;
    this.#fileSystem = fileSystem;
  }

  /** @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT when the content of a carried file is nowhere; what a lease rejects with */
  async prepare(keep: FilesToKeep): Promise<KeptFiles> {
    const { secured, carried, parent, copied } = keep;
    const captured = secured.filter(({ record }) => keepsContent(record)).sort((a, b) => order(a.record) - order(b.record));
    const recorded = carried.filter(({ contents }) => contents !== undefined);
    const last = captured.length + recorded.length > 0 ? await this.#previous(parent) : undefined;
    const wanted = [
      ...captured.map((file): Wanted => this.#wanted(file, last)),
      ...recorded.map((file): Wanted => ({ file, old: carriedSections(file, last), live: undefined })),
    ];
    const leased = await this.#leaseBases(wanted, keep);
    const bases = leased.map(({ base }) => base);
    const reuse = reuseOf(bases);
    const records = secured.map(({ record }) => (keepsContent(record) ? { ...record, contents: contentsName(record.name) } : record));
    return {
      records: [...records, ...carried],
      sections: this.#sections(wanted, reuse, copied),
      bases,
      committed: ({ manifest, manifestHash }) => {
        this.#last = oldContents(manifest, manifestHash);
        this.#handles = new Map(secured.map((file) => [keyOf(file.record), file.captured]));
      },
      release: () => releaseAll(leased),
    };
  }

  /** After a restart of the thread or the program, the manifest of the parent tells. */
  async #previous(parent: ImageRef | null): Promise<OldContents | undefined> {
    if (parent === null) return undefined;
    if (this.#last?.image.id === parent.id) return this.#last;
    this.#handles = new Map();
    return loadOldContents(this.#store, parent).catch(() => undefined);
  }

  #wanted({ captured, record }: SecuredFile, last: OldContents | undefined): Wanted {
    const before = this.#handles.get(keyOf(record));
    const onlyAppended =
      appends(record) &&
      before?.handle !== undefined &&
      before.handle === captured.handle &&
      before.size <= captured.size &&
      before.identity.ino === captured.identity.ino &&
      before.identity.dev === captured.identity.dev;
    return { file: record, old: oldSectionsOf(record, last), live: { onlyAppended } };
  }

  /** Invariant 1. A base that is gone by now is none. */
  async #leaseBases(wanted: readonly Wanted[], { otherBytes, mostBases }: FilesToKeep): Promise<LeasedBase[]> {
    const live = new Map<string, { readonly record: BaseRecord; bytes: number }>();
    for (const { image, length } of wanted.flatMap(({ old }) => old).flatMap(({ extents }) => extents)) {
      if (image === undefined) continue;
      const known = live.get(image.id) ?? { record: image, bytes: 0 };
      known.bytes += length;
      live.set(image.id, known);
    }
    const candidates = [...live.values()].map(async ({ record, bytes }) => ({
      record,
      live: bytes,
      size: await baseSize(this.#store, record),
    }));
    const spare = wanted.reduce((sum, { file }) => sum + file.size, otherBytes);
    const chosen = chooseBases(await Promise.all(candidates), spare, mostBases);
    const outcomes = await Promise.allSettled(chosen.map((base) => this.#lease(base)));
    const leased = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? (outcome.value ?? []) : []));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed === undefined) return leased;
    await releaseAll(leased);
    throw failed.reason;
  }

  async #lease(base: BaseRecord): Promise<LeasedBase | undefined> {
    try {
      return { base, lease: await this.#store.lease(base, 'a checkpoint is built upon it') };
    } catch (error) {
      if (isCheckpointError(error, 'ERR_CKPT_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  #sections(wanted: readonly Wanted[], reuse: Reuse, copied: () => void): StreamedSection[] {
    const sections: StreamedSection[] = [];
    let lastInPlace = -1;
    for (const { file, old, live } of wanted) {
      const { member, name, size } = file;
      if (live === undefined) {
        for (const section of old) sections.push(contentSection(member, section.record.name, partsOfImage(this.#store, section, reuse)));
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

async function releaseAll(leased: readonly LeasedBase[]): Promise<void> {
  await Promise.all(leased.map(({ lease }) => quietly(() => lease.release())));
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

function oldSectionsOf({ member, name }: TrackedFileRecord, last: OldContents | undefined): OldSection[] {
  if (last === undefined) return [];
  const found = sectionsOf(
    last.sections.map(({ record }) => record),
    member,
    name,
  );
  return found.flatMap((record) => last.sections.filter((section) => section.record === record));
}

function carriedSections(file: TrackedFileRecord, last: OldContents | undefined): OldSection[] {
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

function reuseOf(bases: readonly BaseRecord[]): Reuse {
  const index = new Map(bases.map(({ id }, position) => [id, position]));
  return ({ image, length, offset, hash }: OldExtent) => {
    if (image === undefined) return { place: { at: 'zero' }, length };
    const base = index.get(image.id);
    return base === undefined ? undefined : { place: { at: 'base', base, offset }, length, hash };
  };
}

async function* followed<T>(parts: Iterable<T> | AsyncIterable<T>, then: () => void): AsyncGenerator<T> {
  yield* parts;
  then();
}
