/**
 * The memory of a group of sections in two images, read only where it can differ.
 *
 * Invariants
 * 1. Memory at the same place of the same section is read in both images only where their extents differ; the rest of it is
 *    zero in both, and is told to be equal.
 * 2. Memory that turns out to be compared with other memory, or at another offset, is read whole before that.
 */
import { viewMemory, viewOffset } from '../codec/slots.js';
import { CONTENT_KIND } from '../files/content-sections.js';
import type { Extent, SectionRecord } from '../image/contract.js';
import type { LazyImage, Wanted } from '../image/lazy.js';
import { changedRanges, outside, placedBuffer, type Range, wantedIn, within } from './changed-ranges.js';
import type { ReadParts } from './decode-section.js';
import { type Reach, reachOf, type SectionPair } from './diff-groups.js';
import { elementsOf } from './value-kinds.js';

/** Bytes of the two images that were read, and that could be left unread. */
export interface ReadBytes {
  read: number;
  unread: number;
}

/** Bytes [offset, offset + length) of some memory. */
interface Window {
  readonly memory: ArrayBufferLike;
  readonly offset: number;
  readonly length: number;
}

interface Partner {
  readonly memory: ArrayBufferLike;
  readonly changed: readonly Range[];
}

export class ComparedMemory {
  readonly a: ReadParts = { memories: new Map(), sections: new Map() };
  readonly b: ReadParts = { memories: new Map(), sections: new Map() };
  readonly #bytes: ReadBytes;
  readonly #partners = new Map<ArrayBufferLike, Partner>();
  /** Of memory of A, what was compared with the same place of its partner as the elements of views. */
  readonly #seen = new Map<ArrayBufferLike, Range[]>();
  /** What reads memory whole that was not, by the memory. */
  readonly #readWhole = new Map<ArrayBufferLike, () => Promise<ArrayBufferLike>>();

  constructor(bytes: ReadBytes) {
    this.#bytes = bytes;
  }

  /** Reads the buffers that these sections reach, as far as invariant 1 says. */
  async load(a: LazyImage, b: LazyImage, pairs: readonly SectionPair[]): Promise<void> {
    for (const pair of pairs) {
      if (pair.a === undefined || pair.b === undefined) continue;
      const [lefts, rights] = [a.manifest.sections[pair.a]?.buffers ?? [], b.manifest.sections[pair.b]?.buffers ?? []];
      for (const [place, left] of lefts.entries()) {
        const right = rights[place];
        if (right === undefined || a.manifest.buffers[left] === undefined || b.manifest.buffers[right] === undefined) continue;
        if (this.a.memories.has(left) || this.b.memories.has(right)) continue;
        const changed = changedRanges(await placedBuffer(a, left), await placedBuffer(b, right));
        const memory = await this.#buffer(a, left, this.a, changed);
        this.#partners.set(memory, { memory: await this.#buffer(b, right, this.b, changed), changed });
      }
    }
    for (const [image, { sections, buffers }] of reaches(a, b, pairs)) {
      const parts = image === a ? this.a : this.b;
      for (const index of buffers) {
        if (!parts.memories.has(index)) await this.#buffer(image, index, parts);
      }
      for (const index of sections) {
        const record = image.manifest.sections[index];
        if (record !== undefined && record.kind !== CONTENT_KIND) this.#bytes.read += record.length;
      }
    }
  }

