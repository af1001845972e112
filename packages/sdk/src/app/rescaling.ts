/**
 * The rescale hook of a program, and what has come of it.
 *
 * Invariants
 * 1. The hook is asked once at most, before anything has changed.
 * 2. Once it has spoken, what the image says of a member counts for those that go on as recorded, and for opaque children.
 */
import type { MemberEntry } from '../members/carrier.js';
import type { ChannelHooks } from '../members/channel-hooks.js';
import type { HandedState } from '../members/protocol.js';
import type { RecordedFacts, RecordedMembers } from '../restart/recorded-members.js';
import { type RescaledStart, type RescaleParts, rescale } from '../restart/rescale.js';
import type { Rescale } from '../restart/rescale-contract.js';
import { hookTwice, talkedBefore } from './members-refused.js';

export class Rescaling {
  readonly #recorded: RecordedMembers;
  /** As the program says it, whatever the image has. */
  readonly #declared = new Map<string, MemberEntry>();
  #hook: Rescale | undefined;
  #start: RescaledStart | undefined;
  /** Whether anything was sent or received: before start() that is what a rescale would not know of. */
  #talked = false;

  constructor(recorded: RecordedMembers) {
    this.#recorded = recorded;
  }

  get hooked(): boolean {
    return this.#hook !== undefined;
  }

  /** Whether the members are others than the image has. */
  get done(): boolean {
    return this.#start !== undefined;
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS */
  register(hook: Rescale): void {
    if (typeof hook !== 'function') throw new TypeError(`rescale(hook): expected a function, got ${typeof hook}`);
    if (this.#hook !== undefined) throw hookTwice();
    this.#hook = hook;
  }

  listening(hooks: ChannelHooks): ChannelHooks {
    return {
      ...hooks,
      assertOpen: (call) => {
        this.#talked = true;
        hooks.assertOpen(call);
      },
    };
  }

  declared(name: string, entry: MemberEntry): void {
    this.#declared.set(name, entry);
  }

  /** It is always started with what is recorded. */
  answered(name: string): void {
    this.#declared.delete(name);
  }

  /** @throws CheckpointError ERR_CKPT_RESCALE; ERR_CKPT_PHASE where the program has used a channel */
  ask(parts: Omit<RescaleParts, 'recorded'>): RescaledStart['program'] {
    if (this.#hook === undefined) throw new Error('rescale: there is no hook to ask');
    if (this.#talked) throw talkedBefore();
    this.#start = rescale(this.#hook, { ...parts, recorded: this.#recorded });
    return this.#start.program;
  }

  /** What a member is started with in place of what is recorded. */
  entryOf(name: string): MemberEntry | undefined {
    return this.#start?.asRecorded.has(name) === true ? undefined : this.#declared.get(name);
  }

  /** Invariant 2. */
  keeps(name: string): boolean {
    return this.#start === undefined || this.#start.asRecorded.has(name) || this.#recorded.get(name)?.opaque !== undefined;
  }

  handed(name: string): HandedState | undefined {
    return this.#start === undefined ? this.#recorded.handed(name) : this.#start.handed.get(name);
  }

  /** Whether it is to be declared by its parent, which is there. */
  isNested({ parent, opaque }: RecordedFacts): boolean {
    return parent !== undefined && opaque !== 'exclude' && this.keeps(parent);
  }
}
