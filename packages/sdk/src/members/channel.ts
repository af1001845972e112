/**
 * One end of a channel between two members.
 *
 * Invariants
 * 1. Messages arrive in the order in which they were sent, each once.
 * 2. A message stays in the inbox until the program *goes on* with it. Handing it to a caller that stands at a safepoint
 *    does not take it out, so that a capture at that moment still holds it.
 * 3. What cannot be posted yet (no peer, or the set stands) is a copy in the outbox, made when it was sent.
 * 4. Inbox and outbox together are all that is undelivered; a capture takes both.
 * 5. Messages are handed over a microtask after receive(), so that `safe(receive())` stands before it is handed one.
 * 6. Nobody waits for room at a peer that is gone: what is sent to it is received by nobody, until another is declared under its name.
 */
import { type MessagePort, receiveMessageOnPort, type Transferable } from 'node:worker_threads';
import type { ChannelHooks } from './channel-hooks.js';
import { type ChannelRequest, type RequestMessage, Requests, type RequestsRecord } from './requests.js';

/** An ordered stream of messages between two members, captured in flight; requests and their replies beside it. */
export interface Channel<T = unknown, R = unknown> extends AsyncIterable<T> {
  readonly name: string;
  /** The member at the other end; the program itself is `main`. */
  readonly peer: string;
  /**
   * Sends a value (structured clone). Returns a promise under back pressure: await it before you send more.
   * @param transfer buffers to hand over instead of copying them
   * @throws CheckpointError ERR_CKPT_PHASE in a member after finish(), ERR_CKPT_CLOSED, ERR_CKPT_FENCED
   */
  send(value: T, transfer?: readonly ArrayBuffer[]): Promise<void> | undefined;
  /** The next message. Await it where you call it; `safe(receive())` lets checkpoints happen meanwhile. */
  receive(): Promise<T>;
  /**
   * Asks the peer and resolves with its reply. Use `safe(request(value))`: after a restart the program asks the same again, and
   * gets the reply to the request that is on its way.
   * @param transfer buffers to hand over instead of copying them
   * @throws CheckpointError ERR_CKPT_MEMBER when the peer refuses it, and as receive()
   */
  request(value: T, transfer?: readonly ArrayBuffer[]): Promise<R>;
  /** What the peer asks, in order, each once over all lives. Each turn is a safepoint. */
  requests(): AsyncIterable<ChannelRequest<T>>;
  /**
   * Answers a request, at any time after it was handed out, in this life or another.
   * @param transfer buffers to hand over instead of copying them
   * @throws CheckpointError ERR_CKPT_PHASE the second time
   */
  reply(id: string, value: R, transfer?: readonly ArrayBuffer[]): void;
  /** Answers that there will be no reply: the request is rejected. @throws CheckpointError ERR_CKPT_PHASE as reply() */
  refuse(id: string, why: string): void;
}

/** What an image holds of one end. */
export interface ChannelRecord {
  readonly name: string;
  readonly peer: string;
  readonly inbox: readonly unknown[];
  readonly outbox: readonly unknown[];
  readonly requests?: RequestsRecord;
}

export type ChannelMessage = readonly ['value', unknown] | readonly ['taken', number] | RequestMessage;

/** Messages under way, or waiting for the receiver, above which send() asks for patience. */
const WINDOW = 64;

export class ChannelEnd implements Channel {
  readonly name: string;
  readonly peer: string;
  readonly #hooks: ChannelHooks;
  readonly #inbox: unknown[];
  /** Handed out, in this order, but the program has not gone on with them. */
  readonly #handed = new Set<{ readonly value: unknown }>();
  readonly #outbox: unknown[];
  readonly #receivers: { readonly task: string; readonly resolve: (value: unknown) => void }[] = [];
  #roomy: (() => void)[] = [];
  #port: MessagePort | undefined;
  #held = false;
  #requests: Requests;
  #peerGone = false;
  /** All that was posted, which a drain waits for; of these, the messages. */
  #sent = 0;
  #messages = 0;
  #received = 0;
  #taken = 0;

  constructor(record: ChannelRecord, hooks: ChannelHooks) {
    this.name = record.name;
    this.peer = record.peer;
    this.#inbox = [...record.inbox];
    this.#outbox = [...record.outbox];
    this.#hooks = hooks;
    this.#requests = this.#restoredRequests(record);
  }

  /** Before anything was sent or received: begins from another record of the same channel. */
  replace(record: ChannelRecord): void {
    this.#inbox.splice(0, this.#inbox.length, ...record.inbox);
    this.#outbox.splice(0, this.#outbox.length, ...record.outbox);
    this.#requests = this.#restoredRequests(record);
  }

