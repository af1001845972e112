/**
 * Connects the two ends of a channel once both members have opened theirs.
 *
 * Invariants
 * 1. A member that is started anew opens its channels again: its peers are connected again with it.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { membersOf } from './channel-table.js';

export class Connections {
  /** Who has opened which channel. */
  readonly #openers = new Map<string, Set<string>>();
  readonly #connect: (member: string, key: string, port: MessagePort) => void;

  constructor(connect: (member: string, key: string, port: MessagePort) => void) {
    this.#connect = connect;
  }

  opened(key: string, member: string): void {
    const openers = this.#openers.get(key) ?? new Set();
    openers.add(member);
    this.#openers.set(key, openers);
    const [one, other] = membersOf(key);
    if (!openers.has(one) || !openers.has(other)) return;
    const { port1, port2 } = new MessageChannel();
    this.#connect(one, key, port1);
    this.#connect(other, key, port2);
  }

  forget(member: string): void {
    for (const openers of this.#openers.values()) openers.delete(member);
  }
}
