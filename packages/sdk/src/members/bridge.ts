/**
 * Carries what a program and a forked member say to each other over a stream, so that both have message ports as if the
 * member were a thread. One end is in the program, the other in a thread of the member (member-link.ts).
 *
 * Invariants
 * 1. Order is kept on each port; between ports there is none, as between ports of threads.
 * 2. A message that cannot be carried breaks the bridge, loudly; none is left out.
 * 3. Nothing that was posted is sent before forward(): what has to come first, the welcome, is written before.
 * 4. What arrives raises the flag that safepoints poll, and wakes whoever waits without a turn of the event loop.
 * 5. Of state that a message holds, only an outline goes with it: the bytes follow in pieces, between which everything else goes
 *    on. `captured` and `finished` are handed on at once, `delivered` when the bytes are there; the welcome only then.
 * 6. What a member has captured is sent from `deliver` until `recycle` goes by, from which on nobody wants it; what it has finished with is sent
 *    to the end, before the stream ends.
 */

import type { Duplex } from 'node:stream';
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { packError } from '../base/error-transfer.js';
import { CheckpointError, messageOf } from '../base/errors.js';
import { Staging } from '../base/staging.js';
import type { ChannelMessage, ChannelRecord } from './channel.js';
import { DeliveryReceiver, DeliverySender } from './delivery.js';
import { encodeFrame, type Frame, FrameReader, packMessage, unpackMessage } from './frames.js';
import { bytesOf, type ForkedWelcome, memberOf, type OutlinedMember, outlineOf, outlineOfWelcome, welcomeOf } from './outline.js';
import { type CapturedMember, type Delivered, type FromMember, MEMBER_SHARED, slotsOf, stepOf, type ToMember } from './protocol.js';

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
  readonly #reader = new FrameReader({
    frame: (frame) => this.#take(frame),
    piece: (delivery, bytes) => this.#receiver.take(delivery, bytes),
  });
  readonly #sender: DeliverySender;
  readonly #receiver = new DeliveryReceiver();
  /** What a member has captured comes here, until `recycle`: new memory each time would pile up until it is collected. */
  readonly #staging = new Staging();
  readonly #ports = new Map<number, MessagePort>();
  #connections = 0;

  constructor(parts: BridgeParts) {
    const { stream } = parts;
    this.#parts = parts;
    this.#sender = new DeliverySender(stream);
    this.#slots = slotsOf(parts.memory);
    stream.on('data', (chunk: Uint8Array) => this.#guarded(() => this.#read(chunk)));
    stream.on('error', () => {}); // its end is told by 'close'
  }

  /** Sends what was posted, and what will be. Like every listener it holds the process, unless the port is let go of. */
  forward(): void {
    this.#parts.port.on('message', (message: ToMember | FromMember) => this.#guarded(() => this.#control(message)));
  }

  /** The rest of it follows in pieces. */
  welcome(welcome: ForkedWelcome): void {
    const { outline, bytes } = outlineOfWelcome(welcome);
    this.write({ type: 'welcome', welcome: outline, delivery: this.#sender.send(bytes, true) });
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
    this.#sender.whenIdle(() => this.#parts.stream.end());
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
    switch (message.type) {
      case 'connect': {
        const connection = ++this.#connections;
        this.#adopt(connection, message.port);
        this.write({ type: 'connect', connection, key: message.key });
        return;
      }
      case 'captured': {
        const { captured, round } = message;
        const delivery = this.#sender.send(bytesOf(captured), false);
        this.write({ type: 'captured', round, outline: outlineOf(captured), delivery });
        return;
      }
      case 'finished': {
        const { captured, unsent, ...rest } = message;
        const delivery = this.#sender.send(bytesOf(captured), true);
        this.write({ type: 'finished', message: rest, outline: outlineOf(captured), delivery, unsent: packMessage(unsent) });
        return;
      }
      case 'recycle':
        this.#receiver.drop();
        this.#staging.reset();
        this.write({ type: 'control', message });
        return;
      default:
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
    this.#reader.push(chunk);
    Atomics.store(this.#slots, MEMBER_SHARED.ATTENTION, 1);
    Atomics.add(this.#slots, MEMBER_SHARED.MESSAGES, 1);
    Atomics.notify(this.#slots, MEMBER_SHARED.MESSAGES);
  }

  #take(frame: Frame): void {
    const { port } = this.#parts;
    switch (frame.type) {
      case 'welcome':
        this.#takeWelcome(frame);
        return;
      case 'control':
        if (frame.message.type === 'deliver') {
          this.#sender.begin();
          return;
        }
        if (frame.message.type === 'recycle') this.#sender.drop();
        this.#parts.arrived?.(frame.message);
        port.postMessage(frame.message);
        return;
      case 'captured':
        this.#takeCaptured(frame);
        return;
      case 'finished':
        this.#takeState(frame, true, (captured, delivery) => {
          const unsent = unpackMessage(frame.unsent) as ChannelRecord[]; // packMessage was given records of channels
          port.postMessage({ ...frame.message, captured, delivery, unsent });
        });
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

  #takeWelcome({ welcome: outline, delivery }: Extract<Frame, { type: 'welcome' }>): void {
    try {
      const { welcome, bytes } = welcomeOf(outline);
      this.#receiver.expect(delivery, bytes, { kept: true, filled: () => this.#parts.welcome?.(welcome) });
    } catch (error) {
      this.write({ type: 'control', message: { type: 'failed-start', error: packError(error) } });
    }
  }

  /** Without memory for it, this checkpoint fails and the member goes on. */
  #takeCaptured(frame: Extract<Frame, { type: 'captured' }>): void {
    const { port } = this.#parts;
    const { round } = frame;
    try {
      this.#takeState(frame, false, (captured, delivery) => port.postMessage({ type: 'captured', round, captured, delivery }));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const message = `capture: not enough memory for the state of a forked member: ${error.message}; nothing was written`;
      const failure = new CheckpointError('ERR_CKPT_MEMORY', message, { phase: 'capture', cause: error });
      port.postMessage({ type: 'failed', round, error: packError(failure) });
    }
  }

  /** Invariant 5. */
  #takeState(
    { outline, delivery }: { readonly outline: OutlinedMember; readonly delivery: number },
    kept: boolean,
    tell: (captured: CapturedMember, delivery: number) => void,
  ): void {
    const captured = memberOf(outline, kept ? new Staging() : this.#staging);
    tell(captured, delivery);
    this.#receiver.expect(delivery, bytesOf(captured), {
      kept,
      filled: () => this.#parts.port.postMessage({ type: 'delivered', delivery } satisfies Delivered),
    });
  }
}

function* posted(port: MessagePort): Generator<unknown> {
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) yield next.message;
}
