/**
 * The ends of channels that one member has: those it has opened, and those its source image recorded.
 *
 * Invariants
 * 1. A recorded end that the program has not opened keeps its messages and is carried into every image.
 * 2. One that has messages to send is opened at the start: the program may be past all that it says on that channel.
 * 3. What is left unsent at the end is handed over, and then not sent from here: a connection that comes late would double it.
 * 4. A channel is told by its name and its two members, in whatever order they name each other.
 */
import type { MessagePort } from 'node:worker_threads';
import { type Channel, ChannelEnd, type ChannelRecord } from './channel.js';
import type { ChannelHooks } from './channel-hooks.js';
import type { Counts } from './protocol.js';

const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

export class ChannelTable {
  readonly #member: string;
  readonly #hooks: ChannelHooks;
  readonly #announce: (key: string) => void;
  readonly #ends = new Map<string, ChannelEnd>();
  readonly #recorded = new Map<string, ChannelRecord>();

  /** Invariant 3. */
  #handedOver = false;

  /** @param announce told the key of each channel that is opened, so that it gets connected */
  constructor(member: string, hooks: ChannelHooks, announce: (key: string) => void) {
    this.#member = member;
    this.#hooks = hooks;
    this.#announce = announce;
  }

  restore(records: unknown): void {
    for (const record of readRecords(records)) this.#recorded.set(this.#key(record.name, record.peer), record);
  }

  /** In place of all that was recorded, before anything was sent or received. */
  replace(records: readonly ChannelRecord[]): void {
    this.#recorded.clear();
    this.restore(records);
    for (const [key, end] of this.#ends) {
      const { name, peer } = end;
      end.replace(this.#recorded.get(key) ?? { name, peer, inbox: [], outbox: [] });
      this.#recorded.delete(key);
    }
  }

  /** The same end for the same name and peer. @throws TypeError */
  open(name: string, peer: string): Channel {
    assertNames(name, peer, this.#member);
    const key = this.#key(name, peer);
    const open = this.#ends.get(key);
    if (open !== undefined) return open;
    const end = new ChannelEnd(this.#recorded.get(key) ?? { name, peer, inbox: [], outbox: [] }, this.#hooks);
    this.#recorded.delete(key);
    this.#ends.set(key, end);
    this.#announce(key);
    return end;
  }

  /** Invariant 2. */
  reopen(): void {
    for (const record of [...this.#recorded.values()]) if (hasToSend(record)) this.open(record.name, record.peer);
  }

  connect(key: string, port: MessagePort): void {
    const end = this.#ends.get(key);
    if (end === undefined || this.#handedOver) port.close();
    else end.connect(port);
  }

  /** Whoever had this name is gone: what is sent to it now waits for the next. */
  disconnect(peer: string): void {
    for (const end of this.#ends.values()) if (end.peer === peer) end.disconnect();
  }

  sent(): Counts {
    return [...this.#ends].map(([key, end]) => [key, end.sent]);
  }

  /** What could not be sent yet, of a member that ends. */
  unsent(): readonly ChannelRecord[] {
    this.#handedOver = true;
    return (this.capture() ?? []).filter(hasToSend).map((record) => ({ ...record, inbox: [] }));
  }

  /** What the member at the other end had not sent when it left. */
  takeUnsent(from: string, records: readonly ChannelRecord[]): void {
    for (const record of records) {
      this.open(record.name, from);
      this.#ends.get(this.#key(record.name, from))?.takeUnsent(record);
    }
  }

  hold(): void {
    for (const end of this.#ends.values()) end.hold();
  }

  goOn(): void {
    if (this.#handedOver) return;
    for (const end of this.#ends.values()) end.goOn();
  }

  hurry(): void {
    for (const end of this.#ends.values()) end.hurry();
  }

  /** @returns whether everything that peers have sent is here */
  drain(expect: Counts): boolean {
    return expect.map(([key, count]) => this.#ends.get(key)?.drain(count) ?? true).every(Boolean);
  }

  /** What goes into the image; undefined without channels. */
  capture(): readonly ChannelRecord[] | undefined {
    const records = [...this.#recorded.values(), ...[...this.#ends.values()].map((end) => end.record())];
    return records.length === 0 ? undefined : records;
  }

  /** The member is done: nobody waits for what it has asked. */
  end(): void {
    for (const end of this.#ends.values()) end.end();
  }

  close(): void {
    for (const end of this.#ends.values()) end.close();
  }

  #key(name: string, peer: string): string {
    return channelKey(name, this.#member, peer);
  }
}

function hasToSend({ outbox, requests }: ChannelRecord): boolean {
  return outbox.length > 0 || (requests?.replies.length ?? 0) > 0;
}

export function channelKey(name: string, one: string, other: string): string {
  return JSON.stringify([name, ...[one, other].sort()]);
}

/** The two members of a channel. */
export function membersOf(key: string): readonly [string, string] {
  const [, one, other]: readonly string[] = JSON.parse(key);
  return [one ?? '', other ?? ''];
}

function assertNames(name: unknown, peer: unknown, member: string): void {
  for (const [what, value] of [
    ['name', name],
    ['peer', peer],
  ] as const) {
    if (typeof value === 'string' && NAME.test(value)) continue;
    throw new TypeError(
      `channel(name, peer): expected ${what} to be 1 to 64 of A-Z a-z 0-9 _ . -, got ${JSON.stringify(value) ?? String(value)}`,
    );
  }
  if (peer === member) throw new TypeError(`channel('${String(name)}', '${member}'): expected another member as peer, got this one`);
}

export function readRecords(records: unknown): ChannelRecord[] {
  if (!Array.isArray(records)) return [];
  return records.flatMap((record: unknown) => (isRecord(record) ? [record] : []));
}

function isRecord(record: unknown): record is ChannelRecord {
  if (typeof record !== 'object' || record === null || !('name' in record && 'peer' in record && 'inbox' in record && 'outbox' in record))
    return false;
  return typeof record.name === 'string' && typeof record.peer === 'string' && Array.isArray(record.inbox) && Array.isArray(record.outbox);
}
