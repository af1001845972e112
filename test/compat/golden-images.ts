/**
 * The neutral description of what a reader finds in an image. A reader of another language produces the same
 * (read_image.py); equal descriptions mean equal readings.
 */
import { trackingOf } from '../../packages/sdk/src/codec/length-tracking.js';
import { TREE_1 } from '../../packages/sdk/src/codec/tags.js';
import type { ImageContents } from '../../packages/sdk/src/image/contract.js';
import { GraphStory } from './describe-graph.js';
import { describeMemory, describePrimitive, f64, sha256 } from './describe-values.js';

/** The encoding of sections that are the bytes of a file. */
export const RAW = 'raw';

/** A value as the golden JSON tells it; `buffers` are those of its member. */
function describeValue(value: unknown, buffers: readonly ArrayBufferLike[]): unknown {
  const inner = (item: unknown): unknown => describeValue(item, buffers);
  const memoryOf = (memory: ArrayBufferLike): object => describeMemory(memory, buffers.indexOf(memory));
  const pairs = (entries: Iterable<readonly [unknown, unknown]>): unknown[] => [...entries].map(([key, item]) => [inner(key), inner(item)]);
  if (typeof value !== 'object' || value === null) return describePrimitive(value);
  if (Array.isArray(value)) return { array: value.map(inner) };
  if (value instanceof Map) return { map: pairs(value) };
  if (value instanceof Set) return { set: [...value].map(inner) };
  if (value instanceof Date) return { date: f64(value.getTime()) };
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return { buffer: memoryOf(value) };
  if (ArrayBuffer.isView(value)) {
    const tracking = Reflect.get(value.buffer, 'resizable') === true && trackingOf(value) === 'tracking';
    const length = 'length' in value ? value.length : value.byteLength;
    return {
      view: {
        kind: value.constructor.name,
        memory: memoryOf(value.buffer),
        byteOffset: value.byteOffset,
        length: tracking ? null : length,
      },
    };
  }
  return { [Object.getPrototypeOf(value) === null ? 'nullPrototype' : 'object']: pairs(Object.entries(value)) };
}

/** What a reader finds in an image, as the golden JSON tells it. */
export function describeImage(contents: ImageContents, decode: (section: number) => unknown): unknown {
  const { manifest, manifestHash } = contents;
  const buffersOf = (owner: string | undefined): readonly ArrayBufferLike[] =>
    contents.buffers.filter((_, index) => manifest.buffers[index]?.member === owner);
  const story = new GraphStory((memory) => buffersOf(manifest.buffers[contents.buffers.indexOf(memory)]?.member).indexOf(memory));
  const values = manifest.sections.map(({ member, encoding }, index) => {
    if (encoding === RAW) return { raw: sha256(contents.sections[index] ?? new Uint8Array()) };
    return encoding === TREE_1 ? describeValue(decode(index), buffersOf(member)) : story.value(decode(index));
  });
  const objects = manifest.sections.every(({ encoding }) => encoding === TREE_1 || encoding === RAW) ? {} : { objects: story.told };
  return { manifestHash, manifest, buffers: contents.buffers.map((memory) => sha256(new Uint8Array(memory))), values, ...objects };
}
