/**
 * Requests and replies on one end of a channel: those it has made, and those it was asked.
 *
 * Invariants
 * 1. A request is handed out once over all lives, and answered once. It stays in the image of who asks until the caller has
 *    gone on with the reply; with each new connection it is posted again. They are numbered and posted in order, so that who
 *    is asked knows by the highest number which it has had already, long answered ones included.
 * 2. A caller that asks the same again after a restart is the caller of the request in the image: it gets that reply.
 * 3. A reply that nobody waits for is told, and dropped.
 * 4. At most WINDOW requests without a reply are with the peer; the others wait here, in order.
 */
import { isDeepStrictEqual } from 'node:util';
import { CheckpointError } from '../base/errors.js';
import { newId } from '../base/ids.js';
import type { ChannelHooks } from './channel-hooks.js';

/** A request as the one who is asked gets it: plain data, so that it can be part of the state while it is worked on. */
export interface ChannelRequest<T = unknown> {
  /** By which it is answered; says nothing else. */
  readonly id: string;
  readonly value: T;
}

export type Reply = { readonly value: unknown } | { readonly refused: string };

export type RequestMessage = readonly ['request', ChannelRequest] | readonly ['reply', string, Reply];

/** What an image holds of them. */
export interface RequestsRecord {
  /** Tells the ids of this end from those of one that had its name before. */
  readonly life: string;
  readonly made: number;
  readonly asked: readonly (ChannelRequest & { readonly reply?: Reply })[];
  readonly waiting: readonly ChannelRequest[];
  /** Handed out and not answered. */
  readonly owed: readonly string[];
  /** The last that has arrived (invariant 1). */
  readonly last: string | undefined;
  /** Not posted yet. */
  readonly replies: readonly (readonly [id: string, reply: Reply])[];
}

interface Asked extends ChannelRequest {
  reply: Reply | undefined;
  posted: boolean;
  caller: { readonly task: string; readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void } | undefined;
}

export interface RequestsParts {
  readonly channel: string;
  readonly peer: string;
  readonly hooks: ChannelHooks;
  /** False while nothing can be posted. */
  readonly canPost: () => boolean;
  readonly post: (message: RequestMessage) => void;
  readonly peerGone: () => boolean;
}

const WINDOW = 64;

export class Requests {
  readonly #parts: RequestsParts;
  readonly #life: string;
  #made: number;
  readonly #asked = new Map<string, Asked>();
  readonly #waiting: ChannelRequest[];
  readonly #handed = new Set<ChannelRequest>();
  readonly #receivers: { readonly task: string; readonly resolve: (request: ChannelRequest) => void }[] = [];
  readonly #owed: Set<string>;
  #last: string | undefined;
  readonly #replies: (readonly [id: string, reply: Reply])[];

  constructor(record: RequestsRecord | undefined, parts: RequestsParts) {
    this.#parts = parts;
    this.#life = record?.life ?? newId();
    this.#made = record?.made ?? 0;
    for (const asked of record?.asked ?? []) this.#asked.set(asked.id, { reply: undefined, ...asked, posted: false, caller: undefined });
    this.#waiting = [...(record?.waiting ?? [])];
    this.#owed = new Set(record?.owed);
    this.#last = record?.last;
    this.#replies = [...(record?.replies ?? [])];
  }

