/**
 * Sections that no provider claims, carried unread into every later image.
 *
 * Invariants
 * 1. A carried section's bytes, and the memory it refers to, are those of the source image: whatever the program does to
 *    memory that it shares with sections it has claimed, a copy was made before the program saw it.
 * 2. It keeps name, kind and version, so that a later version of the program can claim it.
 * 3. What it imports comes along: from claimed sections as sections of the kind `carried`, under names that no provider
 *    can have; nobody claims these, and they go when nothing carried imports them any more.
 * 4. Its memory is shared with the writer and never transferred: one copy serves every image.
 */
import type { BufferInput, ImageParts, SectionInput, SectionRecord } from '../image/contract.js';

export const CARRIED_KIND = 'carried';

/** Names of sections that are not of providers: carried ones, the contents of tracked files, and what belongs to the set. */
export function isReservedName(name: string): boolean {
  return /^(?:file(?:\+\d+)?|carried|ckpt):/.test(name);
}

/** One copy must fit into one typed array. */
const WINDOW_BYTES = 2 ** 30;

/** Indexes count from the first carried section and the first carried buffer. */
interface CarriedParts {
  readonly sections: readonly SectionInput[];
  readonly buffers: readonly BufferInput[];
}

const NOTHING: CarriedParts = { sections: [], buffers: [] };

export class CarriedSections {
  readonly #source: ImageParts;
  readonly #sections: readonly SectionRecord[];
  readonly #candidates: ReadonlySet<number>;
  readonly #bytes = new Map<number, Uint8Array>();
  readonly #memory = new Map<number, SharedArrayBuffer>();
  #parts: CarriedParts = NOTHING;

  /** To be made before the program sees anything of the image (invariant 1). */
  constructor(source: ImageParts, member: string, isState: (section: SectionRecord) => boolean) {
    this.#source = source;
    this.#sections = source.manifest.sections;
    this.#candidates = new Set([...this.#sections.keys()].filter((index) => this.#isCandidate(index, member, isState)));
    this.#preserveShared();
  }

