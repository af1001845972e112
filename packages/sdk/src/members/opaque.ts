/**
 * Opaque children: threads and processes that the program declares and that never join. They are started, ended and told of,
 * and nothing of them is captured.
 *
 *   declared → running → finished | dead | left;   declared → not-started
 *
 * Invariants
 * 1. Nobody waits for one: it is no member of the cut, whatever it does.
 * 2. It is in each image by name until it is dismissed with terminate(), so that a restart knows what to do with it.
 * 3. It ends when this process exits, as far as this process can tell it: the next life sees to one that is left.
 */
import { CheckpointError } from '../base/errors.js';
import type { MemberRecord } from '../image/contract.js';
import type { Carrier, CarrierEvents, MemberEntry } from './carrier.js';
import { launchOpaque } from './opaque-carrier.js';
import type { MemberHandle } from './participant.js';
import type { OpaquePolicy } from './protocol.js';
import { type Declaration, nameTaken } from './roster.js';

type Stage = 'declared' | 'running' | 'finished' | 'dead' | 'left' | 'not-started';

export interface OpaqueParts {
  readonly forked: CarrierEvents['forked'];
  readonly log: (message: string) => void;
}

export interface OpaqueDeclaration extends Pick<Declaration, 'parent'> {
  readonly policy: OpaquePolicy;
  /** What is already known of it: it is not started then. */
  readonly settled: 'finished' | 'not-started' | undefined;
}

export class OpaqueChild implements MemberHandle {
  readonly name: string;
  readonly entry: MemberEntry;
  readonly policy: OpaquePolicy;
  /** The member that declared it. */
  readonly parent: string | undefined;
  readonly done: Promise<void>;
  #stage: Stage = 'declared';
  #carrier: Carrier | undefined;
  readonly #parts: OpaqueParts;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(name: string, entry: MemberEntry, policy: OpaquePolicy, parent: string | undefined, parts: OpaqueParts) {
    this.name = name;
    this.entry = entry;
    this.policy = policy;
    this.parent = parent;
    this.#parts = parts;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => {}); // it is logged in any case
  }

  get pid(): number | undefined {
    return this.#carrier?.pid;
  }

  get descriptors(): readonly number[] {
    return this.#carrier?.descriptors() ?? [];
  }

  /** Whether its name is in use. */
  get holdsName(): boolean {
    return this.#stage === 'declared' || this.#stage === 'running';
  }

  /** Invariant 2. */
  get record(): MemberRecord | undefined {
    if (this.#stage === 'left' || this.#stage === 'declared') return undefined;
    return {
      name: this.name,
      kind: this.entry.kind,
      entry: this.entry.url.href,
      finished: this.#stage === 'finished',
      opaque: this.policy,
      ...(this.parent === undefined ? {} : { parent: this.parent }),
    };
  }

  launch(): void {
    if (this.#stage !== 'declared') return;
    this.#stage = 'running';
    this.#parts.log(
      `'${this.name}' is opaque: nothing of it is in any image, and a restart ${this.policy === 'restart' ? 'starts it again from its beginning' : 'does not start it'}`,
    );
    this.#carrier = launchOpaque(this.name, this.entry, {
      forked: this.#parts.forked,
      failed: (why, cause) => this.#died(why, cause),
      exited: (why) => (why === undefined ? this.#end('finished') : this.#died(why, undefined)),
    });
  }

  /** It had ended by itself before the image, or is to be left alone. */
  settle(stage: 'finished' | 'not-started'): void {
    if (this.#stage === 'declared') this.#end(stage);
  }

  async terminate(): Promise<void> {
    this.#stage = 'left';
    this.#resolve();
    await this.#carrier?.terminate();
  }

  /** Invariant 3: there is no time left for anything that takes a turn. */
  endNow(): void {
    if (this.#stage === 'running' && this.pid !== undefined) void this.#carrier?.terminate();
  }

  #died(why: string, cause: unknown): void {
    if (this.#stage !== 'running') return;
    const message = `opaque child '${this.name}' ended: ${why}; images go on without it, and ${this.policy === 'restart' ? 'a restart starts it again' : 'a restart leaves it alone'}`;
    this.#parts.log(message);
    this.#stage = 'dead';
    this.#reject(new CheckpointError('ERR_CKPT_MEMBER', message, { member: this.name, cause }));
  }

  #end(stage: 'finished' | 'not-started'): void {
    if (this.#stage !== 'running' && this.#stage !== 'declared') return;
    this.#stage = stage;
    this.#resolve();
  }
}

export class OpaqueChildren {
  readonly #children = new Map<string, OpaqueChild>();
  readonly #parts: OpaqueParts;
  #launching = false;
  #endsAtExit = false;

  constructor(parts: OpaqueParts) {
    this.#parts = parts;
  }

  all(): readonly OpaqueChild[] {
    return [...this.#children.values()];
  }

  get(name: string): OpaqueChild | undefined {
    return this.#children.get(name);
  }

  declare(name: string, entry: MemberEntry, { policy, parent, settled }: OpaqueDeclaration): OpaqueChild {
    const child = new OpaqueChild(name, entry, policy, parent, this.#parts);
    this.#children.set(name, child);
    if (settled !== undefined) child.settle(settled);
    if (this.#launching) this.#launch(child);
    return child;
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS while one that is declared or runs has the name */
  assertFree(name: string, entry: MemberEntry): void {
    if (this.get(name)?.holdsName === true) throw nameTaken(name, entry, 'an opaque child has that name');
  }

  /** A member takes the name. */
  forget(name: string): void {
    this.#children.delete(name);
  }

  launch(): void {
    this.#launching = true;
    for (const child of this.all()) this.#launch(child);
  }

  /** The run is over: none is started again. */
  stayFinished(): void {
    for (const child of this.all()) child.settle('finished');
  }

  records(): readonly MemberRecord[] {
    return this.all().flatMap(({ record }) => record ?? []);
  }

  async terminate(): Promise<void> {
    await Promise.allSettled(this.all().map((child) => child.terminate()));
  }

  #launch(child: OpaqueChild): void {
    if (!this.#endsAtExit) {
      process.once('exit', () => {
        for (const each of this.all()) each.endNow();
      });
    }
    this.#endsAtExit = true;
    child.launch();
  }
}
