/**
 * What a member starts from where a rescale hook has spoken, as a part of an image that was never written.
 *
 * Invariants
 * 1. A part shares no memory with values of the program: it can be handed over.
 * 2. All of a part is encoded in one call, so that identity between its sections is kept.
 */
import type { ClassRegistry } from '../codec/classes.js';
import { encodeMember } from '../codec/codec.js';
import type { EncodedSection } from '../codec/contract.js';
import type { BufferRecord, ImageParts, SectionRecord } from '../image/contract.js';
import { makeBuffer } from '../image/reader.js';
import type { ChannelRecord } from '../members/channel.js';
import { CHANNELS_SECTION } from '../members/encoded-section.js';
import type { HandedState } from '../members/protocol.js';
import { encodeSegment, SEGMENT, SEGMENTS_1 } from '../state/collection-segments.js';
import { COLLECTION_KIND } from '../state/provider.js';
import type { RecordedMembers } from './recorded-members.js';

export type SectionKind = Pick<SectionRecord, 'kind' | 'version'>;

interface GivenSection extends SectionKind {
  readonly name: string;
  readonly value: unknown;
}

interface PartFacts {
  readonly classes: ClassRegistry;
  readonly shared: readonly SharedArrayBuffer[];
  readonly image: ImageParts['manifest']['image'];
}

/** @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE; TypeError for a collection that is no Map */
export function encodedPart(member: string, given: readonly GivenSection[], { classes, shared, image }: PartFacts): ImageParts {
  const values = given.filter(({ kind }) => kind !== COLLECTION_KIND);
  const encoded = encodeMember(new Map(values.map(({ name, value }) => [name, value])), classes, { foreign: new Set(shared) });
  const collections = given.filter(({ kind }) => kind === COLLECTION_KIND).map((section) => encodedCollection(section, classes));
  const sections = [...encoded.sections, ...collections];
  const kinds = new Map(given.map(({ name, kind, version }) => [name, { kind, version }]));
  const buffers = encoded.buffers.map(({ kind, byteLength: length, maxByteLength }): BufferRecord => {
    return { member, kind, length, extents: [], ...(maxByteLength === undefined ? {} : { maxLength: maxByteLength }) };
  });
  return {
    manifest: {
      image,
      buffers,
      sections: sections.map(({ name, encoding, bytes, buffers: uses, imports }): SectionRecord => {
        const { kind = '', version = 1 } = kinds.get(name) ?? {};
        const facts = { member, name, kind, version, encoding, length: bytes.length, extents: [], buffers: uses };
        return imports.length === 0 ? facts : { ...facts, imports };
      }),
    },
    sections: sections.map(({ bytes }) => bytes.slice()),
    buffers: buffers.map((record, index) => copyOf(record, encoded.buffers[index]?.memory)),
  };
}

export function channelsOf(ends: readonly ChannelRecord[]): readonly GivenSection[] {
  return ends.length === 0 ? [] : [{ name: CHANNELS_SECTION, kind: 'channels', version: 1, value: ends }];
}

/** A recorded member with other ends of channels. Of two sections of one name the last one counts. */
export function withChannels(
  name: string,
  ends: readonly ChannelRecord[],
  { recorded, ...facts }: Omit<PartFacts, 'image'> & { readonly recorded: RecordedMembers },
): HandedState {
  const handed = recorded.handed(name);
  if (handed === undefined) throw new Error(`rescale: member '${name}' was in the image, and is not`);
  const { manifest, sections, buffers } = handed.part;
  const records = [{ name: CHANNELS_SECTION, kind: 'channels', version: 1, value: ends }];
  const added = encodedPart(name, records, { ...facts, image: manifest.image });
  const shifted = added.manifest.sections.map((section) => ({
    ...section,
    buffers: section.buffers.map((index) => index + buffers.length),
    numbers: section.buffers,
  }));
  const part = {
    manifest: { ...manifest, sections: [...manifest.sections, ...shifted], buffers: [...manifest.buffers, ...added.manifest.buffers] },
    sections: [...sections, ...added.sections],
    buffers: [...buffers, ...added.buffers],
  };
  return { ...handed, part };
}

function encodedCollection({ name, value }: GivenSection, classes: ClassRegistry): EncodedSection {
  if (!(value instanceof Map)) throw new TypeError(`expected a Map for the collection '${name}'`);
  return { name, encoding: SEGMENTS_1, bytes: encodeSegment(name, SEGMENT.whole, value, classes), buffers: [], imports: [] };
}

/** One typed array may not span all of it. */
const WINDOW_BYTES = 2 ** 30;

export function copyOf(record: BufferRecord, memory: ArrayBufferLike = new ArrayBuffer(0)): ArrayBufferLike {
  const copy = makeBuffer(record);
  for (let at = 0; at < memory.byteLength; at += WINDOW_BYTES) {
    const length = Math.min(WINDOW_BYTES, memory.byteLength - at);
    new Uint8Array(copy, at, length).set(new Uint8Array(memory, at, length));
  }
  return copy;
}
