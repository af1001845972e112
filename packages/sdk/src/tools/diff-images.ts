/**
 * What differs in the state of two images: paths, with what is there in each.
 *
 * Invariants
 * 1. Compared is the state: sections by member and name, and the contents of tracked files that are in the image; not when,
 *    where or by whom an image was made.
 * 2. Groups of sections that the manifests tell to be equal are not read; of others, bulk memory is read where it can differ.
 * 3. No class of the program is needed or run. Differences beyond the limit are counted only.
 */
import { CONTENT_KIND } from '../files/content-sections.js';
import type { LazyImage } from '../image/lazy.js';
import { sectionValue } from './decode-section.js';
import { type ChangedElements, compareViews } from './diff-elements.js';
import { groupSections, type SectionGroup, type SectionPair } from './diff-groups.js';
import { ComparedMemory, type ReadBytes } from './diff-memory.js';
import type { DifferentPart, Finding, Mark, Side } from './diff-parts.js';
import { type MemoryPair, type ViewPair, Walk } from './diff-walk.js';
import { openAnyImage } from './open-image.js';
import { briefValue } from './show-value.js';
import { parseDiffOptions } from './tool-options.js';
import { exactKind } from './value-kinds.js';
import { pathOf, type Trail } from './value-trail.js';

export interface DiffOptions {
  /** The store; default CKPT_DIR, else ./ckpt. Not used for files. */
  readonly dir?: string | undefined;
  /** Most differences that are told; those beyond are counted. Default 1000. */
  readonly limit?: number | undefined;
}

/** What one of the images has there. */
export interface DiffSide {
  /** `number`, `Map`, `class Particle`, …; undefined where `text` is no value. */
  readonly kind?: string;
  /** One line, not yet safe for a terminal; a long value is told by kind and size. */
  readonly text: string;
}

export interface Difference {
  /** `+` only in B, `-` only in A, `M` modified, `T` of another type. */
  readonly mark: Mark;
  /**
   * Where, as messages and `ckpt get` write it. Places of object keys in Maps and of items in Sets are those of A, or of B for
   * `+`. Beyond 10,000 characters the middle is left out.
   */
  readonly path: string;
  readonly member: string;
  readonly section: string;
  /** What of it differs. */
  readonly part: DifferentPart;
  readonly a?: DiffSide;
  readonly b?: DiffSide;
  /** For numbers of an array: how many, and by how much. */
  readonly elements?: ChangedElements;
}

export interface ComparedImage {
  readonly id: string;
  readonly names: readonly string[];
  readonly generation: number;
  /** Wall time of the capture, ms since 1970. */
  readonly createdAt: number;
}

export interface ImagesDiff {
  readonly a: ComparedImage;
  readonly b: ComparedImage;
  /** Whether nothing differs. */
  readonly same: boolean;
  /** Of all differences. */
  readonly counts: { readonly added: number; readonly removed: number; readonly modified: number; readonly typeChanged: number };
  /** At most `limit`, sections in the order of A. */
  readonly differences: readonly Difference[];
  /** Bytes of both images that were read, and that the manifests told to be equal. */
  readonly bytes: { readonly read: number; readonly unread: number };
}

/**
 * What differs in the state of two images of whatever program. Bytes that both manifests tell to be the same are neither read
 * nor verified.
 * @param a an image file (its path has a separator, or ends in .ckpt), else a name, an id or six digits of one in the store, or
 *   `latest`; `b` likewise
 * @throws TypeError for bad arguments; CheckpointError ERR_CKPT_NO_IMAGE, _NOT_FOUND, _IMAGE_CORRUPT, _IMAGE_INCOMPLETE,
 *   _IMAGE_LIMIT, _IMAGE_VERSION, _IMAGE_FEATURE, _BASE_MISSING, _DECODE, _MEMORY, _STORE_UNSAFE, _IO
 */
export async function diffImages(a: string, b: string, options: DiffOptions = {}): Promise<ImagesDiff> {
  const { dir, limit } = parseDiffOptions(a, b, options, 'diffImages');
  const left = await openAnyImage(a, dir, 'diffImages');
  try {
    const right = await openAnyImage(b, dir, 'diffImages');
    try {
      return await diffOpened(left, right, limit);
    } finally {
      await right.close();
    }
  } finally {
    await left.close();
  }
}

/** As diffImages, of images that are open and stay open. */
export async function diffOpened(a: LazyImage, b: LazyImage, limit: number): Promise<ImagesDiff> {
  return new Diff(a, b, limit).make();
}

const LONGEST_PATH = 10_000;
const COUNTED = { '+': 'added', '-': 'removed', M: 'modified', T: 'typeChanged' } as const;

class Diff {
  readonly #a: LazyImage;
  readonly #b: LazyImage;
  readonly #limit: number;
  readonly #several: boolean;
  readonly #counts = { added: 0, removed: 0, modified: 0, typeChanged: 0 };
  readonly #differences: Difference[] = [];
  readonly #bytes: ReadBytes = { read: 0, unread: 0 };

  constructor(a: LazyImage, b: LazyImage, limit: number) {
    this.#a = a;
    this.#b = b;
    this.#limit = limit;
    this.#several = new Set([...a.manifest.sections, ...b.manifest.sections].map(({ member }) => member)).size > 1;
  }

