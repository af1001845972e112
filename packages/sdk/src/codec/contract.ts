/**
 * What the codec promises to the rooms below it: values of one member to bytes and back, without silent loss.
 *
 * Invariants
 * 1. All providers of a member are encoded in one call, so that identity between them can be kept.
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
  /** Name of the encoding, e.g. `tree-1`. */
  readonly encoding: string;
  readonly bytes: Uint8Array;
  /** Indexes into EncodedMember.buffers that this section refers to, ascending. */
  readonly buffers: readonly number[];
}

export interface EncodedMember {
  readonly sections: readonly EncodedSection[];
  readonly buffers: readonly FoundBuffer[];
}

/* Functions of this room (codec.ts):
 *   encodeMember(roots: ReadonlyMap<string, unknown>): EncodedMember
 *       one root a provider; ERR_CKPT_UNSUPPORTED_VALUE with `provider` and `path`, ERR_CKPT_MEMORY
 *   assertEncodable(name: string, value: unknown): void
 *       throws as encodeMember would for that provider alone
 *   decodeSection(encoding: string, bytes: Uint8Array, buffers: readonly ArrayBufferLike[], section: string): unknown
 *       `buffers` holds the restored memory of the section's member, by index. The input is hostile until proven
 *       otherwise: bounded depth and counts, no prototype touched. ERR_CKPT_DECODE, ERR_CKPT_IMAGE_LIMIT
 */
