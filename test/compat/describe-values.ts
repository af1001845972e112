/** Primitives and memory as the golden JSON tells them. */
import { createHash } from 'node:crypto';

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function f64(value: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes.toString('hex');
}

export function describePrimitive(value: unknown): unknown {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'string') return /\p{Surrogate}/u.test(value) ? { utf16le: Buffer.from(value, 'utf16le').toString('hex') } : value;
  if (typeof value === 'number') return { f64: f64(value) };
  return typeof value === 'bigint' ? { bigint: String(value) } : { undefined: true };
}

/** @param index its number among the buffers of its member; -1: none */
export function describeMemory(memory: ArrayBufferLike, index: number): object {
  const grows = Reflect.get(memory, memory instanceof ArrayBuffer ? 'resizable' : 'growable') === true;
  return {
    kind: memory instanceof ArrayBuffer ? 'ArrayBuffer' : 'SharedArrayBuffer',
    sha256: sha256(new Uint8Array(memory)),
    maximum: grows ? Reflect.get(memory, 'maxByteLength') : null,
    index: index < 0 ? null : index,
  };
}
