/**
 * The undelivered messages of an image, and the ends of channels that hold them once a rescale hook has spoken.
 *
 * Invariants
 * 1. Each message and request has one id, and is either placed or dropped.
 * 2. A placed message is in the inbox of its receiver; it is delivered whether or not its sender opens the channel.
 * 3. Requests keep their ends: what the two members have counted of each other goes on.
 * 4. A member that goes on with its own state may still answer whatever it was asked: what it owes stays.
 */
import type { ChannelRecord } from '../members/channel.js';
import { PROGRAM } from '../members/protocol.js';
import type { RequestsRecord } from '../members/requests.js';
import type { Rescaled, UndeliveredMessage } from './rescale-contract.js';

/** The ends of channels of each member, the program included. */
export type EndsOfMembers = ReadonlyMap<string, readonly ChannelRecord[]>;

export class Undelivered {
  readonly messages: readonly UndeliveredMessage[];
  readonly #ends: EndsOfMembers;
  /** Ids of requests on their channel, by the id of the message that stands for them. */
  readonly #requests = new Map<number, string>();
  #placed: readonly UndeliveredMessage[] = [];
  #kept: ReadonlySet<string> = new Set();

  constructor(ends: EndsOfMembers) {
    this.#ends = ends;
    this.messages = this.#list();
  }

  /**
   * @param members of the new set
   * @returns what is wrong with what the hook says of messages
   */
  settle({ messages = [], dropped = [] }: Rescaled, members: ReadonlySet<string>): string | undefined {
    if (!Array.isArray(messages) || !Array.isArray(dropped)) return 'expected messages and dropped to be arrays';
    const [placed, gone] = [new Set(messages.map(({ id }) => id)), new Set(dropped.map(({ id }) => id))];
    for (const id of [...placed, ...gone]) if (this.messages[id] === undefined) return `there is no message with the id ${String(id)}`;
    for (const message of this.messages) {
      const [here, there] = [placed.has(message.id), gone.has(message.id)];
      if (here && there) return `${told(message)} is among messages and among dropped`;
      if (!here && !there) return `${told(message)} is neither among messages nor among dropped`;
    }
    for (const message of messages) {
      const wrong = this.#misplaced(message, members);
      if (wrong !== undefined) return `${told(message)}: ${wrong}`;
    }
    this.#placed = messages.filter(({ id }) => !this.#requests.has(id));
    this.#kept = new Set([...placed].flatMap((id) => this.#requests.get(id) ?? []));
    return undefined;
  }

  /** @param ownState whether the member goes on with its own state (invariant 4) */
  endsOf(member: string, members: ReadonlySet<string>, ownState: boolean): readonly ChannelRecord[] {
    const ends = new Map<string, ChannelRecord>();
    const keyOf = (name: string, peer: string): string => JSON.stringify([name, peer]);
    for (const { name, peer, requests } of this.#ends.get(member) ?? []) {
      if (requests === undefined) continue;
      const rest = this.#requestsOf(requests, ownState);
      if (members.has(peer) || rest.owed.length > 0) ends.set(keyOf(name, peer), { name, peer, inbox: [], outbox: [], requests: rest });
    }
    for (const { channel: name, from: peer, to, value } of this.#placed) {
      if (to !== member) continue;
      const end = ends.get(keyOf(name, peer)) ?? { name, peer, inbox: [], outbox: [] };
      ends.set(keyOf(name, peer), { ...end, inbox: [...end.inbox, value] });
    }
    return [...ends.values()];
  }

  #list(): readonly UndeliveredMessage[] {
    const found: UndeliveredMessage[] = [];
    const add = (message: Omit<UndeliveredMessage, 'id'>): number => found.push({ id: found.length, ...message }) - 1;
    for (const [from, records] of this.#withPeers()) {
      for (const [to, channel] of records) {
        // What has arrived was sent before what could not be sent yet.
        const values = [...(this.#end(to, channel, from)?.inbox ?? []), ...(this.#end(from, channel, to)?.outbox ?? [])];
        for (const value of values) add({ channel, from, to, value });
        for (const [id, message] of this.#requestsFrom(from, channel, to)) this.#requests.set(add(message), id);
      }
    }
    return found;
  }

  /** Each member with the channels on which it can have sent something. */
  #withPeers(): ReadonlyMap<string, readonly (readonly [to: string, channel: string])[]> {
    const known = new Map<string, Map<string, readonly [string, string]>>();
    const add = (from: string, to: string, channel: string): void => {
      const channels = known.get(from) ?? new Map<string, readonly [string, string]>();
      known.set(from, channels.set(JSON.stringify([to, channel]), [to, channel]));
    };
    for (const [member, records] of this.#ends) {
      for (const { name, peer } of records) {
        add(member, peer, name);
        add(peer, member, name);
      }
    }
    return new Map([...known].map(([from, channels]) => [from, [...channels.values()]]));
  }

  *#requestsFrom(from: string, channel: string, to: string): Iterable<readonly [string, Omit<UndeliveredMessage, 'id'>]> {
    const [asker, asked] = [this.#end(from, channel, to)?.requests, this.#end(to, channel, from)?.requests];
    const owed = new Set(asked?.owed);
    const replied = new Set(asked?.replies.map(([id]) => id));
    for (const { id, value, reply } of asker?.asked ?? []) {
      const request = reply !== undefined || replied.has(id) ? 'answered' : owed.has(id) ? 'owed' : 'asked';
      yield [id, { channel, from, to, value, request }];
    }
    const known = new Set(asker?.asked.map(({ id }) => id));
    for (const { id, value } of asked?.waiting ?? []) if (!known.has(id)) yield [id, { channel, from, to, value, request: 'asked' }];
  }

  #end(member: string, channel: string, peer: string): ChannelRecord | undefined {
    return this.#ends.get(member)?.find((end) => end.name === channel && end.peer === peer);
  }

  #misplaced(message: UndeliveredMessage, members: ReadonlySet<string>): string | undefined {
    const { id, channel, from, to, value } = message;
    for (const name of [from, to]) if (!members.has(name)) return `'${name}' is no member that the program declares`;
    if (from === to) return 'expected two members';
    if (typeof channel !== 'string' || !/^[A-Za-z0-9][\w.-]{0,63}$/.test(channel)) return `'${String(channel)}' is no name of a channel`;
    const old = this.messages[id];
    if (old?.request === undefined) return undefined;
    const same = old.channel === channel && old.from === from && old.to === to && old.value === value;
    return same ? undefined : 'a request stays as it is, or is dropped, and then asked again';
  }

  #requestsOf(record: RequestsRecord, ownState: boolean): RequestsRecord {
    const kept = (id: string): boolean => this.#kept.has(id);
    return {
      ...record,
      asked: record.asked.filter(({ id }) => kept(id)),
      waiting: record.waiting.filter(({ id }) => kept(id)),
      owed: ownState ? record.owed : record.owed.filter(kept),
      replies: record.replies.filter(([id]) => kept(id)),
    };
  }
}

/** The program and those that it declares. */
export function newSet(declared: readonly string[]): ReadonlySet<string> {
  return new Set([PROGRAM, ...declared]);
}

function told({ id, channel, from, to, request }: UndeliveredMessage): string {
  return `${request === undefined ? 'message' : 'request'} ${id} from '${from}' to '${to}' on channel '${channel}'`;
}
