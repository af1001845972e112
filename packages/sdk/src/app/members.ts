/**
 * The members of a program: what it declares, what the image recorded, and what goes into the next image.
 *
 * Invariants
 * 1. Each recorded member is declared by the program or answered for by onMember before anything has changed; otherwise
 *    the start is refused.
 * 2. A recorded member is started with its recorded workerData or arguments, whatever the program declares.
 * 3. Shared memory is one section of the program, captured once, after everybody has stopped.
 * 4. What the image records and the program has not asked for yet is carried into every image.
 * 5. A name is used by one member or one opaque child at a time.
 * 6. Members that a member has declared end when it dies or leaves.
 */
import { pathToFileURL } from 'node:url';
import { within } from '../base/deadline.js';
import { isCheckpointError } from '../base/errors.js';
import { callPlace } from '../base/place.js';
import type { Clock } from '../base/ports.js';
import type { Captured } from '../checkpoint/capture.js';
import type { ClassRegistry } from '../codec/classes.js';
import type { ImageContents, MemberRecord } from '../image/contract.js';
import type { MemberEntry } from '../members/carrier.js';
import type { Channel } from '../members/channel.js';
import type { ChannelHooks } from '../members/channel-hooks.js';
import { ChannelTable } from '../members/channel-table.js';
import { CHANNELS_SECTION } from '../members/encoded-section.js';
import { OpaqueChildren } from '../members/opaque.js';
import type { MemberHandle } from '../members/participant.js';
import { joined, shifted } from '../members/parts.js';
import { type EndOfSet, type OpaquePolicy, PROGRAM } from '../members/protocol.js';
import type { Declaration } from '../members/roster.js';
import { MemberSet } from '../members/set.js';
import type { MemberSetParts, OnMemberError } from '../members/set-contract.js';
import { SharedMemories } from '../members/shared-memories.js';
import { WorkerDataTable } from '../members/worker-data.js';
import type { MemberPlan } from '../restart/plan.js';
import { type RecordedFacts, RecordedMembers } from '../restart/recorded-members.js';
import type { Provider } from '../state/provider.js';
import type { Unclaimed } from '../state/provider-plan.js';
import type { RestoredSection } from '../state/registry.js';
import type { ChildOptions, MemberProgram, OnMember, RecordedMember, WorkerOptions } from './member-options.js';
import { notDeclared, notStarted, parentsFirst, planOfOpaque, unclaimed } from './member-plan.js';

export interface MembersParts {
  readonly clock: Clock;
  readonly classes: ClassRegistry;
  readonly onMemberError: OnMemberError;
  readonly handlerTimeoutMs: number;
  readonly allowUnclaimed: Unclaimed;
  readonly incarnation: number;
  readonly contents: ImageContents | undefined;
  readonly sections: ReadonlyMap<string, RestoredSection>;
  readonly hooks: ChannelHooks;
  readonly signals: readonly string[];
  readonly set: Pick<MemberSetParts, 'advanced' | 'asked' | 'failed' | 'forked' | 'launched' | 'log' | 'nested'>;
  readonly blame: (why: string) => Promise<void>;
}

interface Declared {
  readonly startedWith: unknown;
  readonly opaque: OpaquePolicy | 'error' | undefined;
  readonly by: Declaration | undefined;
}

const SHARED = 'ckpt:shared';

export class Members {
  readonly set: MemberSet;
  readonly opaque: OpaqueChildren;
  readonly #parts: MembersParts;
  readonly #channels: ChannelTable;
  readonly #shared: SharedMemories;
  readonly #workerData = new WorkerDataTable();
  readonly #recorded: RecordedMembers;
  readonly #answers: OnMember[] = [];

  constructor(parts: MembersParts) {
    this.#parts = parts;
    this.opaque = new OpaqueChildren(parts.set);
    this.#recorded = new RecordedMembers(parts.contents, parts.classes);
    this.#channels = new ChannelTable(PROGRAM, parts.hooks, (key) => this.set.connections.opened(key, PROGRAM));
    this.#channels.restore(parts.sections.get(CHANNELS_SECTION)?.value);
    this.#shared = new SharedMemories(parts.sections.get(SHARED)?.value);
    this.set = new MemberSet({
      ...parts.set,
      clock: parts.clock,
      answerMs: 2 * parts.handlerTimeoutMs,
      onMemberError: parts.onMemberError,
      orphaned: (parent) => this.#orphaned(parent),
      channels: () => this.#channels,
      welcome: (name) => ({
        shared: this.#shared.list(),
        source: this.#recorded.handed(name),
        image: parts.contents?.manifest.image.id,
        incarnation: parts.incarnation,
        handlerTimeoutMs: parts.handlerTimeoutMs,
        allowUnclaimed: parts.allowUnclaimed,
        signals: parts.signals,
      }),
    });
  }