  #restoredRequests({ name, peer, requests }: ChannelRecord): Requests {
    return new Requests(requests, {
      channel: name,
      peer,
      hooks: this.#hooks,
      canPost: () => this.#port !== undefined && !this.#held,
      post: (message) => this.#post(message),
      peerGone: () => this.#peerGone,
    });
  }

  send(value: unknown, transfer: readonly ArrayBuffer[] = []): Promise<void> | undefined {
    this.#hooks.assertOpen(`send() on channel '${this.name}'`);
    if (this.#port === undefined || this.#held || this.#outbox.length > 0) {
      this.#outbox.push(structuredClone(value, { transfer: [...transfer] }));
    } else {
      this.#postValue(value, transfer);
    }
    if (this.#hasRoom()) return undefined;
    return this.#hooks.during(new Promise<void>((resolve) => this.#roomy.push(resolve)));
  }

  async receive(): Promise<unknown> {
    this.#hooks.assertOpen(`receive() on channel '${this.name}'`);
    const received = new Promise<unknown>((resolve) => {
      this.#receivers.push({ task: this.#hooks.task(), resolve });
    });
    this.#hooks.receiving(1);
    queueMicrotask(() => {
      this.#pull();
      this.#handOut();
    });
    return await this.#hooks.during(received);
  }

  /** Each turn of the loop is a safepoint: state is whole when the next message is waited for. */
  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    return { next: async () => ({ done: false, value: await this.#hooks.safe(this.receive()) }) };
  }

  request(value: unknown, transfer: readonly ArrayBuffer[] = []): Promise<unknown> {
    return this.#requests.ask(value, transfer);
  }

  requests(): AsyncIterable<ChannelRequest> {
    const next = async (): Promise<IteratorResult<ChannelRequest>> => ({
      done: false,
      value: await this.#hooks.safe(this.#requests.next()),
    });
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  reply(id: string, value: unknown, transfer: readonly ArrayBuffer[] = []): void {
    this.#requests.answer(id, { value }, transfer);
  }

  refuse(id: string, why: string): void {
    this.#requests.answer(id, { refused: String(why) });
  }

  /** The member is done. */
  end(): void {
    this.#requests.end();
  }

  /** How much was posted on the present connection. */
  get sent(): number {
    return this.#sent;
  }

  connect(port: MessagePort): void {
    this.disconnect();
    this.#port = port;
    port.on('close', () => {
      if (this.#port !== port) return;
      this.#peerGone = true;
      this.hurry(); // invariant 6
    });
    port.on('message', (message: ChannelMessage) => this.#arrived(message));
    port.unref();
    this.#flush();
  }

  /** What is sent from now on waits for a connection. */
  disconnect(): void {
    this.#pull(); // what one of that name has sent before it ended
    this.close();
    this.#sent = this.#received = this.#messages = this.#taken = this.#takenHere = 0;
    this.#peerGone = false;
    this.#requests.disconnected();
  }

  /** What the peer had not sent when it left: behind all that it has. */
  takeUnsent({ outbox, requests }: ChannelRecord): void {
    this.#pull();
    this.#inbox.push(...outbox);
    for (const [id, reply] of requests?.replies ?? []) this.#requests.arrived(['reply', id, reply]);
    this.#handOut();
  }

  /** From now on nothing is posted. */
  hold(): void {
    this.#held = true;
  }

  goOn(): void {
    this.#held = false;
    this.#flush();
  }

  /** Nobody is to wait for room: a safepoint is wanted. */
  hurry(): void {
    for (const resolve of this.#roomy.splice(0)) resolve();
  }

  /** Takes in what the peer has posted. @returns whether `expected` messages have arrived in all */
  drain(expected: number): boolean {
    this.#pull();
    return this.#received >= expected;
  }

  /** What is undelivered at this moment. */
  record(): ChannelRecord {
    const requests = this.#requests.record();
    return {
      name: this.name,
      peer: this.peer,
      ...(requests === undefined ? {} : { requests }),
      inbox: [...[...this.#handed].map(({ value }) => value), ...this.#inbox],
      outbox: [...this.#outbox],
    };
  }

  close(): void {
    this.#port?.close();
    this.#port = undefined;
  }

  #hasRoom(): boolean {
    return this.#hooks.hurried() || this.#peerGone || this.#messages - this.#taken + this.#outbox.length <= WINDOW;
  }

  #postValue(value: unknown, transfer: readonly Transferable[] = []): void {
    this.#post(['value', value], transfer);
    this.#messages++;
  }

  #post(message: ChannelMessage, transfer: readonly Transferable[] = []): void {
    this.#port?.postMessage(message, [...transfer]);
    this.#sent++;
  }

  #flush(): void {
    if (this.#port === undefined || this.#held) return;
    for (const value of this.#outbox.splice(0)) this.#postValue(value);
    this.#requests.flush();
  }

  #pull(): void {
    if (this.#port === undefined) return;
    for (let next = receiveMessageOnPort(this.#port); next !== undefined; next = receiveMessageOnPort(this.#port)) {
      this.#arrived(next.message as ChannelMessage); // only a ChannelEnd holds the other port
    }
  }

  #arrived(message: ChannelMessage): void {
    if (message[0] === 'taken') {
      this.#taken = message[1];
      if (this.#hasRoom()) this.hurry();
      return;
    }
    this.#received++;
    if (message[0] !== 'value') {
      this.#requests.arrived(message);
      return;
    }
    this.#inbox.push(message[1]);
    this.#handOut();
  }

  #handOut(): void {
    while (this.#inbox.length > 0) {
      const receiver = this.#receivers.shift();
      if (receiver === undefined) return;
      const handed = { value: this.#inbox.shift() };
      this.#handed.add(handed);
      this.#hooks.receiving(-1);
      this.#hooks.whenGoingOn(receiver.task, () => this.#take(handed));
      receiver.resolve(handed.value);
    }
  }

  /** Tasks go on in any order: each takes its own. */
  #take(handed: { readonly value: unknown }): void {
    this.#handed.delete(handed);
    const message: ChannelMessage = ['taken', ++this.#takenHere];
    this.#port?.postMessage(message);
  }

  /** Counts restored messages too, so it may run ahead of what the peer has sent on this connection: that is only more room. */
  #takenHere = 0;
}