  /** From now on `parts` holds these sections and what they import. */
  keep(names: readonly string[]): void {
    const wanted = new Set(names);
    const own = (index: number): boolean => wanted.has(this.#sections[index]?.name ?? '') && this.#sections[index]?.kind !== CARRIED_KIND;
    const chosen = new Set([...this.#candidates].filter(own).flatMap((index) => [...this.#reach(index)]));
    const order = [...chosen].sort((a, b) => a - b);
    const buffers = [...new Set(order.flatMap((index) => this.#sections[index]?.buffers ?? []))].sort((a, b) => a - b);
    const renamed = this.#namesOf(order, own);
    this.#parts = {
      sections: order.flatMap((index) => this.#section(index, order, buffers, renamed.get(index))),
      buffers: buffers.flatMap((index) => this.#buffer(index)),
    };
  }

  /** What is carried, to be put behind so many sections and buffers of the member. */
  parts(sectionsBefore: number, buffersBefore: number): CarriedParts {
    return {
      buffers: this.#parts.buffers,
      sections: this.#parts.sections.map((section) => ({
        ...section,
        buffers: section.buffers.map((index) => index + buffersBefore),
        ...(section.imports === undefined ? {} : { imports: section.imports.map((index) => index + sectionsBefore) }),
      })),
    };
  }

  #isCandidate(index: number, member: string, isState: (section: SectionRecord) => boolean): boolean {
    const section = this.#sections[index];
    return section !== undefined && section.member === member && isState(section);
  }

  /** The section and all that it imports. */
  #reach(index: number): Set<number> {
    const reached = new Set([index]);
    for (const one of reached) for (const other of this.#sections[one]?.imports ?? []) reached.add(other);
    return reached;
  }

  /** What two sections reach may be changed through one of them while the other is carried (invariant 1). */
  #preserveShared(): void {
    const users = new Map<number, number>();
    const bufferUsers = new Map<number, number>();
    const count = (counts: Map<number, number>, key: number): void => void counts.set(key, (counts.get(key) ?? 0) + 1);
    for (const index of this.#candidates) {
      if (this.#sections[index]?.kind === CARRIED_KIND) continue;
      const reached = [...this.#reach(index)];
      for (const one of reached) count(users, one);
      for (const buffer of new Set(reached.flatMap((one) => this.#sections[one]?.buffers ?? []))) count(bufferUsers, buffer);
    }
    for (const [index, number] of users) if (number > 1) this.#bytesOf(index);
    for (const [index, number] of bufferUsers) if (number > 1) this.#copyOf(index);
  }

  #bytesOf(index: number): Uint8Array {
    const kept = this.#bytes.get(index);
    if (kept !== undefined) return kept;
    const bytes = this.#source.sections[index] ?? new Uint8Array();
    const copy = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
    copy.set(bytes);
    this.#bytes.set(index, copy);
    return copy;
  }

  #copyOf(index: number): SharedArrayBuffer {
    const kept = this.#memory.get(index);
    if (kept !== undefined) return kept;
    const memory = this.#source.buffers[index] ?? new ArrayBuffer(0);
    const copy = new SharedArrayBuffer(memory.byteLength);
    for (const { offset, length } of windows(memory.byteLength))
      new Uint8Array(copy, offset, length).set(new Uint8Array(memory, offset, length));
    this.#memory.set(index, copy);
    return copy;
  }

  /** Names of the sections that cannot keep theirs, because a provider has claimed it. */
  #namesOf(order: readonly number[], own: (index: number) => boolean): ReadonlyMap<number, string> {
    const names = new Map<number, string>();
    const isFree = (index: number): boolean => own(index) || this.#sections[index]?.kind === CARRIED_KIND;
    const taken = new Set(order.filter(isFree).map((index) => this.#sections[index]?.name));
    let number = 0;
    for (const index of order) {
      if (isFree(index)) continue;
      let name: string;
      do name = `carried:${++number}:${this.#sections[index]?.name}`;
      while (taken.has(name));
      names.set(index, name);
    }
    return names;
  }

  #section(index: number, order: readonly number[], buffers: readonly number[], name: string | undefined): SectionInput[] {
    const record = this.#sections[index];
    if (record === undefined) return [];
    const { length: _length, extents: _extents, imports, ...section } = record;
    return [
      {
        ...section,
        ...(name === undefined ? {} : { name, kind: CARRIED_KIND }),
        buffers: record.buffers.map((buffer) => buffers.indexOf(buffer)),
        ...(record.buffers.length === 0 ? {} : { numbers: record.numbers ?? record.buffers.map((buffer) => this.#numberOf(buffer)) }),
        ...(imports === undefined ? {} : { imports: imports.map((other) => order.indexOf(other)) }),
        carriedFrom: record.carriedFrom ?? this.#source.manifest.image.generation,
        chunks: [this.#bytesOf(index)],
      },
    ];
  }

  /** Its position among the buffers of its member. */
  #numberOf(index: number): number {
    const { buffers } = this.#source.manifest;
    return buffers.slice(0, index).filter(({ member }) => member === buffers[index]?.member).length;
  }

  #buffer(index: number): BufferInput[] {
    const record = this.#source.manifest.buffers[index];
    if (record === undefined) return [];
    const { length: _length, extents: _extents, ...buffer } = record;
    const memory = this.#copyOf(index);
    return [{ ...buffer, chunks: windows(memory.byteLength).map(({ offset, length }) => new Uint8Array(memory, offset, length)) }];
  }
}

function windows(bytes: number): { readonly offset: number; readonly length: number }[] {
  const count = Math.ceil(bytes / WINDOW_BYTES);
  return Array.from({ length: count }, (_, i) => ({
    offset: i * WINDOW_BYTES,
    length: Math.min(WINDOW_BYTES, bytes - i * WINDOW_BYTES),
  }));
}