  async ask(value: unknown, transfer: readonly ArrayBuffer[]): Promise<unknown> {
    const { hooks } = this.#parts;
    hooks.assertOpen(`request() on channel '${this.#parts.channel}'`);
    const task = hooks.task();
    const asked = this.#adopt(value, transfer) ?? this.#make(value, transfer);
    const replied = new Promise<unknown>((resolve, reject) => {
      asked.caller = { task, resolve, reject };
    });
    hooks.receiving(1);
    this.flush();
    queueMicrotask(() => this.#deliver(asked)); // so that safe(request()) stands before it is answered
    return await hooks.during(replied);
  }

  async next(): Promise<ChannelRequest> {
    const { hooks } = this.#parts;
    hooks.assertOpen(`requests() of channel '${this.#parts.channel}'`);
    const received = new Promise<ChannelRequest>((resolve) => {
      this.#receivers.push({ task: hooks.task(), resolve });
    });
    hooks.receiving(1);
    queueMicrotask(() => this.#handOut());
    return await hooks.during(received);
  }

  /** @throws CheckpointError ERR_CKPT_PHASE for one that is answered already, or was not handed out */
  answer(id: string, reply: Reply, transfer: readonly ArrayBuffer[] = []): void {
    const { channel, peer, hooks } = this.#parts;
    hooks.assertOpen(`reply() on channel '${channel}'`);
    if (!this.#owed.delete(id)) throw notOwed(channel, id);
    if (this.#parts.peerGone()) hooks.report(nobodyWaits(channel, id, peer));
    else this.#replies.push([id, structuredClone(reply, { transfer: [...transfer] })]);
    this.flush();
  }

  arrived(message: RequestMessage): void {
    if (message[0] === 'request') {
      const [, request] = message;
      if (this.#last !== undefined && !comesAfter(request.id, this.#last)) return;
      this.#last = request.id;
      this.#waiting.push(request);
      this.#handOut();
      return;
    }
    const [, id, reply] = message;
    const asked = this.#asked.get(id);
    if (asked === undefined) {
      this.#parts.hooks.report(nobodyWaits(this.#parts.channel, id, 'this member'));
      return;
    }
    asked.reply = reply;
    this.#deliver(asked);
    this.flush();
  }

  /** The next peer, or the same after a restart, is asked again (invariant 1). */
  disconnected(): void {
    for (const asked of this.#asked.values()) asked.posted = false;
  }

  flush(): void {
    if (!this.#parts.canPost()) return;
    for (const [id, reply] of this.#replies.splice(0)) this.#parts.post(['reply', id, reply]);
    let open = [...this.#asked.values()].filter(({ posted, reply }) => posted && reply === undefined).length;
    for (const asked of this.#asked.values()) {
      if (asked.posted || asked.reply !== undefined) continue;
      if (++open > WINDOW) return;
      asked.posted = true;
      this.#parts.post(['request', { id: asked.id, value: asked.value }]);
    }
  }

  /** This member is done: whatever it has asked concerns nobody any more. */
  end(): void {
    for (const { id } of this.#asked.values()) this.#parts.hooks.report(nobodyWaits(this.#parts.channel, id, 'this member'));
    this.#asked.clear();
  }

  /** Undefined where there has never been any. */
  record(): RequestsRecord | undefined {
    if (this.#made === 0 && this.#last === undefined) return undefined;
    return {
      life: this.#life,
      made: this.#made,
      asked: [...this.#asked.values()].map(({ id, value, reply }) => ({ id, value, ...(reply === undefined ? {} : { reply }) })),
      waiting: [...this.#handed, ...this.#waiting],
      owed: [...this.#owed],
      last: this.#last,
      replies: [...this.#replies],
    };
  }

  #make(value: unknown, transfer: readonly ArrayBuffer[]): Asked {
    const own = structuredClone(value, { transfer: [...transfer] });
    const id = `${this.#life}-${++this.#made}`;
    const asked: Asked = { id, value: own, reply: undefined, posted: false, caller: undefined };
    this.#asked.set(id, asked);
    return asked;
  }

  /** Invariant 2. */
  #adopt(value: unknown, transfer: readonly ArrayBuffer[]): Asked | undefined {
    const found = [...this.#asked.values()].find((asked) => asked.caller === undefined && isDeepStrictEqual(asked.value, value));
    if (found !== undefined) structuredClone(undefined, { transfer: [...transfer] }); // the caller has them no more, either way
    return found;
  }

  #deliver(asked: Asked): void {
    const { reply, caller } = asked;
    if (reply === undefined || caller === undefined) return;
    const { channel, peer, hooks } = this.#parts;
    hooks.receiving(-1);
    hooks.whenGoingOn(caller.task, () => this.#asked.delete(asked.id));
    if ('value' in reply) caller.resolve(reply.value);
    else caller.reject(refused(channel, peer, reply.refused));
  }

  #handOut(): void {
    while (this.#waiting.length > 0) {
      const receiver = this.#receivers.shift();
      if (receiver === undefined) return;
      const request = this.#waiting.shift();
      if (request === undefined) return;
      this.#handed.add(request);
      this.#parts.hooks.receiving(-1);
      this.#parts.hooks.whenGoingOn(receiver.task, () => {
        this.#handed.delete(request);
        this.#owed.add(request.id);
      });
      receiver.resolve(request);
    }
  }
}

/** Ids of another life come from a peer that has begun anew. */
function comesAfter(id: string, last: string): boolean {
  const [life, number] = id.split('-');
  const [lastLife, lastNumber] = last.split('-');
  return life !== lastLife || Number(number) > Number(lastNumber);
}

function nobodyWaits(channel: string, id: string, who: string): string {
  return `channel '${channel}': request ${id} is answered, or will not be asked again, and ${who} waits for no reply to it any more; the reply is dropped`;
}

function notOwed(channel: string, id: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_PHASE',
    `reply('${id}') on channel '${channel}': expected the id of a request that requests() has handed out and that has no reply yet; answer each once`,
    { phase: 'request' },
  );
}

function refused(channel: string, peer: string, why: string): CheckpointError {
  return new CheckpointError('ERR_CKPT_MEMBER', `request() on channel '${channel}': '${peer}' has refused it: ${why}`, {
    member: peer,
    phase: 'request',
  });
}
