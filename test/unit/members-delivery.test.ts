/** Frames and what follows them in pieces, however the stream is cut. */
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { Staging } from '../../packages/sdk/src/base/staging.js';
import { DeliveryReceiver, DeliverySender, PIECE_BYTES } from '../../packages/sdk/src/members/delivery.js';
import { encodeFrame, encodeHead, type Frame, FrameReader } from '../../packages/sdk/src/members/frames.js';
import { bytesOf, memberOf, outlineOf, outlineOfWelcome, welcomeOf } from '../../packages/sdk/src/members/outline.js';
import type { CapturedMember } from '../../packages/sdk/src/members/protocol.js';
import { seeded } from '../fixtures/seeded.js';

const random = seeded(12);
const some = (length: number): Uint8Array => new Uint8Array(length).map(() => random.whole(256));
const connect = (connection: number): Frame => ({ type: 'connect', connection, key: 'k'.repeat(connection) });

/** What a reader hands out of a stream that is cut at random. */
function read(stream: Uint8Array, most: number): string[] {
  const found: string[] = [];
  const reader = new FrameReader({
    frame: (frame) => found.push(frame.type === 'connect' ? `connect ${frame.connection} ${frame.key.length}` : frame.type),
    piece: (delivery, bytes) => {
      const last = found.at(-1)?.split(':') ?? [];
      if (last[0] === `piece ${delivery}`) found[found.length - 1] = `${last.join(':')}${Buffer.from(bytes).toString('hex')}`;
      else found.push(`piece ${delivery}:${Buffer.from(bytes).toString('hex')}`);
    },
  });
  for (let at = 0; at < stream.length; ) {
    const length = 1 + random.whole(most);
    reader.push(stream.subarray(at, at + length));
    at += length;
  }
  return found;
}

it('a reader hands out the same frames and pieces in the same order, wherever the stream is cut', () => {
  const piece = some(300);
  const stream = Buffer.concat([
    ...encodeFrame(connect(1)),
    encodeHead(piece.length, 7),
    piece,
    ...encodeFrame(connect(200)),
    encodeHead(1, 2 ** 32 - 1),
    piece.subarray(0, 1),
    ...encodeFrame(connect(3)),
  ]);
  const hex = Buffer.from(piece).toString('hex');
  const whole = ['connect 1 1', `piece 7:${hex}`, 'connect 200 200', `piece ${2 ** 32 - 1}:${hex.slice(0, 2)}`, 'connect 3 3'];
  for (const most of [1, 2, 11, 13, 40, 1_000]) for (let turn = 0; turn < 20; turn++) expect(read(stream, most)).toEqual(whole);
});

/** Both ends, with a stream that hands on what it is given. */
function ends(): {
  readonly sender: DeliverySender;
  readonly receiver: DeliveryReceiver;
  readonly stream: PassThrough;
  readonly frames: number[];
} {
  const stream = new PassThrough({ highWaterMark: 2 ** 10 });
  const receiver = new DeliveryReceiver();
  const frames: number[] = [];
  const reader = new FrameReader({
    frame: (frame) => void (frame.type === 'connect' && frames.push(frame.connection)),
    piece: (delivery, bytes) => receiver.take(delivery, bytes),
  });
  stream.on('data', (chunk: Uint8Array) => reader.push(chunk));
  return { sender: new DeliverySender(stream), receiver, stream, frames };
}

const captured: CapturedMember = {
  sections: [
    { member: 'm', name: 's', kind: 'state', version: 1, encoding: 'graph-1', buffers: [0], chunks: [some(10), some(0), some(70_000)] },
  ],
  buffers: [
    { member: 'm', kind: 'ArrayBuffer', chunks: [some(3 * PIECE_BYTES + 5)] },
    ...Array.from({ length: 500 }, () => ({ member: 'm', kind: 'SharedArrayBuffer' as const, chunks: [some(33)] })),
  ],
  stateBytes: 5,
  dirtyBytes: 4,
};

it('a captured member comes as it was, not before it is to, and tells when all of it is there', async () => {
  const { sender, receiver } = ends();
  const outline = structuredClone(outlineOf(captured));
  const there = memberOf(outline, new Staging());
  const delivery = sender.send(bytesOf(captured), false);
  let before = true;
  const filled = new Promise<void>((resolve) =>
    receiver.expect(delivery, bytesOf(there), {
      kept: false,
      filled: () => {
        expect(before).toBe(false);
        resolve();
      },
    }),
  );
  await new Promise<void>((resolve) => sender.whenIdle(resolve));
  await new Promise((resolve) => setTimeout(resolve, 20));
  before = false;
  sender.begin();
  await filled;
  expect(there).toMatchObject({ stateBytes: 5, dirtyBytes: 4, sections: [{ encoding: 'graph-1', buffers: [0] }] });
  expect(Buffer.concat(bytesOf(there)).equals(Buffer.concat(bytesOf(captured)))).toBe(true);
});

