/**
 * What an image holds and how it is written and read, as types. The bytes are told in docs/image-format.md.
 *
 * Invariants
 * 1. An image is data only: no code, nothing executable, no path that is used without the program's consent.
 * 2. Lengths and hashes of everything are stated; every byte of the file is covered by one of them or must be zero.
 * 3. Unknown keys in the manifest are kept out of the way; unknown *required features* refuse the image.
 */
import type { BufferKind, DroppedValues } from '../codec/contract.js';

/** Where an image stands in its run. */
export interface ImageRef {
  readonly id: string;
  readonly epoch: number;
  readonly generation: number;
}

/** How bytes are compressed: with zstd, or with brotli where Node.js lacks that. */
export type Method = 'zstd' | 'brotli';

/** Where the bytes of an extent lie. */
export type Place =
  | { readonly at: 'own'; readonly offset: number }
  /** In this image, compressed: `stored` bytes from `offset` on. Sections only. */
  | { readonly at: 'compressed'; readonly offset: number; readonly stored: number; readonly method: Method }
  | { readonly at: 'zero' }
  | { readonly at: 'base'; readonly base: number; readonly offset: number };

export interface Extent {
  readonly place: Place;
  /** Length of the bytes it stands for. */
  readonly length: number;
  /** BLAKE3-256 of what is stored of it (those bytes, or what they were compressed to), lower-case hex; absent for `zero`. */
  readonly hash?: string;
}

export interface SectionRecord {
  readonly member: string;
  readonly name: string;
  /** What kind of provider wrote it: `state`, `provide`, `random`, … */
  readonly kind: string;
  /** Schema version of the provider. */
  readonly version: number;
  readonly encoding: string;
  readonly length: number;
  readonly extents: readonly Extent[];
  /** Indexes into `buffers` of the manifest. */
  readonly buffers: readonly number[];
  /**
   * The number by which the section's bytes refer to each of `buffers`; absent: its position among the buffers of the member.
   * A section carried from an older image keeps its bytes, so it keeps the numbers too.
   */
  readonly numbers?: readonly number[];
  /**
   * Indexes into `sections`, all lower than its own and of the same member: sections whose objects its bytes refer to, by their
   * place in this list.
   */
  readonly imports?: readonly number[];
  /** Present for a section that no provider wrote: carried on unread from the image of this generation. */
  readonly carriedFrom?: number;
  /** What was left out of the provider's value, because the provider asked for that. */
  readonly dropped?: DroppedValues;
}

export interface BufferRecord {
  readonly member: string;
  readonly kind: BufferKind;
  readonly length: number;
  readonly maxLength?: number;
  /** With `pages`: the pages that this image holds itself, one after the other. */
  readonly extents: readonly Extent[];
  readonly pages?: PagesRecord;
}

/** Where the pages of a buffer lie that is stored page by page. */
export interface PagesRecord {
  /** The page map, one byte a page (page-map.ts), stored in this image. */
  readonly map: readonly Extent[];
  readonly sources: readonly PageSource[];
}

/** Pages that lie among the own pages of a buffer of a base. */
export interface PageSource {
  /** Index into `bases` of the manifest. */
  readonly base: number;
  /** Index into `buffers` of the base's manifest. */
  readonly buffer: number;
  /** What is taken from it. */
  readonly bytes: number;
}

export interface BaseRecord extends ImageRef {
  /** Hash of the base's manifest: it pins the base's content. */
  readonly manifestHash: string;
}

export interface MemberRecord {
  readonly name: string;
  readonly kind: 'program' | 'worker' | 'process';
  readonly [more: string]: unknown;
}

/** One tracked file; its policy says which further fields it has. */
export interface FileRecord {
  readonly member: string;
  readonly name: string;
  readonly path: string;
  readonly [more: string]: unknown;
}

export interface OpenDescriptor {
  readonly fd: number;
  readonly target: string;
  readonly position?: number;
  /** O_* flags, octal. */
  readonly flags?: string;
  /** Name of the tracked file that it belongs to, or `stdin`, `stdout`, `stderr`. */
  readonly tracked?: string;
  /** Where in the program it was opened, as far as somebody watched. */
  readonly openedAt?: string;
}

/** What `ckpt stat` shows: how the program was started and where. */
export interface Provenance {
  readonly host: string;
  readonly pid: number;
  readonly ppid: number;
  readonly pgrp?: number;
  readonly sid?: number;
  readonly cwd: string;
  readonly execPath: string;
  readonly execArgv: readonly string[];
  readonly argv: readonly string[];
  /** Wall time at which this incarnation started, ms since 1970. */
  readonly startedAt: number;
  readonly openFiles: readonly OpenDescriptor[];
}

/** Everything about an image except its sections, buffers and extents: known when the capture ends. */
export interface ImageHead {
  readonly image: ImageRef & {
    readonly names: readonly string[];
    readonly reason: string;
    /** Wall time of the capture, ms since 1970. */
    readonly createdAt: number;
    /** Run time summed over all incarnations, ms. */
    readonly clockMs: number;
    readonly finished: boolean;
    /** The image before this one on the lineage; null for the first of a fresh run. */
    readonly parent: ImageRef | null;
  };
  readonly run: { readonly id: string; readonly app: { readonly name: string; readonly version: string } };
  readonly producer: { readonly sdk: string; readonly node: string; readonly platform: string; readonly arch: string };
  readonly provenance: Provenance;
  readonly members: readonly MemberRecord[];
  readonly files: readonly FileRecord[];
}