  /** The contents of a tracked file in both images. */
  async contents(a: LazyImage, b: LazyImage, pair: SectionPair): Promise<readonly [a: Uint8Array, b: Uint8Array]> {
    const read = async (image: LazyImage, index: number, record: SectionRecord, changed: readonly Range[]): Promise<Uint8Array> => {
      const bytes = await image.section(index, this.#counted(record.extents, changed));
      this.#readWhole.set(bytes.buffer, async () => (await image.section(index)).buffer);
      return bytes;
    };
    const [one, other] = [a.manifest.sections[pair.a ?? -1], b.manifest.sections[pair.b ?? -1]];
    if (one === undefined || other === undefined) throw new RangeError(`section ${pair.name}`);
    const changed = changedRanges({ image: a, ...one }, { image: b, ...other });
    const bytes = [await read(a, pair.a ?? -1, one, changed), await read(b, pair.b ?? -1, other, changed)] as const;
    this.#partners.set(bytes[0].buffer, { memory: bytes[1].buffer, changed });
    return bytes;
  }

  /** Counts what an unchanged group does not need to be read. */
  leave(a: LazyImage, b: LazyImage, pairs: readonly SectionPair[]): void {
    for (const [{ manifest }, { sections, buffers }] of reaches(a, b, pairs)) {
      for (const index of sections) this.#bytes.unread += manifest.sections[index]?.length ?? 0;
      for (const index of buffers) this.#bytes.unread += manifest.buffers[index]?.length ?? 0;
    }
  }

  /** Where the views can differ, in bytes from their beginnings; it has been read when this returns. They count as seen. */
  async rangesOfViews(a: ArrayBufferView, b: ArrayBufferView): Promise<readonly Range[]> {
    const [one, other] = [windowOf(a), windowOf(b)];
    if (one.offset === other.offset) {
      const seen = this.#seen.get(one.memory) ?? [];
      seen.push({ from: one.offset, to: one.offset + Math.min(one.length, other.length) });
      this.#seen.set(one.memory, seen);
    }
    return this.#ranges(one, other);
  }

  /** Where the memories can differ beside the views that were seen. */
  async rangesUnseen(a: ArrayBufferLike, b: ArrayBufferLike): Promise<readonly Range[]> {
    const length = Math.min(a.byteLength, b.byteLength);
    const unseen = outside(this.#seen.get(a) ?? [], { from: 0, to: length });
    if (unseen.length === 0) return [];
    const ranges = await this.#ranges({ memory: a, offset: 0, length }, { memory: b, offset: 0, length });
    return unseen.flatMap((range) => within(ranges, range));
  }

  async #ranges(a: Window, b: Window): Promise<readonly Range[]> {
    const length = Math.min(a.length, b.length);
    const partner = this.#partners.get(a.memory);
    if (partner?.memory === b.memory && a.offset === b.offset) {
      const { offset } = a;
      return within(partner.changed, { from: offset, to: offset + length }).map(({ from, to }) => ({
        from: from - offset,
        to: to - offset,
      }));
    }
    await this.#whole(a.memory);
    await this.#whole(b.memory);
    return length === 0 ? [] : [{ from: 0, to: length }];
  }

  async #buffer(image: LazyImage, index: number, parts: ReadParts, changed?: readonly Range[]): Promise<ArrayBufferLike> {
    const memory = await image.buffer(index, this.#counted(await image.placesOf(index), changed));
    if (changed !== undefined) this.#readWhole.set(memory, () => image.buffer(index));
    parts.memories.set(index, memory);
    return memory;
  }

  async #whole(memory: ArrayBufferLike): Promise<void> {
    const read = this.#readWhole.get(memory);
    if (read === undefined) return;
    this.#readWhole.delete(memory);
    this.#bytes.read += memory.byteLength;
    new Uint8Array(memory).set(new Uint8Array(await read()));
  }

  #counted(extents: readonly Extent[], changed: readonly Range[] | undefined): Wanted | undefined {
    const wanted = changed === undefined ? undefined : wantedIn(changed);
    let offset = 0;
    for (const extent of extents) {
      this.#bytes[wanted === undefined || wanted(extent, offset) ? 'read' : 'unread'] += extent.length;
      offset += extent.length;
    }
    return wanted;
  }
}

/** What the sections reach in each image. */
function reaches(a: LazyImage, b: LazyImage, pairs: readonly SectionPair[]): (readonly [image: LazyImage, reach: Reach])[] {
  const sides = [[a, pairs.map((pair) => pair.a)] as const, [b, pairs.map((pair) => pair.b)] as const];
  return sides.map(([image, indexes]) => {
    const all = indexes.flatMap((index) => (index === undefined ? [] : [reachOf(image, index)]));
    const sections = new Set(all.flatMap((reach) => [...reach.sections]));
    return [image, { sections, buffers: new Set(all.flatMap((reach) => [...reach.buffers])) }];
  });
}

function windowOf(view: ArrayBufferView): Window {
  return { memory: viewMemory(view), offset: viewOffset(view), length: elementsOf(view).byteLength };
}