  worker(name: string, program: MemberProgram, { workerData, opaque }: WorkerOptions, by?: Declaration): MemberHandle {
    const url = program instanceof URL ? program : new URL(program);
    const recorded = this.#recorded.data(name, 'worker');
    const data = recorded === undefined ? workerData : recorded.value;
    return this.#declare(name, { kind: 'worker', url, workerData: data }, { startedWith: data, opaque, by });
  }

  fork(
    name: string,
    program: MemberProgram,
    args: readonly string[],
    { opaque, ...options }: ChildOptions,
    by?: Declaration,
  ): MemberHandle {
    const url = program instanceof URL ? program : addressOf(program);
    const given = this.#recorded.args(name) ?? args;
    return this.#declare(name, { kind: 'process', url, args: given, options }, { startedWith: given, opaque, by });
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS */
  #declare(name: string, entry: MemberEntry, { startedWith, opaque = 'error', by = { place: callPlace() } }: Declared): MemberHandle {
    this.opaque.assertFree(name, entry);
    this.set.roster.assertFree(name, entry);
    this.#workerData.add(name, startedWith);
    if (opaque === 'error') {
      this.opaque.forget(name);
      return this.set.declare(name, entry, by);
    }
    const recorded = this.#recorded.get(name);
    const first = recorded?.opaque !== undefined && this.opaque.get(name) === undefined;
    const settled = recorded?.finished === true ? 'finished' : opaque === 'exclude' ? 'not-started' : undefined;
    this.set.roster.forget(name);
    return this.opaque.declare(name, entry, {
      policy: opaque,
      settled: first ? settled : undefined,
      ...(by.parent === undefined ? {} : { parent: by.parent }),
    });
  }

