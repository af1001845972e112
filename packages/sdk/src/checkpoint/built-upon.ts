/**
 * What an image holds beside its own bytes: sections and pages of buffers that go on from images before, on leased bases.
 *
 * Invariants
 * 1. Files can be read anew when the image before cannot be had; a section that follows its earlier bytes cannot: without
 *    them the image is not written.
 * 2. A section that follows is written only behind exactly as many bytes as the program knows of.
 */
import { CheckpointError } from '../base/errors.js';
import { type Contents, keepsContents, type SecuredFile } from '../files/contents.js';
import type { BaseRecord, FileRecord, ImageInput, StreamedBuffer, StreamedSection, WrittenImage } from '../image/contract.js';
import { MAX_BASES } from '../image/format.js';
import { lengthOf } from '../image/writer.js';
import type { CapturedSection } from '../state/provider.js';
import { leaseBases, type Reuse } from '../store/base-leases.js';
import { carriedParts } from '../store/carried-parts.js';
import type { Store } from '../store/contract.js';
import type { OldSection, PreviousImage, PreviousImages } from '../store/previous-image.js';
import type { Incremental } from './incremental.js';
import type { PersistJob } from './thread-protocol.js';

/** Bases that pages of buffers leave to sections that go on. */
const BASES_FOR_SECTIONS = 8;

export interface BuildParts {
  readonly store: Pick<Store, 'openImage' | 'lease'>;
  /** The content of tracked files. */
  readonly contents: Contents;
  readonly previous: PreviousImages;
  /** The pages of large buffers. */
  readonly incremental: Incremental;
  /** The content of every file that is changed in place is copied. */
  readonly filesCopied: () => void;
}

/** `release` must follow, whether the image was committed or not. */
export interface Built {
  readonly files: readonly FileRecord[];
  readonly sections: readonly StreamedSection[];
  readonly buffers: ImageInput['buffers'];
  readonly bases: readonly BaseRecord[];
  committed(image: WrittenImage): Promise<void>;
  failed(error: unknown): void;
  release(): Promise<void>;
}

/** @throws CheckpointError what reading the image before rejects with (invariant 1), and what a lease rejects with */
export async function buildUpon(job: PersistJob<StreamedBuffer>, secured: readonly SecuredFile[], parts: BuildParts): Promise<Built> {
  const { head, sections, buffers } = job.input;
  const { carried } = job.files;
  const { store, contents, incremental, filesCopied } = parts;
  const following = sections.filter(({ follows = 0 }) => follows > 0);
  const looks = following.length > 0 || keepsContents(secured, carried);
  const previous = looks && head.image.parent !== null ? await before(parts, head.image.parent, following.length > 0) : undefined;
  const old = new Map(following.map((section) => [section, earlier(section, previous)]));
  const files = contents.prepare({ secured, carried, previous, copied: filesCopied });
  const own = [...sections, ...buffers].reduce((sum, record) => sum + lengthOf(record), 0);
  const followed = following.reduce((sum, { follows = 0 }) => sum + follows, 0);
  const plan = await incremental.plan(buffers, looks ? MAX_BASES - BASES_FOR_SECTIONS : MAX_BASES);
  const spare = own + followed + files.bytes;
  const bases = await leaseBases(store, { sections: [...old.values(), ...files.old], spare, already: plan.bases });
  return {
    files: files.records.map((record) => ({ ...record })),
    sections: [...sections.map((section) => joined(section, old.get(section), store, bases.reuse)), ...files.sections(bases.reuse)],
    buffers: plan.buffers(bases.records),
    bases: bases.records,
    committed: async (image) => {
      parts.previous.committed(image.manifest, image.manifestHash);
      files.committed(image.manifest.image);
      await plan.committed(image);
    },
    failed: (error) => plan.failed(error),
    release: () => bases.release(),
  };
}

async function before(
  { previous }: BuildParts,
  parent: Parameters<PreviousImages['of']>[0],
  needed: boolean,
): Promise<PreviousImage | undefined> {
  if (needed) return await previous.of(parent);
  return await previous.of(parent).catch(() => undefined);
}

/** Invariant 2. */
function earlier({ member, name, kind, encoding, follows }: CapturedSection, previous: PreviousImage | undefined): OldSection {
  const found = previous?.sections.find(({ record }) => record.member === member && record.name === name && record.kind === kind);
  if (found !== undefined && found.record.encoding === encoding && found.record.length === follows) return found;
  throw new CheckpointError(
    'ERR_CKPT_IMAGE_CORRUPT',
    `persisting '${name}': expected ${follows} bytes of ${encoding} in the image before, found ${found === undefined ? 'no such section' : `${found.record.length} of ${found.record.encoding}`}; ` +
      'the next checkpoint writes all of it',
    { section: name, phase: 'persist' },
  );
}

function joined(
  { follows: _, ...section }: CapturedSection,
  old: OldSection | undefined,
  store: BuildParts['store'],
  reuse: Reuse,
): StreamedSection {
  if (old === undefined) return section;
  return { ...section, chunks: behind(carriedParts(store, old, reuse), section.chunks) };
}

async function* behind<A, B>(first: AsyncIterable<A>, then: Iterable<B>): AsyncGenerator<A | B> {
  yield* first;
  yield* then;
}