it('the same memory serves the next capture once it is given back', () => {
  const staging = new Staging();
  const memories = (): Set<ArrayBufferLike> => new Set(bytesOf(memberOf(outlineOf(captured), staging)).map(({ buffer }) => buffer));
  const first = memories();
  staging.reset();
  expect([...memories()].every((memory) => first.has(memory))).toBe(true);
});

it('what is written while a delivery is under way waits behind one piece at most', async () => {
  const { sender, receiver, stream, frames } = ends();
  const large = [new Uint8Array(new SharedArrayBuffer(40 * PIECE_BYTES)).fill(3)];
  const target = [new Uint8Array(40 * PIECE_BYTES)];
  let before = 0;
  const filled = new Promise<void>((resolve) => receiver.expect(sender.send(large, true), target, { kept: true, filled: resolve }));
  while (target[0]?.[10 * PIECE_BYTES] !== 3) await new Promise((resolve) => setImmediate(resolve));
  stream.write(Buffer.concat(encodeFrame(connect(5))));
  while (frames.length === 0) await new Promise((resolve) => setImmediate(resolve));
  before = (target[0]?.indexOf(0) ?? 0) / PIECE_BYTES;
  await filled;
  expect(before).toBeLessThan(14);
  expect(target[0]?.every((byte) => byte === 3)).toBe(true);
});

it('a delivery that is dropped, or that another takes the place of, is not gone on with; one that is kept is', async () => {
  const { sender, receiver } = ends();
  const pieces = 20;
  const targets = [0, 1, 2].map(() => [new Uint8Array(pieces * PIECE_BYTES)]);
  const told: number[] = [];
  const begin = (index: number, kept: boolean): Promise<void> =>
    new Promise((resolve) => {
      const delivery = sender.send([new Uint8Array(pieces * PIECE_BYTES).fill(index + 1)], kept);
      receiver.expect(delivery, targets[index] ?? [], {
        kept,
        filled: () => {
          told.push(index);
          resolve();
        },
      });
    });
  const kept = begin(0, true);
  void begin(1, false);
  const last = begin(2, false);
  sender.begin();
  await Promise.all([kept, last, new Promise<void>((resolve) => sender.whenIdle(resolve))]);
  expect(told).toEqual([0, 2]);
  expect(targets[1]?.[0]?.includes(2)).toBe(false);
  void begin(1, false);
  sender.begin();
  sender.drop();
  receiver.drop();
  await new Promise<void>((resolve) => sender.whenIdle(resolve));
  expect(told).toEqual([0, 2]);
});

it('a delivery without bytes is there at once', () => {
  const { sender, receiver } = ends();
  let filled = false;
  receiver.expect(sender.send([new Uint8Array()], true), [new Uint8Array()], { kept: true, filled: () => (filled = true) });
  expect(filled).toBe(true);
});

it('a welcome brings back memory of the kind it was', async () => {
  const { sender, receiver } = ends();
  const common = { member: 'm', extents: [] };
  const manifest = {
    image: { id: 'i', epoch: 1, generation: 1 },
    sections: [{ ...common, name: 's', kind: 'state', version: 1, encoding: 'graph-1', buffers: [0, 1, 2], length: 5 }],
    buffers: [
      { ...common, kind: 'ArrayBuffer' as const, length: 9 },
      { ...common, kind: 'ArrayBuffer' as const, length: 8, maxLength: 64 },
      { ...common, kind: 'SharedArrayBuffer' as const, length: 7 },
    ],
  };
  const part = { manifest, sections: [some(5)], buffers: [some(9).buffer, resizable(some(8)), shared(some(7))] };
  const { outline, bytes } = outlineOfWelcome({ name: 'm', source: { part, finished: false } } as never); // of the rest nothing is looked at
  const there = welcomeOf(structuredClone(outline));
  const delivery = sender.send(bytes, true);
  await new Promise<void>((filled) => receiver.expect(delivery, there.bytes, { kept: true, filled }));
  const got = there.welcome.source?.part;
  expect(got?.sections).toEqual(part.sections);
  expect(got?.buffers.map((memory) => [memory.constructor.name, [...new Uint8Array(memory)]])).toEqual(
    part.buffers.map((memory) => [memory.constructor.name, [...new Uint8Array(memory)]]),
  );
  expect(got?.buffers[1]).toHaveProperty('maxByteLength', 64);
});

function resizable(bytes: Uint8Array): ArrayBuffer {
  const memory = new (ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer)(bytes.length, { maxByteLength: 64 }); // newer than the types
  new Uint8Array(memory).set(bytes);
  return memory;
}

function shared(bytes: Uint8Array): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(bytes.length);
  new Uint8Array(memory).set(bytes);
  return memory;
}
