/**
 * What travels between a program and a forked member: frames on a stream, each a head of 12 bytes and what it announces: a
 * value, or a piece of the bytes that an earlier value has told of.
 *
 * Invariants
 * 1. A reader hands out whole values only, each on memory of its own, so that it can be handed on; what there is of a piece it
 *    hands out at once. Either way it copies no byte more than once, however the stream was cut.
 * 2. What programs send each other is packed apart, like a structured clone: views of one buffer stay views of one buffer.
 */
import { Deserializer, deserialize, Serializer, serialize } from 'node:v8';
import type { ChannelMessage, ChannelRecord } from './channel.js';
import type { ForkedWelcome, OutlinedMember } from './outline.js';
import type { FromMember, ToMember } from './protocol.js';

type Finished = Extract<FromMember, { type: 'finished' }>;

/** What has a `delivery` is followed by that many bytes as it tells of, in pieces of that number. */
export type Frame =
  | { readonly type: 'welcome'; readonly welcome: ForkedWelcome; readonly delivery: number }
  | { readonly type: 'control'; readonly message: ToMember | Exclude<FromMember, { type: 'captured' | 'finished' }> }
  | { readonly type: 'captured'; readonly round: number; readonly outline: OutlinedMember; readonly delivery: number }
  | {
      readonly type: 'finished';
      readonly message: Omit<Finished, 'captured' | 'unsent'>;
      readonly outline: OutlinedMember;
      readonly delivery: number;
      /** What a member that has finished had left unsent comes packed. */
      readonly unsent: Uint8Array;
    }
  | { readonly type: 'connect'; readonly connection: number; readonly key: string }
  | { readonly type: 'channel'; readonly connection: number; readonly message: Uint8Array }
  /** What the member was last seen doing. */
  | { readonly type: 'seen'; readonly step: number; readonly receiving: number };

const HEAD_BYTES = 12;
/** In the place of a delivery's number, which counts from 1. */
const VALUE = 0;

export function encodeFrame(frame: Frame): readonly Uint8Array[] {
  const body = serialize(frame);
  return [encodeHead(body.length, VALUE), body];
}

/** What comes before a piece of a delivery. */
export function encodeHead(length: number, delivery: number): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeBigUInt64BE(BigInt(length));
  head.writeUInt32BE(delivery, HEAD_BYTES - 4);
  return head;
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

export interface FrameTaker {
  readonly frame: (frame: Frame) => void;
  /** Some bytes of a piece; the memory is the stream's. */
  readonly piece: (delivery: number, bytes: Uint8Array) => void;
}

export class FrameReader {
  readonly #take: FrameTaker;
  readonly #head = Buffer.alloc(HEAD_BYTES);
  #headFilled = 0;
  /** Of the value that is being read; undefined in a piece. */
  #body: Uint8Array | undefined;
  #delivery = VALUE;
  /** Bytes that are still to come of what the head has announced. */
  #left = 0;

  constructor(take: FrameTaker) {
    this.#take = take;
  }

  /** Takes in bytes, and hands out what there is of them, in order. */
  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#headFilled < HEAD_BYTES) {
        const part = chunk.subarray(at, at + HEAD_BYTES - this.#headFilled);
        this.#head.set(part, this.#headFilled);
        this.#headFilled += part.length;
        at += part.length;
        if (this.#headFilled < HEAD_BYTES) return;
        this.#begin();
      }
      const part = chunk.subarray(at, at + this.#left);
      at += part.length;
      this.#fill(part);
    }
  }

  #begin(): void {
    this.#left = Number(this.#head.readBigUInt64BE());
    this.#delivery = this.#head.readUInt32BE(HEAD_BYTES - 4);
    this.#body = this.#delivery === VALUE ? new Uint8Array(this.#left) : undefined;
  }

  #fill(part: Uint8Array): void {
    const body = this.#body;
    body?.set(part, body.length - this.#left);
    this.#left -= part.length;
    if (this.#left === 0) this.#headFilled = 0;
    if (body === undefined) this.#take.piece(this.#delivery, part);
    else if (this.#left === 0) this.#take.frame(deserialize(body) as Frame); // only encodeFrame writes into the stream
  }
}
