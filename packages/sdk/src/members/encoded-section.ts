/**
 * A section of a member that the program itself encodes.
 *
 * Invariants
 * 1. The result shares no memory with the value.
 */
import { encodeMember } from '../codec/codec.js';
import type { CapturedMember } from './protocol.js';

/** Holds the undelivered messages of a member's ends of channels. */
export const CHANNELS_SECTION = 'ckpt:channels';

/** @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE */
export function encodedSection(member: string, section: { readonly name: string; readonly kind: string }, value: unknown): CapturedMember {
  const { sections, buffers } = encodeMember(new Map([[section.name, value]]));
  return {
    sections: sections.map(({ encoding, bytes, buffers: used }) => ({
      member,
      ...section,
      version: 1,
      encoding,
      buffers: used,
      chunks: [bytes.slice()],
    })),
    buffers: buffers.map(({ kind, memory, maxByteLength }) => ({
      member,
      kind,
      ...(maxByteLength === undefined ? {} : { maxLength: maxByteLength }),
      chunks: [new Uint8Array(memory).slice()],
    })),
    stateBytes: 0,
    dirtyBytes: 0,
  };
}