  /** Invariant 6. */
  #orphaned(parent: string): void {
    for (const child of [...this.set.roster.all(), ...this.opaque.all()]) if (child.parent === parent) void child.terminate();
  }

  get(name: string): MemberHandle | undefined {
    return this.opaque.get(name) ?? this.set.roster.get(name);
  }

  channel(name: string, peer: string): Channel {
    return this.#channels.open(name, peer);
  }

  shared(name: string, byteLength: number): SharedArrayBuffer {
    if (this.#parts.onMemberError === 'exclude') {
      throw new TypeError(
        `shared('${name}'): a member that shares memory cannot be left out of an image; open with onMemberError: 'cancel'`,
      );
    }
    return this.#shared.get(name, byteLength);
  }

  onMember(answer: OnMember): void {
    if (typeof answer !== 'function') throw new TypeError(`onMember(answer): expected a function, got ${typeof answer}`);
    this.#answers.push(answer);
  }

  /** @throws CheckpointError ERR_CKPT_UNCLAIMED for a recorded member that nobody answers for */
  plan(): void {
    const refused = this.preview().find(({ outcome }) => outcome === 'refused');
    if (refused !== undefined) throw unclaimed(refused, this.#recorded.image);
  }

  /** What start() would do with each member. Those that onMember answers for are declared from then on. */
  preview(): readonly MemberPlan[] {
    const recorded = new Map(this.#recorded.all().map((facts) => [facts.name, facts]));
    const declared = this.set.roster.all().map(({ name, entry }): MemberPlan => {
      const record = recorded.get(name);
      const facts = { name, kind: entry.kind, finished: record?.finished === true, entry: entry.url.href };
      if (record === undefined || record.opaque !== undefined) return { ...facts, finished: false, outcome: 'new' };
      return { ...facts, outcome: this.#answered.has(name) ? 'answered' : 'match' };
    });
    const opaque = this.opaque.all().map((child) => planOfOpaque(child, recorded.get(child.name), this.#answered.has(child.name)));
    const plans = [...declared, ...opaque];
    for (const { name } of plans) recorded.delete(name);
    // Parents first: whom one of them declares is not asked for here.
    for (const facts of parentsFirst([...recorded.values()])) plans.push(this.#planRecorded(facts, plans));
    return plans;
  }

  #planRecorded(facts: RecordedFacts, others: readonly MemberPlan[]): MemberPlan {
    const { name, kind, finished, parent } = facts;
    const declares = others.some((other) => other.name === parent && other.outcome !== 'refused' && other.outcome !== 'excluded');
    if (parent === undefined || !declares) return this.#answer(facts);
    return { name, kind, finished, outcome: 'nested', parent, ...(facts.opaque === undefined ? {} : { opaque: facts.opaque }) };
  }

  #answer({ name, kind, finished, opaque, parent }: RecordedFacts): MemberPlan {
    const facts = { name, kind, finished, ...(opaque === undefined ? {} : { opaque }), ...(parent === undefined ? {} : { parent }) };
    if (opaque === 'exclude') return { ...facts, outcome: 'excluded' };
    const [data, args] = [this.#recorded.data(name, 'worker'), this.#recorded.args(name) ?? []];
    const asked: RecordedMember = { name, kind, finished, workerData: data?.value, args, opaque, parent };
    const program = this.#answers.map((answer) => answer(asked)).find((answer) => answer !== undefined);
    if (program === undefined) return { ...facts, outcome: 'refused' };
    const policy = opaque === undefined ? {} : { opaque };
    if (kind === 'worker') this.worker(name, program, policy);
    else this.fork(name, program, args, policy);
    this.#answered.add(name);
    return { ...facts, outcome: 'answered', entry: String(program) };
  }

  /** Starts the members; resolves when all have restored their state. */
  async launch(): Promise<void> {
    const { clock, handlerTimeoutMs: ms, blame } = this.#parts;
    this.#channels.reopen();
    try {
      await within(clock, this.set.roster.launch(), { ms, keepAlive: true, onTimeout: () => notStarted(this.set.roster.notStarted(), ms) });
    } catch (error) {
      const cause = isCheckpointError(error) ? error.cause : undefined;
      if (isCheckpointError(cause, 'ERR_CKPT_DECODE') || isCheckpointError(cause, 'ERR_CKPT_RESTORE')) await blame(cause.message);
      throw error;
    }
    const lost = this.#recorded
      .all()
      .find(({ name, parent, opaque }) => parent !== undefined && opaque !== 'exclude' && this.get(name) === undefined);
    if (lost !== undefined) throw notDeclared(lost, this.#recorded.image);
    this.opaque.launch();
  }

  /** The run is over: nobody is started again. */
  stayFinished(): void {
    this.set.roster.stayFinished();
    this.opaque.stayFinished();
  }

  async terminate(): Promise<void> {
    await Promise.all([this.set.roster.terminate(), this.opaque.terminate()]);
  }

  /** What the manifest says of all whose parts were merged last. */
  records(): readonly MemberRecord[] {
    return [...this.set.rounds.records(), ...this.#merged];
  }

  /** Of what connects the program with processes. */
  descriptors(): readonly number[] {
    return [...this.set.roster.all(), ...this.opaque.all()].flatMap(({ descriptors }) => descriptors);
  }

  /** Providers of the program that hold what belongs to the set. */
  providers(): readonly Provider[] {
    const own = { version: 1, place: 'ckpt' } as const;
    const channels = this.#channels.capture();
    const shared = this.#shared.capture();
    return [
      ...(channels === undefined ? [] : [{ ...own, name: CHANNELS_SECTION, kind: 'channels', capture: () => channels } as const]),
      ...(shared === undefined ? [] : [{ ...own, name: SHARED, kind: 'shared', capture: () => shared } as const]),
    ];
  }

  /** One image of the program and its members. */
  merge(program: Captured): Captured {
    const sections = [...program.sections];
    const buffers = [...program.buffers];
    let { stateBytes, dirtyBytes } = program;
    this.#merged = this.opaque.records();
    const taken = this.set.rounds.taken().map(([name, captured]) => joined([captured, this.#workerData.captured(name)]));
    for (const part of [...taken, ...this.#merged.map(({ name }) => this.#workerData.captured(name))]) {
      sections.push(...shifted(part, sections.length, buffers.length));
      buffers.push(...part.buffers);
      stateBytes += part.stateBytes;
      dirtyBytes += part.dirtyBytes;
    }
    return { ...program, sections, buffers, stateBytes, dirtyBytes };
  }

  end(why: EndOfSet): void {
    if (why === 'finished') this.#channels.end();
    this.set.end(why);
  }

  /** Declared because onMember answered for them. */
  readonly #answered = new Set<string>();
  /** Opaque children of the image that is being made: one may end before its manifest is. */
  #merged: readonly MemberRecord[] = [];
}

/** A path is one of the working directory, as for child_process.fork(). */
function addressOf(program: string): URL {
  return URL.canParse(program) ? new URL(program) : pathToFileURL(program);
}
