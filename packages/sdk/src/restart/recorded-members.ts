/**
 * The members that the source image records: what each is, was started with, and goes on from.
 *
 * Invariants
 * 1. A member's part is handed over once: one of that name that is declared later begins anew.
 * 2. An opaque child has no part: whoever joins under its name begins anew.
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

export class RecordedMembers {
  readonly #contents: ImageContents | undefined;
  readonly #classes: ClassRegistry;
  readonly #given = new Set<string>();

  constructor(contents: ImageContents | undefined, classes: ClassRegistry) {
    this.#contents = contents;
    this.#classes = classes;
  }

  /** Of the image; undefined for a fresh start. */
  get image(): string | undefined {
    return this.#contents?.manifest.image.id;
  }

  all(): readonly RecordedFacts[] {
    return (this.#contents?.manifest.members ?? []).flatMap(factsOf);
  }

  get(name: string): RecordedFacts | undefined {
    return this.all().find((facts) => facts.name === name);
  }

  args(name: string): readonly string[] | undefined {
    const args = this.data(name, 'process')?.value;
    return Array.isArray(args) ? args.map(String) : undefined;
  }

  /** What a member of that kind was first started with; undefined where there was none. */
  data(name: string, kind: RecordedFacts['kind']): { readonly value: unknown } | undefined {
    const contents = this.#contents;
    if (this.get(name)?.kind !== kind) return undefined;
    const index = contents?.manifest.sections.findIndex((section) => section.member === name && section.kind === 'worker-data') ?? -1;
    const [record, bytes] = [contents?.manifest.sections[index], contents?.sections[index]];
    if (contents === undefined || record === undefined || bytes === undefined) return undefined;
    const memory = buffersOf(contents.manifest, record, contents.buffers);
    const section = { name: record.name, encoding: record.encoding, bytes, imports: [] };
    return { value: decodeSection(section, memory, this.#classes).value };
  }

  /** Invariants 1 and 2. */
  handed(name: string): HandedState | undefined {
    const facts = this.get(name);
    if (this.#contents === undefined || facts === undefined || facts.opaque !== undefined || this.#given.has(name)) return undefined;
    this.#given.add(name);
    return { part: memberPart(this.#contents, name), finished: facts.finished };
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