  async make(): Promise<ImagesDiff> {
    for (const group of await groupSections(this.#a, this.#b)) await this.#group(group);
    return {
      a: comparedImage(this.#a),
      b: comparedImage(this.#b),
      same: Object.values(this.#counts).every((count) => count === 0),
      counts: this.#counts,
      differences: this.#differences,
      bytes: this.#bytes,
    };
  }

  async #group({ pairs, unchanged }: SectionGroup): Promise<void> {
    const both = pairs.filter((pair) => pair.a !== undefined && pair.b !== undefined);
    const memory = new ComparedMemory(this.#bytes);
    if (unchanged) {
      memory.leave(this.#a, this.#b, pairs);
      return;
    }
    const walk = new Walk();
    const memories: { readonly met: MemoryPair; readonly pair: SectionPair }[] = [];
    await memory.load(this.#a, this.#b, both);
    for (const pair of pairs) {
      if (pair.a === undefined || pair.b === undefined) this.#onlySection(pair);
      else await this.#section(pair, walk, memory);
      for (const met of walk.memories.splice(0)) memories.push({ met, pair });
    }
    // Only now it is known what the views have shown.
    for (const { met, pair } of memories) {
      const told = await memoryFinding(met, memory);
      if (told !== undefined) this.#tell(told, pair);
    }
  }

  #onlySection(pair: SectionPair): void {
    const [mark, side, image] = pair.a === undefined ? (['+', 'b', this.#b] as const) : (['-', 'a', this.#a] as const);
    const record = image.manifest.sections[pair[side] ?? -1];
    const text = `section of ${record?.length ?? 0} bytes, kind ${record?.kind}`;
    this.#tell({ mark, part: 'value', trail: this.#root(pair), [side]: { text } }, pair);
  }

  async #section(pair: SectionPair, walk: Walk, memory: ComparedMemory): Promise<void> {
    const [one, other] = [this.#a.manifest.sections[pair.a ?? -1], this.#b.manifest.sections[pair.b ?? -1]];
    if (one === undefined || other === undefined) throw new RangeError(`section ${pair.name}`);
    const trail = this.#root(pair);
    if (one.kind !== other.kind) this.#tell({ mark: 'T', part: 'provider', trail, a: { text: one.kind }, b: { text: other.kind } }, pair);
    if (one.version !== other.version) {
      const [a, b] = [{ text: `version ${one.version}` }, { text: `version ${other.version}` }];
      this.#tell({ mark: 'M', part: 'version', trail, a, b }, pair);
    }
    const [a, b] = await this.#values(pair, one.kind === CONTENT_KIND && other.kind === CONTENT_KIND, memory);
    for (const found of walk.compare(a, b, trail.step)) {
      const told = 'mark' in found ? found : await viewFinding(found, memory);
      if (told !== undefined) this.#tell(told, pair);
    }
  }

  async #values(pair: SectionPair, contents: boolean, memory: ComparedMemory): Promise<readonly [a: unknown, b: unknown]> {
    if (contents) return memory.contents(this.#a, this.#b, pair);
    const [left, right] = [pair.a ?? -1, pair.b ?? -1];
    return [await sectionValue(this.#a, left, memory.a), await sectionValue(this.#b, right, memory.b)];
  }

  #root({ member, name }: SectionPair): Trail {
    return { from: undefined, step: this.#several ? `${member}/${name}` : name };
  }

  #tell({ mark, part, trail, a, b, elements }: Finding, { member, name }: SectionPair): void {
    this.#counts[COUNTED[mark]]++;
    if (this.#differences.length >= this.#limit) return;
    this.#differences.push({
      ...{ mark, path: shortPath(trail), member, section: name, part },
      ...(a === undefined ? {} : { a: shownSide(a) }),
      ...(b === undefined ? {} : { b: shownSide(b) }),
      ...(elements === undefined ? {} : { elements }),
    });
  }
}

function comparedImage({ manifest }: LazyImage): ComparedImage {
  const { id, names, generation, createdAt } = manifest.image;
  return { id, names, generation, createdAt };
}

function shownSide(side: Side): DiffSide {
  if ('value' in side) return { kind: exactKind(side.value), text: briefValue(side.value) };
  if ('text' in side) return side;
  return { text: side.met === undefined ? 'an object of its own' : `the object at ${shortPath(side.met)}` };
}

function shortPath(trail: Trail): string {
  const path = pathOf(trail);
  if (path.length <= LONGEST_PATH) return path;
  return `${path.slice(0, LONGEST_PATH / 2)} … ${path.slice(-LONGEST_PATH / 2)}`;
}

async function viewFinding({ a, b, trail }: ViewPair, memory: ComparedMemory): Promise<Finding | undefined> {
  const ranges = await memory.rangesOfViews(a, b);
  const elements = compareViews(a, b, ranges);
  if (elements === undefined) return undefined;
  return { mark: 'M', part: 'elements', trail, a: { value: a }, b: { value: b }, elements };
}

/** Bytes that no view has shown. */
async function memoryFinding({ a, b, trail }: MemoryPair, memory: ComparedMemory): Promise<Finding | undefined> {
  const elements = compareViews(new Uint8Array(a), new Uint8Array(b), await memory.rangesUnseen(a, b));
  if (elements === undefined) return undefined;
  return { mark: 'M', part: 'bytes', trail, a: { value: a }, b: { value: b }, elements };
}
