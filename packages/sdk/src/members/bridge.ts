/**
 * Carries what a program and a forked member say to each other over a stream, so that both have message ports as if the
 * member were a thread. One end is in the program, the other in a thread of the member (member-link.ts).
 *
 * Invariants
 * 1. Order is kept on each port; between ports there is none, as between ports of threads.
 * 2. A message that cannot be carried breaks the bridge, loudly; none is left out.
 * 3. Nothing that was posted is sent before forward(): what has to come first, the welcome, is written before.
 * 4. What arrives raises the flag that safepoints poll, and wakes whoever waits without a turn of the event loop.
 */

import type { Duplex } from 'node:stream';
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { messageOf } from '../base/errors.js';
import type { ChannelMessage, ChannelRecord } from './channel.js';
import { encodeFrame, type ForkedWelcome, type Frame, FrameReader, packMessage, unpackMessage } from './frames.js';
import { transferable } from './parts.js';
import { type FromMember, MEMBER_SHARED, slotsOf, stepOf, type ToMember } from './protocol.js';

export interface BridgeParts {
  /** The port whose other end the program, or the member, holds. */
  readonly port: MessagePort;
  readonly stream: Duplex;
  readonly memory: SharedArrayBuffer;
  readonly broken: (why: string, cause: unknown) => void;
  readonly welcome?: (welcome: ForkedWelcome) => void;
  /** Told what arrives on the control port from the other side. */
  readonly arrived?: (message: ToMember | FromMember) => void;
}

export class Bridge {
  readonly #parts: BridgeParts;
  readonly #slots: Int32Array;
  readonly #reader = new FrameReader();
  readonly #ports = new Map<number, MessagePort>();
  #connections = 0;

  constructor(parts: BridgeParts) {
    const { stream } = parts;
    this.#parts = parts;
    this.#slots = slotsOf(parts.memory);
    stream.on('data', (chunk: Uint8Array) => this.#guarded(() => this.#read(chunk)));
    stream.on('error', () => {}); // its end is told by 'close'
  }

  /** Sends what was posted, and what will be. Like every listener it holds the process, unless the port is let go of. */
  forward(): void {
    this.#parts.port.on('message', (message: ToMember | FromMember) => this.#guarded(() => this.#control(message)));
  }

  write(frame: Frame): void {
    if (this.#parts.stream.writable) for (const chunk of encodeFrame(frame)) this.#parts.stream.write(chunk);
  }

  /** Sends what was posted and not seen yet. The stream closes once the other side has read it. */
  end(): void {
    this.#guarded(() => {
      for (const next of posted(this.#parts.port)) this.#control(next as ToMember | FromMember); // nobody else posts there
      for (const [connection, port] of this.#ports) for (const next of posted(port)) this.#channel(connection, next as ChannelMessage);
    });
    this.#parts.stream.end();
  }

  close(): void {
    for (const port of this.#ports.values()) port.close();
    this.#parts.port.close();
    this.#parts.stream.destroy();
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#parts.broken(`what was sent cannot be carried to another process: ${messageOf(error)}`, error);
    }
  }

  #control(message: ToMember | FromMember): void {
    if (message.type === 'connect') {
      const connection = ++this.#connections;
      this.#adopt(connection, message.port);
      this.write({ type: 'connect', connection, key: message.key });
    } else if (message.type === 'finished') {
      this.write({ type: 'finished', message: { ...message, unsent: [] }, unsent: packMessage(message.unsent) });
    } else {
      this.write({ type: 'control', message });
    }
  }

  #channel(connection: number, message: ChannelMessage): void {
    this.write({ type: 'channel', connection, message: packMessage(message) });
  }

  #adopt(connection: number, port: MessagePort): void {
    this.#ports.set(connection, port);
    port.on('message', (message: ChannelMessage) => this.#guarded(() => this.#channel(connection, message)));
    port.on('close', () => this.#ports.delete(connection));
    port.unref();
  }

  #read(chunk: Uint8Array): void {
    for (const frame of this.#reader.push(chunk)) this.#take(frame);
    Atomics.store(this.#slots, MEMBER_SHARED.ATTENTION, 1);
    Atomics.add(this.#slots, MEMBER_SHARED.MESSAGES, 1);
    Atomics.notify(this.#slots, MEMBER_SHARED.MESSAGES);
  }

  #take(frame: Frame): void {
    const { port } = this.#parts;
    switch (frame.type) {
      case 'welcome':
        this.#parts.welcome?.(frame.welcome);
        return;
      case 'control':
        this.#parts.arrived?.(frame.message);
        port.postMessage(frame.message, frame.message.type === 'captured' ? transferable(frame.message.captured) : []);
        return;
      case 'finished':
        // packMessage was given records of channels
        port.postMessage(
          { ...frame.message, unsent: unpackMessage(frame.unsent) as ChannelRecord[] },
          transferable(frame.message.captured),
        );
        return;
      case 'connect': {
        const { port1, port2 } = new MessageChannel();
        this.#adopt(frame.connection, port1);
        port.postMessage({ type: 'connect', key: frame.key, port: port2 }, [port2]);
        return;
      }
      case 'channel':
        this.#ports.get(frame.connection)?.postMessage(unpackMessage(frame.message));
        return;
      case 'seen':
        stepOf(this.#parts.memory)[0] = frame.step;
        Atomics.store(this.#slots, MEMBER_SHARED.RECEIVING, frame.receiving);
    }
  }
}

function* posted(port: MessagePort): Generator<unknown> {
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) yield next.message;
}
