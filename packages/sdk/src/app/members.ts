/**
 * The members of a program: what it declares, what the image recorded, and what goes into the next image.
 *
 * Invariants
 * 1. Each recorded member is declared by the program or answered for by onMember before anything has changed; otherwise
 *    the start is refused.
 * 2. Otherwise a recorded member is started with its recorded workerData or arguments, whatever the program declares.
 * 3. Shared memory is one section of the program, captured once, after everybody has stopped.
 * 4. Where recorded and declared members differ and the program has a rescale hook, that says what each begins with; those that
 *    it gives something are started as they are declared.
 * 5. What the image records and the program has not asked for yet is carried into every image.
 * 6. A name is used by one member or one opaque child at a time.
 * 7. Members that a member has declared end when it dies or leaves.
 * 8. A member's part of the image is handed over once: one of that name that is declared later begins anew.
 */
import { pathToFileURL } from 'node:url';
import { within } from '../base/deadline.js';
import { isCheckpointError } from '../base/errors.js';
import { callPlace } from '../base/place.js';
import type { Captured } from '../checkpoint/capture.js';
import type { MemberRecord } from '../image/contract.js';
import type { MemberEntry } from '../members/carrier.js';
import type { Channel } from '../members/channel.js';
import { ChannelTable } from '../members/channel-table.js';
import { CHANNELS_SECTION } from '../members/encoded-section.js';
import { OpaqueChildren } from '../members/opaque.js';
import type { MemberHandle } from '../members/participant.js';
import { joined, shifted, together } from '../members/parts.js';
import { type EndOfSet, type HandedState, type OpaquePolicy, PROGRAM } from '../members/protocol.js';
import type { Declaration } from '../members/roster.js';
import { MemberSet } from '../members/set.js';
import { SharedMemories } from '../members/shared-memories.js';
import { WorkerDataTable } from '../members/worker-data.js';
import type { MemberPlan } from '../restart/plan.js';
import { RecordedMembers } from '../restart/recorded-members.js';
import type { Rescale } from '../restart/rescale-contract.js';
import type { Provider } from '../state/provider.js';
import type { ChildOptions, MemberProgram, OnMember, WorkerOptions } from './member-options.js';
import { MemberPlanner } from './member-plan.js';
import type { MembersParts } from './members-contract.js';
import { notDeclared, notStarted, unclaimed } from './members-refused.js';
import { Rescaling } from './rescaling.js';
import { WhoStays } from './who-stays.js';

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
  readonly #whoStays = new WhoStays();
  readonly #recorded: RecordedMembers;
  readonly #rescaling: Rescaling;
  readonly #planner: MemberPlanner;

  constructor(parts: MembersParts) {
    this.#parts = parts;
    this.opaque = new OpaqueChildren(parts.set);
    this.#recorded = new RecordedMembers(parts.contents, parts.classes);
    this.#rescaling = new Rescaling(this.#recorded);
    this.#planner = this.#plannerOf();
    this.#channels = new ChannelTable(PROGRAM, this.#rescaling.listening(parts.hooks), (key) => this.set.connections.opened(key, PROGRAM));
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
        source: this.#handed(name),
        image: parts.contents?.manifest.image.id,
        incarnation: parts.incarnation,
        handlerTimeoutMs: parts.handlerTimeoutMs,
        allowUnclaimed: parts.allowUnclaimed,
        signals: parts.signals,
      }),
    });
  }

  #plannerOf(): MemberPlanner {
    return new MemberPlanner({
      recorded: this.#recorded,
      members: () => this.set.roster.all(),
      opaque: () => this.opaque.all(),
      rescales: () => this.#rescaling.hooked,
      declare: ({ name, kind, args, opaque }, program) => {
        const policy = opaque === undefined ? {} : { opaque };
        if (kind === 'worker') this.worker(name, program, policy);
        else this.fork(name, program, args, policy);
        this.#rescaling.answered(name);
      },
    });
  }

  worker(name: string, program: MemberProgram, { workerData, opaque }: WorkerOptions, by?: Declaration): MemberHandle {
    const url = program instanceof URL ? program : new URL(program);
    this.#rescaling.declared(name, { kind: 'worker', url, workerData });
    const recorded = this.#rescaling.keeps(name) ? this.#recorded.data(name, 'worker') : undefined;
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
    this.#rescaling.declared(name, { kind: 'process', url, args, options });
    const given = (this.#rescaling.keeps(name) ? this.#recorded.args(name) : undefined) ?? args;
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

  /** Invariant 7. */
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
    this.#planner.onMember(answer);
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS */
  rescale(hook: Rescale): void {
    this.#rescaling.register(hook);
  }

  /**
   * @param finished whether the image is the last of its run: no member begins
   * @throws CheckpointError ERR_CKPT_UNCLAIMED for a recorded member that nobody answers for; ERR_CKPT_RESCALE
   */
  plan(finished: boolean): void {
    const plans = this.preview();
    const refused = plans.find(({ outcome }) => outcome === 'refused');
    if (refused !== undefined) throw unclaimed(refused, this.#recorded.image?.id);
    if (!finished && plans.some(({ outcome }) => outcome === 'rescale')) this.#rescale();
  }

  #rescale(): void {
    const program = this.#rescaling.ask({
      declared: this.set.roster.all().map(({ name }) => name),
      program: this.#parts.sections.get(CHANNELS_SECTION)?.value,
      classes: this.#parts.classes,
      shared: this.#shared.list().map(([, memory]) => memory),
    });
    this.#channels.replace(program);
    for (const participant of this.set.roster.all()) {
      const entry = this.#rescaling.entryOf(participant.name);
      if (entry === undefined) continue;
      participant.entry = entry;
      this.#workerData.add(participant.name, entry.kind === 'worker' ? entry.workerData : entry.args);
    }
  }

  /** What start() would do with each member. Those that onMember answers for are declared from then on. */
  preview(): readonly MemberPlan[] {
    return this.#planner.preview();
  }

  /** Starts the members; resolves when all have restored their state. */
  async launch(): Promise<void> {
    const { clock, handlerTimeoutMs: ms, blame } = this.#parts;
    this.#channels.reopen();
    try {
      await within(clock, this.set.roster.launch(), { ms, keepAlive: true, onTimeout: () => notStarted(this.set.roster.notStarted(), ms) });
    } catch (error) {
      const cause = isCheckpointError(error) ? error.cause : undefined;
      if (isCheckpointError(cause, 'ERR_CKPT_DECODE') || isCheckpointError(cause, 'ERR_CKPT_RESTORE'))
        if (!this.#rescaling.done) await blame(cause.message);
      throw error;
    }
    const lost = this.#recorded.all().find((facts) => this.#rescaling.isNested(facts) && this.get(facts.name) === undefined);
    if (lost !== undefined) throw notDeclared(lost, this.#recorded.image?.id);
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
    const delivered = together(taken);
    for (const part of [...taken, ...this.#merged.map(({ name }) => this.#workerData.captured(name))]) {
      sections.push(...shifted(part, sections.length, buffers.length));
      buffers.push(...part.buffers);
      stateBytes += part.stateBytes;
      dirtyBytes += part.dirtyBytes;
    }
    return { ...program, sections, buffers, stateBytes, dirtyBytes, ...(delivered === undefined ? {} : { delivered }) };
  }

  end(why: EndOfSet): void {
    if (why === 'finished') this.#channels.end();
    this.set.end(why);
    if (why !== 'fenced') this.#whoStays.watch(this.#parts.clock, () => this.set.roster.live(), this.#parts.set.log);
  }

  /** Invariant 8. */
  #handed(name: string): HandedState | undefined {
    if (this.#given.has(name)) return undefined;
    this.#given.add(name);
    return this.#rescaling.handed(name);
  }

  readonly #given = new Set<string>();
  /** Opaque children of the image that is being made: one may end before its manifest is. */
  #merged: readonly MemberRecord[] = [];
}

/** A path is one of the working directory, as for child_process.fork(). */
function addressOf(program: string): URL {
  return URL.canParse(program) ? new URL(program) : pathToFileURL(program);
}
