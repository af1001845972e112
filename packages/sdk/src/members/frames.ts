/**
 * What travels between a program and a forked member: frames on a stream, each a length of 8 bytes and a value.
 *
 * Invariants
 * 1. A reader hands out whole frames only, each on memory of its own, so that it can be handed on.
 * 2. What programs send each other is packed apart, like a structured clone: views of one buffer stay views of one buffer.
 * 3. Memory that the image brings back comes as the kind it was.
 */
import { Deserializer, deserialize, Serializer, serialize } from 'node:v8';
import type { ImageParts } from '../image/contract.js';
import { makeBuffer } from '../image/reader.js';
import type { ChannelMessage, ChannelRecord } from './channel.js';
import type { FromMember, ToMember, Welcome } from './protocol.js';

/** What a forked member is told when it joins; ports and shared memory do not travel. */
export type ForkedWelcome = Omit<Welcome, 'port' | 'attention' | 'shared'>;

export type Frame =
  | { readonly type: 'welcome'; readonly welcome: ForkedWelcome }
  | { readonly type: 'control'; readonly message: ToMember | FromMember }
  /** What a member that has finished had left unsent comes packed. */
  | { readonly type: 'finished'; readonly message: Extract<FromMember, { type: 'finished' }>; readonly unsent: Uint8Array }
  | { readonly type: 'connect'; readonly connection: number; readonly key: string }
  | { readonly type: 'channel'; readonly connection: number; readonly message: Uint8Array }
  /** What the member was last seen doing. */
  | { readonly type: 'seen'; readonly step: number; readonly receiving: number };

const LENGTH_BYTES = 8;

export function encodeFrame(frame: Frame): readonly Uint8Array[] {
  const body = serialize(frame.type === 'welcome' ? { ...frame, welcome: flattened(frame.welcome) } : frame);
  const head = Buffer.alloc(LENGTH_BYTES);
  head.writeBigUInt64BE(BigInt(body.length));
  return [head, body];
}

/** @throws Error for what a structured clone cannot carry to another process, such as shared memory */
export function packMessage(message: ChannelMessage | readonly ChannelRecord[]): Uint8Array {
  const serializer = new Serializer();
  serializer.writeHeader();
  serializer.writeValue(message);
  return serializer.releaseBuffer();
}

export function unpackMessage(bytes: Uint8Array): unknown {
  const deserializer = new Deserializer(bytes);
  deserializer.readHeader();
  return deserializer.readValue();
}

export class FrameReader {
  #chunks: Uint8Array[] = [];
  #held = 0;

  /** Takes in bytes. @returns the frames that are complete now */
  push(chunk: Uint8Array): Frame[] {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    const frames: Frame[] = [];
    while (this.#held >= LENGTH_BYTES) {
      const head = this.#taken(LENGTH_BYTES, false);
      const length = Number(Buffer.from(head).readBigUInt64BE());
      if (this.#held < LENGTH_BYTES + length) break;
      this.#taken(LENGTH_BYTES, true);
      frames.push(restored(deserialize(this.#taken(length, true)) as Frame)); // only encodeFrame writes into the stream
    }
    return frames;
  }

  #taken(bytes: number, remove: boolean): Uint8Array {
    const target = new Uint8Array(bytes);
    let filled = 0;
    let used = 0;
    for (const chunk of this.#chunks) {
      if (filled === bytes) break;
      const part = chunk.subarray(0, bytes - filled);
      target.set(part, filled);
      filled += part.length;
      if (part.length === chunk.length) used++;
      else if (remove) this.#chunks[used] = chunk.subarray(part.length);
    }
    if (!remove) return target;
    this.#chunks.splice(0, used);
    this.#held -= bytes;
    return target;
  }
}

function flattened(welcome: ForkedWelcome): object {
  const { source } = welcome;
  if (source === undefined) return welcome;
  return {
    ...welcome,
    source: { ...source, part: { ...source.part, buffers: source.part.buffers.map((memory) => new Uint8Array(memory)) } },
  };
}

/** Invariant 3. */
function restored(frame: Frame): Frame {
  if (frame.type !== 'welcome' || frame.welcome.source === undefined) return frame;
  const { source } = frame.welcome;
  const { part } = source;
  return { ...frame, welcome: { ...frame.welcome, source: { ...source, part: { ...part, buffers: memories(part) } } } };
}

function memories({ manifest, buffers }: ImageParts): ArrayBufferLike[] {
  return manifest.buffers.map((record, index) => {
    const memory = makeBuffer(record);
    const bytes = buffers[index];
    if (ArrayBuffer.isView(bytes)) new Uint8Array(memory).set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return memory;
  });
}
