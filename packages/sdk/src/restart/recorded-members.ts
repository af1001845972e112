/**
 * The members that the source image records: what each is, was started with, and goes on from.
 *
 * Invariants
 * 1. What a member was started with is told by its kind: workerData of a thread, arguments of a process.
 * 2. An opaque child has no part: whoever joins under its name begins anew.
 * 3. What is asked of one member costs nothing for the others: an image may record a great many, one below the other.
 */
import type { ClassRegistry } from '../codec/classes.js';
import { decodeSection } from '../codec/codec.js';
import type { ImageContents, MemberRecord } from '../image/contract.js';
import { buffersOf } from '../image/section-buffers.js';
import { type HandedState, type OpaquePolicy, PROGRAM } from '../members/protocol.js';
import { memberPart } from './member-part.js';

/** What an image says of a member, read. */
export interface RecordedFacts {
  readonly name: string;
  readonly kind: 'worker' | 'process';
  readonly finished: boolean;
  readonly entry: string | undefined;
  /** The member that had declared it; undefined for one of the program. */
  readonly parent: string | undefined;
  /** Undefined for a member that had joined. */
  readonly opaque: OpaquePolicy | undefined;
}

/** What the image tells of a member that the program has not declared. */
export interface RecordedMember extends Pick<RecordedFacts, 'name' | 'kind' | 'finished'> {
  /** Of a worker; undefined of a process. */
  readonly workerData: unknown;
  /** Of a process; empty of a worker. */
  readonly args: readonly string[];
  /** Set for an opaque child, one that never joined: what a restart is to do with it. */
  readonly opaque: OpaquePolicy | undefined;
  /** The member that had declared it; undefined for one of the program. */
  readonly parent: string | undefined;
}

export class RecordedMembers {
  readonly contents: ImageContents | undefined;
  readonly #classes: ClassRegistry;
  readonly #facts: ReadonlyMap<string, RecordedFacts>;
  /** Where a member's workerData or arguments are, among the sections. */
  readonly #startedWith: ReadonlyMap<string, number>;

  constructor(contents: ImageContents | undefined, classes: ClassRegistry) {
    this.contents = contents;
    this.#classes = classes;
    const { members = [], sections = [] } = contents?.manifest ?? {};
    this.#facts = new Map(members.flatMap(factsOf).map((facts) => [facts.name, facts]));
    this.#startedWith = new Map(sections.flatMap(({ member, kind }, index) => (kind === 'worker-data' ? [[member, index]] : [])));
  }

  /** Of the image; undefined for a fresh start. */
  get image(): ImageContents['manifest']['image'] | undefined {
    return this.contents?.manifest.image;
  }

  all(): readonly RecordedFacts[] {
    return [...this.#facts.values()];
  }

  /** Those that were in the cut: all but opaque children. */
  joined(): readonly RecordedFacts[] {
    return this.all().filter(({ opaque }) => opaque === undefined);
  }

  described({ name, kind, finished, opaque, parent }: RecordedFacts): RecordedMember {
    return { name, kind, finished, workerData: this.data(name, 'worker')?.value, args: this.args(name) ?? [], opaque, parent };
  }

  get(name: string): RecordedFacts | undefined {
    return this.#facts.get(name);
  }

  args(name: string): readonly string[] | undefined {
    const args = this.data(name, 'process')?.value;
    return Array.isArray(args) ? args.map(String) : undefined;
  }

  /** What a member of that kind was first started with; undefined where there was none. Invariant 1. */
  data(name: string, kind: RecordedFacts['kind']): { readonly value: unknown } | undefined {
    const { contents } = this;
    if (this.get(name)?.kind !== kind) return undefined;
    const index = this.#startedWith.get(name) ?? -1;
    const [record, bytes] = [contents?.manifest.sections[index], contents?.sections[index]];
    if (contents === undefined || record === undefined || bytes === undefined) return undefined;
    const memory = buffersOf(contents.manifest, record, contents.buffers);
    const section = { name: record.name, encoding: record.encoding, bytes, imports: [] };
    return { value: decodeSection(section, memory, this.#classes).value };
  }

  /** What a member of that name goes on from. Invariant 2. */
  handed(name: string): HandedState | undefined {
    const facts = this.get(name);
    if (this.contents === undefined || facts === undefined || facts.opaque !== undefined) return undefined;
    return { part: memberPart(this.contents, name), finished: facts.finished };
  }
}

export function factsOf(record: MemberRecord): RecordedFacts[] {
  const { name, kind } = record;
  if (kind === 'program' || name === PROGRAM) return [];
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const { finished, entry, parent, opaque } = record as { readonly [key: string]: unknown };
  return [
    {
      name,
      kind,
      finished: finished === true,
      entry: text(entry),
      parent: text(parent),
      opaque: opaque === 'restart' || opaque === 'exclude' ? opaque : undefined,
    },
  ];
}