export interface Manifest extends ImageHead {
  readonly sections: readonly SectionRecord[];
  readonly buffers: readonly BufferRecord[];
  readonly bases: readonly BaseRecord[];
}

/** An extent that is compressed already: stored as it is. */
export interface CompressedPart {
  readonly compressed: Uint8Array;
  readonly method: Method;
  /** Of the bytes that it stands for. */
  readonly length: number;
}

/**
 * One run of bytes, in parts and in order: bytes, or extents that stand for zeros or lie in one of `ImageInput.bases`.
 * Bytes must stand still until the image is written; they are not kept longer than it takes to store 1 MiB.
 */
export type Part = Uint8Array | Extent | CompressedPart;
export type Parts = Iterable<Part> | AsyncIterable<Part>;

/** A section ready to be written, all of it in memory. Chunks are written in order; they stand for one run of bytes. */
export interface SectionInput extends Omit<SectionRecord, 'length' | 'extents'> {
  readonly chunks: readonly Uint8Array[];
}

export interface BufferInput extends Omit<BufferRecord, 'length' | 'extents' | 'pages'> {
  /** Windows on staging memory, each at most 1 GiB. */
  readonly chunks: readonly Uint8Array[];
}

/** A section that is made while it is written; its length is counted on the way. */
export interface StreamedSection extends Omit<SectionRecord, 'length' | 'extents'> {
  readonly chunks: Parts;
  /** Compress what gets smaller by it. */
  readonly compression?: Method | undefined;
}

/** A buffer that is made while it is written; its length is known before, because it decides where the buffer begins. */
export interface StreamedBuffer extends Omit<BufferRecord, 'extents' | 'pages'> {
  readonly chunks: Parts;
}

/** A buffer that is stored page by page. */
export interface PagedBuffer extends Omit<BufferRecord, 'extents' | 'pages'> {
  /** One byte a page: see page-map.ts. */
  readonly map: Uint8Array;
  readonly sources: readonly PageSource[];
  /** Its own pages in order, none of them zero; nothing but bytes. */
  readonly chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

export interface ImageInput {
  readonly head: ImageHead;
  readonly sections: readonly StreamedSection[];
  readonly buffers: readonly (BufferInput | StreamedBuffer | PagedBuffer)[];
  /** Of the compressed parts among the sections' parts: the image says at its beginning what its reader must have. */
  readonly methods?: readonly Method[];
  /** What base extents among the parts refer to, by index; those that nothing refers to are left out of the image. */
  readonly bases?: readonly BaseRecord[];
}

/** Where an image is written: appended to, in order. Never retains `chunk` after the promise settles. */
export interface ByteSink {
  write(chunk: Uint8Array): Promise<void>;
}

/** Where an image is read from. */
export interface ByteSource {
  readonly size: number;
  /** Names the object in error messages: a path or an address. */
  readonly label: string;
  /** Fills `target` from `position` on; rejects with ERR_CKPT_IMAGE_INCOMPLETE when the source ends before. */
  read(target: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
}

export interface WrittenImage {
  readonly manifest: Manifest;
  readonly manifestHash: string;
  /** Size of the image in bytes. */
  readonly size: number;
}

/** All of an image, verified: sections by position in the manifest, buffers by index. */
export interface ImageContents {
  readonly manifest: Manifest;
  readonly manifestHash: string;
  readonly sections: readonly Uint8Array[];
  readonly buffers: readonly ArrayBufferLike[];
}

/** As much of an image as is needed to decode its sections. */
export interface ImageParts extends Pick<ImageContents, 'sections' | 'buffers'> {
  readonly manifest: Pick<Manifest, 'image' | 'sections' | 'buffers'>;
}

/** One thing found wrong by `verify`. `section` names the damaged part: a section's or buffer's name, `header`, … */
export interface Damage {
  readonly section: string;
  readonly code: 'ERR_CKPT_IMAGE_CORRUPT' | 'ERR_CKPT_IMAGE_INCOMPLETE' | 'ERR_CKPT_BASE_MISSING' | 'ERR_CKPT_IMAGE_LIMIT';
  readonly message: string;
}

/** Opens a base by its record; rejects with ERR_CKPT_BASE_MISSING. */
export type OpenBase = (base: BaseRecord) => Promise<ByteSource>;

/* Functions of this room (writer.ts, reader.ts, verify.ts):
 *   writeImage(sink: ByteSink, input: ImageInput): Promise<WrittenImage>
 *   readManifest(source: ByteSource, expect?: ImageRef): Promise<{ manifest: Manifest; manifestHash: string }>
 *   readImage(source: ByteSource, openBase: OpenBase, expect?: ImageRef): Promise<ImageContents>
 *       reads and hashes every extent once, into the memory that is handed out; throws at the first damage,
 *       naming the section; checks that bytes between extents are zero.
 *   verifyImage(source, openBase, onProgress?, expect?): Promise<Damage[]>  all damages, memory bounded.
 */
