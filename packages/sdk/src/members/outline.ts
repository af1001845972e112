/**
 * The bytes of a member's state on their way through a stream: told of in an outline, then sent in pieces, one window of memory
 * after the other.
 *
 * Invariants
 * 1. An outline holds all but the bytes: whoever has it knows the lengths of everything.
 * 2. Memory that the image brings back comes as the kind it was.
 */
import type { Staging } from '../base/staging.js';
import type { BufferInput, ImageParts } from '../image/contract.js';
import { PAGE, roundUp } from '../image/format.js';
import { allocating, makeBuffer } from '../image/reader.js';
import type { CapturedSection } from '../state/provider.js';
import type { CapturedMember, Welcome } from './protocol.js';

/** What a forked member is told when it joins; ports and shared memory do not travel. */
export type ForkedWelcome = Omit<Welcome, 'port' | 'attention' | 'shared'>;

/** With the lengths of its chunks in their place. */
type Outlined<T> = Omit<T, 'chunks'> & { readonly lengths: readonly number[] };

/** A captured member without its bytes. */
export interface OutlinedMember {
  readonly sections: readonly Outlined<CapturedSection>[];
  readonly buffers: readonly Outlined<BufferInput>[];
  readonly stateBytes: number;
  readonly dirtyBytes: number;
}

/** One typed array spans at most 4 GiB on some versions of Node. */
const WINDOW_BYTES = 2 ** 30;

export function outlineOf({ sections, buffers, stateBytes, dirtyBytes }: CapturedMember): OutlinedMember {
  return { sections: sections.map(outlined), buffers: buffers.map(outlined), stateBytes, dirtyBytes };
}

/** What is sent behind its outline. */
export function bytesOf({ sections, buffers }: CapturedMember): readonly Uint8Array[] {
  return [...sections, ...buffers].flatMap(({ chunks }) => chunks);
}

function outlined<T extends { readonly chunks: readonly Uint8Array[] }>({ chunks, ...rest }: T): Outlined<T> {
  return { ...rest, lengths: chunks.map(({ length }) => length) };
}

/** The member as it will be once its memory is filled. That is shared memory, which threads hand each other without a copy. */
export function memberOf({ sections, buffers, ...counts }: OutlinedMember, staging: Staging): CapturedMember {
  const lengths = [...sections, ...buffers].flatMap((record) => record.lengths);
  staging.reserve(lengths.reduce((sum, length) => sum + roundUp(length, PAGE), 0));
  const withMemory = <T extends { readonly lengths: readonly number[] }>({ lengths: own, ...rest }: T) => {
    return { ...rest, chunks: own.flatMap((length) => staging.windows(length)) };
  };
  return { ...counts, sections: sections.map(withMemory), buffers: buffers.map(withMemory) };
}

/** A welcome without the bytes of what the member starts from. */
export function outlineOfWelcome(welcome: ForkedWelcome): { readonly outline: ForkedWelcome; readonly bytes: readonly Uint8Array[] } {
  const { source } = welcome;
  if (source === undefined) return { outline: welcome, bytes: [] };
  const outline = { ...welcome, source: { ...source, part: { ...source.part, sections: [], buffers: [] } } };
  return { outline, bytes: partBytes(source.part) };
}

/** The welcome as it will be once its memory is filled. @throws CheckpointError ERR_CKPT_MEMORY */
export function welcomeOf(outline: ForkedWelcome): { readonly welcome: ForkedWelcome; readonly bytes: readonly Uint8Array[] } {
  const { source } = outline;
  if (source === undefined) return { welcome: outline, bytes: [] };
  const { manifest } = source.part;
  const part = allocating(`${manifest.image.id}, the part of member '${outline.name}'`, () => ({
    manifest,
    sections: manifest.sections.map(({ length }) => new Uint8Array(length)),
    buffers: manifest.buffers.map(makeBuffer),
  }));
  return { welcome: { ...outline, source: { ...source, part } }, bytes: partBytes(part) };
}

function partBytes({ sections, buffers }: ImageParts): readonly Uint8Array[] {
  return [...sections, ...buffers.flatMap(windowsOn)];
}

function windowsOn(memory: ArrayBufferLike): readonly Uint8Array[] {
  return Array.from({ length: Math.ceil(memory.byteLength / WINDOW_BYTES) }, (_, index) => {
    const offset = index * WINDOW_BYTES;
    return new Uint8Array(memory, offset, Math.min(WINDOW_BYTES, memory.byteLength - offset));
  });
}
