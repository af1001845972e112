/**
 * The neutral description of what a reader finds in an image. A reader of another language produces the same
 * (read_image.py); equal descriptions mean equal readings.
 */
import { createHash } from 'node:crypto';
import { trackingOf } from '../../packages/sdk/src/codec/length-tracking.js';
import type { ImageContents } from '../../packages/sdk/src/image/contract.js';

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function f64(value: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes.toString('hex');
}

function memoryOf(memory: ArrayBufferLike, buffers: readonly ArrayBufferLike[]): object {
  const index = buffers.indexOf(memory);
  const grows = Reflect.get(memory, memory instanceof ArrayBuffer ? 'resizable' : 'growable') === true;
  return {
    kind: memory instanceof ArrayBuffer ? 'ArrayBuffer' : 'SharedArrayBuffer',
    sha256: sha256(new Uint8Array(memory)),
    maximum: grows ? Reflect.get(memory, 'maxByteLength') : null,
    index: index < 0 ? null : index,
  };
}

/** A value as the golden JSON tells it; `buffers` are those of its member. */
function describeValue(value: unknown, buffers: readonly ArrayBufferLike[]): unknown {
  const inner = (item: unknown): unknown => describeValue(item, buffers);
  const pairs = (entries: Iterable<readonly [unknown, unknown]>): unknown[] => [...entries].map(([key, item]) => [inner(key), inner(item)]);
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'string') return /\p{Surrogate}/u.test(value) ? { utf16le: Buffer.from(value, 'utf16le').toString('hex') } : value;
  if (typeof value === 'number') return { f64: f64(value) };
  if (typeof value === 'bigint') return { bigint: String(value) };
  if (typeof value !== 'object') return { undefined: true };
  if (Array.isArray(value)) return { array: value.map(inner) };
  if (value instanceof Map) return { map: pairs(value) };
  if (value instanceof Set) return { set: [...value].map(inner) };
  if (value instanceof Date) return { date: f64(value.getTime()) };
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return { buffer: memoryOf(value, buffers) };
  if (ArrayBuffer.isView(value)) {
    const tracking = Reflect.get(value.buffer, 'resizable') === true && trackingOf(value) === 'tracking';
    const length = 'length' in value ? value.length : value.byteLength;
    return {
      view: {
        kind: value.constructor.name,
        memory: memoryOf(value.buffer, buffers),
        byteOffset: value.byteOffset,
        length: tracking ? null : length,
      },
    };
  }
  return { [Object.getPrototypeOf(value) === null ? 'nullPrototype' : 'object']: pairs(Object.entries(value)) };
}

/** What a reader finds in an image, as the golden JSON tells it. */
export function describeImage(contents: ImageContents, decode: (section: number, buffers: readonly ArrayBufferLike[]) => unknown): unknown {
  const { manifest, manifestHash } = contents;
  const values = manifest.sections.map(({ member }, i) => {
    const buffers = contents.buffers.filter((_, index) => manifest.buffers[index]?.member === member);
    return describeValue(decode(i, buffers), buffers);
  });
  return { manifestHash, manifest, buffers: contents.buffers.map((memory) => sha256(new Uint8Array(memory))), values };
}
