/**
 * One member as the program sees it: its thread or process, its stage, and where it stands in the present round.
 *
 *   declared → launched → started → running → finished | left | dead
 *
 * Invariants
 * 1. `finished` keeps the last capture: it goes into every later image. `left` means exit code 0 without finish().
 *    A process has not finished for good before all of that capture has come over: until then it can die.
 * 2. A dead member stays in the set, so that no image is written without it, until it is replaced or dismissed.
 * 3. What a member had said before it died is taken first; what comes after its end changes nothing.
 * 4. Nobody comes back from `left` or `dead`: another member takes the name.
 * 5. Control messages never keep the program alive; a running thread or process does.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { unpackError } from '../base/error-transfer.js';
import { CheckpointError } from '../base/errors.js';
import type { Place } from '../base/place.js';
import { type Carrier, type CarrierEvents, type Greeting, launch, type MemberEntry } from './carrier.js';
import type { ChannelMessage, ChannelRecord } from './channel.js';
import { channelKey } from './channel-table.js';
import { DeliveriesAwaited } from './deliveries-awaited.js';
import {
  type CapturedMember,
  type Counts,
  type Delivered,
  type FromMember,
  MEMBER_SHARED,
  memberMemory,
  NO_STEP,
  slotsOf,
  stepOf,
  type ToMember,
} from './protocol.js';

export type Stage = 'declared' | 'launched' | 'started' | 'running' | 'finished' | 'left' | 'dead';

/** What a program holds of a member. */
export interface MemberHandle {
  readonly name: string;
  /** Of a forked process; undefined for a thread, and before start(). */
  readonly pid: number | undefined;
  /**
   * Resolves when the member has called finish() and its state is here, or has ended with exit code 0; rejects with ERR_CKPT_MEMBER
   * when it died.
   */
  readonly done: Promise<void>;
  /** Ends the thread or process at once. The member has left the set: later images are written without it. */
  terminate(): Promise<void>;
}

interface Settle {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface Arrival {
  readonly step: number | undefined;
  readonly place: string;
}

export interface ParticipantEvents {
  readonly message: (participant: Participant, message: FromMember) => void;
  readonly ended: (participant: Participant) => void;
  readonly forked: CarrierEvents['forked'];
}

export class Participant implements MemberHandle {
  readonly name: string;
  /** Can be replaced until it is launched. */
  entry: MemberEntry;
  /** Where it was declared. */
  readonly place: Place;
  /** The member that declared it; undefined for one of the program. */
  readonly parent: string | undefined;
  readonly done: Promise<void>;
  stage: Stage = 'declared';
  /** Where it stands in the present round. */
  arrival: Arrival | undefined;
  lastPlace: string | undefined;
  /** Which of its tasks do not stand, where some do. */
  partly: string | undefined;
  /** When it was last asked to come to a safepoint, on the monotonic clock. */
  askedAt = 0;
  final: { captured: CapturedMember; sent: Counts; readonly unsent: ChannelRecord[] } | undefined;
  /** Why it is dead, or why its start failed. */
  failure: CheckpointError | undefined;
  readonly #events: ParticipantEvents;
  readonly memory: SharedArrayBuffer = memberMemory();
  readonly #shared: Int32Array = slotsOf(this.memory);
  readonly #step: Float64Array = stepOf(this.memory);
  #carrier: Carrier | undefined;
  #port: MessagePort | undefined;
  readonly #deliveries = new DeliveriesAwaited();
  readonly #settle: Settle;

  constructor(
    name: string,
    entry: MemberEntry,
    { place, parent }: { readonly place: Place; readonly parent?: string },
    events: ParticipantEvents,
  ) {
    this.name = name;
    this.entry = entry;
    this.place = place;
    this.parent = parent;
    this.#events = events;
    let settle: Settle = { resolve: () => {}, reject: () => {} };
    this.done = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    this.#settle = settle;
    this.done.catch(() => {}); // the set tells of it in any case
  }

  get pid(): number | undefined {
    return this.#carrier?.pid;
  }

  get descriptors(): readonly number[] {
    return this.#carrier?.descriptors() ?? [];
  }

  /** The step of its last safepoint, which it has not stopped at unless it has arrived. */
  get passedStep(): number {
    return this.#step[0] ?? NO_STEP;
  }

  /** Its thread runs and is asked in a round. */
  get live(): boolean {
    return this.stage === 'launched' || this.stage === 'started' || this.stage === 'running';
  }

  launch(greeting: Greeting): void {
    const { port1, port2 } = new MessageChannel();
    this.stage = 'launched';
    this.#port = port1;
    port1.on('message', (message: FromMember | Delivered) => this.#take(message));
    port1.unref();
    this.#carrier = launch({
      name: this.name,
      entry: this.entry,
      port: port2,
      memory: this.memory,
      greeting,
      events: {
        failed: (why, cause) => {
          this.#takeLast();
          this.#died(why, cause);
        },
        exited: (why) => this.#exited(why),
        forked: this.#events.forked,
      },
    });
  }

