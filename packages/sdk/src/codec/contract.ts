/**
 * What the codec promises to the rooms below it: values of one member to bytes and back, without silent loss.
 *
 * Invariants
 * 1. All providers of a member are encoded in one call, so that identity between them is kept: an object that two
 *    providers hold has its place in the section of the first, and the section of the other imports it.
 * 2. A value comes back exactly or is refused with its property path (ERR_CKPT_UNSUPPORTED_VALUE); nothing is dropped.
 * 3. Bulk memory is never copied nor passed through msgpack here: it is listed in `buffers`, by identity, and
 *    referred to by index. Views of one buffer stay views of one buffer, across providers too.
 * 4. Each section names its encoding, so that newer encodings can join without breaking older images.
 */

/** The kinds of bulk memory. A restored buffer is of the kind it was. */
export type BufferKind = 'ArrayBuffer' | 'SharedArrayBuffer';

/** A buffer of the member as the walk found it: live memory, not yet copied. */
export interface FoundBuffer {
  readonly kind: BufferKind;
  readonly memory: ArrayBufferLike;
  readonly byteLength: number;
  /** Present for resizable and growable buffers. */
  readonly maxByteLength?: number;
}

export interface EncodedSection {
  readonly name: string;
  /** Name of the encoding, e.g. `graph-1`. */
  readonly encoding: string;
  readonly bytes: Uint8Array;
  /** Indexes into EncodedMember.buffers that this section refers to, ascending. */
  readonly buffers: readonly number[];
  /** Indexes into EncodedMember.sections, all before this one, whose objects it refers to; the bytes refer to places in this list. */
  readonly imports: readonly number[];
}

export interface EncodedMember {
  readonly sections: readonly EncodedSection[];
  readonly buffers: readonly FoundBuffer[];
}

/** A section as it is read back. */
export interface SectionToDecode {
  readonly name: string;
  readonly encoding: string;
  readonly bytes: Uint8Array;
  /** Sections decoded before, in the order of the section's imports. */
  readonly imports: readonly DecodedSection[];
}

export interface DecodedSection {
  readonly value: unknown;
  /** What later sections may import, by number; empty for encodings without identity. */
  readonly objects: readonly unknown[];
  /** Whether it holds instances of classes. */
  readonly instances: boolean;
}

/* Functions of this room (codec.ts):
 *   encodeMember(roots: ReadonlyMap<string, unknown>, classes?: ClassRegistry, foreign?: ReadonlySet<ArrayBufferLike>): EncodedMember
 *       one root a provider; ERR_CKPT_UNSUPPORTED_VALUE with `provider` and `path`, ERR_CKPT_MEMORY
 *   assertEncodable(name: string, value: unknown, classes?: ClassRegistry): void
 *       throws as encodeMember would for that provider alone
 *   decodeSection(section: SectionToDecode, buffers: readonly ArrayBufferLike[], classes?: ClassRegistry | 'tagged'): DecodedSection
 *       `buffers` holds the restored memory of the section's member, by index. The input is hostile until proven
 *       otherwise: bounded depth and counts, no prototype touched. ERR_CKPT_DECODE, ERR_CKPT_IMAGE_LIMIT, ERR_CKPT_SCHEMA
 *       (a class that is not registered, or of another version)
 */