  post(message: ToMember, transfer: readonly MessagePort[] = []): void {
    if (this.#port === undefined || this.stage === 'left' || this.stage === 'dead') return;
    if (message.type === 'recycle') this.#deliveries.drop();
    this.#port.postMessage(message, [...transfer]);
    Atomics.store(this.#shared, MEMBER_SHARED.ATTENTION, 1);
    Atomics.add(this.#shared, MEMBER_SHARED.MESSAGES, 1);
    Atomics.notify(this.#shared, MEMBER_SHARED.MESSAGES);
  }

  /** Its end of a channel; what it has left unsent is sent by the program once it has finished. */
  connect(key: string, port: MessagePort): void {
    const { final } = this;
    if (final === undefined) {
      this.post({ type: 'connect', key, port }, [port]);
      return;
    }
    const at = final.unsent.findIndex(({ name, peer }) => channelKey(name, this.name, peer) === key);
    const record = at < 0 ? undefined : final.unsent.splice(at, 1)[0];
    const messages: ChannelMessage[] = [
      ...(record?.outbox ?? []).map((value) => ['value', value] as const),
      ...(record?.requests?.replies ?? []).map(([id, reply]) => ['reply', id, reply] as const),
    ];
    for (const message of messages) port.postMessage(message);
    final.sent = [...final.sent.filter(([sentKey]) => sentKey !== key), [key, messages.length]];
    port.unref();
  }

  /** The run is over, and with it this member. */
  stayFinished(): void {
    this.stage = 'finished';
    this.#settle.resolve();
  }

  async terminate(): Promise<void> {
    if (this.stage === 'dead')
      this.stage = 'left'; // dismissed
    else if (!this.#finishedForGood) this.#end('left');
    await this.#carrier?.terminate();
  }

  /** What it was last known to do, for the report on why nothing happens. */
  describe(): string {
    if (this.stage === 'launched') return 'it has not called start(); does its program call joinCheckpointer()?';
    const step = this.passedStep;
    const receiving = Atomics.load(this.#shared, MEMBER_SHARED.RECEIVING) > 0 ? ', waiting in receive()' : '';
    const at = this.lastPlace === undefined ? 'no safepoint of it was seen yet' : `last seen at ${this.lastPlace}`;
    return `${this.partly ?? at}${step === NO_STEP ? '' : `, step ${step}`}${receiving}`;
  }

  #take(message: FromMember | Delivered): void {
    if (this.stage === 'left' || this.stage === 'dead') return; // invariant 4
    if (message.type === 'failed-start') {
      const error = unpackError(message.error);
      this.#died(error.message, error);
      void this.#carrier?.terminate();
      return;
    }
    if (message.type === 'delivered') this.#deliveries.came(message.delivery);
    else this.#events.message(this, this.#withDelivery(message));
  }

  #withDelivery(message: FromMember): FromMember {
    if (message.type === 'captured') return { ...message, captured: this.#deliveries.of(message, false) };
    if (message.type === 'finished') this.#finish(message);
    return message;
  }

  /** It stands for ever; invariant 1. */
  #finish(message: Extract<FromMember, { type: 'finished' }>): void {
    const { captured, sent, unsent } = message;
    this.final = { captured: this.#deliveries.of(message, true), sent, unsent: [...unsent] };
    this.stage = 'finished';
    const forGood = (): void => {
      if (this.final !== undefined) this.final.captured = captured;
      this.#settle.resolve();
    };
    const { delivered } = this.final.captured;
    if (delivered === undefined) forGood();
    else delivered.then(forGood, () => {}); // that it died is told by its end
  }

  /** Whether it still sends what it has captured. */
  get incoming(): boolean {
    return this.#deliveries.any;
  }

  get #finishedForGood(): boolean {
    return this.stage === 'finished' && this.final?.captured.delivered === undefined;
  }

  #died(why: string, cause: unknown): void {
    if (this.stage === 'left' || this.stage === 'dead' || this.#finishedForGood) return;
    this.failure = new CheckpointError(
      'ERR_CKPT_MEMBER',
      `member '${this.name}' ended without finish(): ${why}; declare it anew, or dismiss it with terminate(), to go on with checkpoints`,
      { member: this.name, cause },
    );
    this.#end('dead', this.failure);
  }

  #exited(why: string | undefined): void {
    this.#takeLast();
    if (why !== undefined) this.#died(why, undefined);
    else if (this.stage === 'finished') this.#died('its state did not come over', undefined);
    else if (this.live) this.#end('left');
    this.#port?.close();
  }

  /** What it posted last may not have been read yet. */
  #takeLast(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) this.#take(next.message as FromMember | Delivered); // only the member holds the other end
  }

  #next(): { readonly message: unknown } | undefined {
    return this.#port === undefined ? undefined : receiveMessageOnPort(this.#port);
  }

  #end(stage: 'left' | 'dead', error?: CheckpointError): void {
    if (this.stage === 'left' || this.stage === 'dead') return;
    this.stage = stage;
    this.final = undefined;
    this.#deliveries.end(error ?? notDelivered(this.name));
    if (error === undefined) this.#settle.resolve();
    else this.#settle.reject(error);
    this.#events.ended(this);
  }
}

function notDelivered(member: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_MEMBER',
    `checkpoint: member '${member}' was ended before all of its state had come over; the next checkpoint goes without it`,
    { member, phase: 'capture' },
  );
}
