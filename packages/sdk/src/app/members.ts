/**
 * The members of a program: what it declares, what the image recorded, and what goes into the next image.
 *
 * Invariants
 * 1. Each recorded member is declared by the program or answered for by onMember before anything has changed; otherwise
 *    the start is refused.
 * 2. A recorded member is started with its recorded workerData or arguments, whatever the program declares.
 * 3. Shared memory is one section of the program, captured once, after everybody has stopped.
 * 4. What the image records and the program has not asked for yet is carried into every image.
 */
import { pathToFileURL } from 'node:url';
import { within } from '../base/deadline.js';
import { CheckpointError, isCheckpointError } from '../base/errors.js';
import type { Clock } from '../base/ports.js';
import type { Captured } from '../checkpoint/capture.js';
import type { ClassRegistry } from '../codec/classes.js';
import { decodeSection } from '../codec/codec.js';
import type { ImageContents, ImageRef, MemberRecord } from '../image/contract.js';
import { buffersOf } from '../image/section-buffers.js';
import type { ForkOptions } from '../members/carrier.js';
import type { Channel } from '../members/channel.js';
import type { ChannelHooks } from '../members/channel-hooks.js';
import { ChannelTable } from '../members/channel-table.js';
import { CHANNELS_SECTION } from '../members/encoded-section.js';
import type { MemberHandle } from '../members/participant.js';
import { joined, shifted } from '../members/parts.js';
import { type EndOfSet, type HandedState, PROGRAM } from '../members/protocol.js';
import { MemberSet } from '../members/set.js';
import type { MemberSetParts, OnMemberError } from '../members/set-contract.js';
import { SharedMemories } from '../members/shared-memories.js';
import { WorkerDataTable } from '../members/worker-data.js';
import { memberPart } from '../restart/member-part.js';
import type { MemberPlan } from '../restart/plan.js';
import type { Provider } from '../state/provider.js';
import type { Unclaimed } from '../state/provider-plan.js';
import type { RestoredSection } from '../state/registry.js';

/** What the image tells of a member that the program has not declared. */
export interface RecordedMember {
  readonly name: string;
  readonly kind: 'worker' | 'process';
  readonly finished: boolean;
  /** Of a worker; undefined of a process. */
  readonly workerData: unknown;
  /** Of a process; empty of a worker. */
  readonly args: readonly string[];
}

/** Where the program of a member lies. */
export type MemberProgram = URL | string;

/** @returns the program of the member, or undefined for one that is not ours */
export type OnMember = (recorded: RecordedMember) => MemberProgram | undefined;

export interface WorkerOptions {
  /** What the worker finds as `workerData`: a value that state can hold, without shared memory. */
  readonly workerData?: unknown;
}

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
  readonly set: Pick<MemberSetParts, 'advanced' | 'asked' | 'failed' | 'forked' | 'launched' | 'log'>;
  readonly blame: (why: string) => Promise<void>;
}

const SHARED = 'ckpt:shared';

export class Members {
  readonly set: MemberSet;
  readonly #parts: MembersParts;
  readonly #channels: ChannelTable;
  readonly #shared: SharedMemories;
  readonly #workerData = new WorkerDataTable();
  readonly #answers: OnMember[] = [];

  constructor(parts: MembersParts) {
    this.#parts = parts;
    this.#channels = new ChannelTable(PROGRAM, parts.hooks, (key) => this.set.connections.opened(key, PROGRAM));
    this.#channels.restore(parts.sections.get(CHANNELS_SECTION)?.value);
    this.#shared = new SharedMemories(parts.sections.get(SHARED)?.value);
    this.set = new MemberSet({
      ...parts.set,
      clock: parts.clock,
      answerMs: 2 * parts.handlerTimeoutMs,
      onMemberError: parts.onMemberError,
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

  worker(name: string, program: MemberProgram, options: WorkerOptions): MemberHandle {
    const url = program instanceof URL ? program : new URL(program);
    const recorded = this.#recordedData(name, 'worker');
    const data = recorded === undefined ? options.workerData : recorded.value;
    this.#workerData.add(name, data);
    return this.set.declare(name, { kind: 'worker', url, workerData: data });
  }

  fork(name: string, program: MemberProgram, args: readonly string[], options: ForkOptions): MemberHandle {
    const url = program instanceof URL ? program : addressOf(program);
    const given = this.#recordedArgs(name) ?? args;
    this.#workerData.add(name, given);
    return this.set.declare(name, { kind: 'process', url, args: given, options });
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
    if (refused !== undefined) throw this.#unclaimed(refused.name);
  }

  /** What start() would do with each member. Those that onMember answers for are declared from then on. */
  preview(): readonly MemberPlan[] {
    const recorded = new Map(this.#parts.contents?.manifest.members.map((record) => [record.name, record]));
    recorded.delete(PROGRAM);
    const declared = this.set.roster.all().map(({ name, entry }): MemberPlan => {
      const record = recorded.get(name);
      const facts = { name, kind: entry.kind, finished: record?.['finished'] === true, entry: entry.url.href };
      return { ...facts, outcome: record === undefined ? 'new' : this.#answered.has(name) ? 'answered' : 'match' };
    });
    for (const { name } of declared) recorded.delete(name);
    return [...declared, ...[...recorded.values()].flatMap((record) => this.#answer(record))];
  }

  #answer({ name, kind, ...record }: MemberRecord): MemberPlan[] {
    if (kind === 'program') return [];
    const finished = record['finished'] === true;
    const [data, args] = [this.#recordedData(name, 'worker'), this.#recordedArgs(name) ?? []];
    const asked: RecordedMember = { name, kind, finished, workerData: data?.value, args };
    const program = this.#answers.map((answer) => answer(asked)).find((answer) => answer !== undefined);
    if (program === undefined) return [{ name, kind, finished, outcome: 'refused' }];
    if (kind === 'worker') this.worker(name, program, {});
    else this.fork(name, program, args, {});
    this.#answered.add(name);
    return [{ name, kind, finished, outcome: 'answered', entry: String(program) }];
  }

  /** Starts the members; resolves when all have restored their state. */
  async launch(): Promise<void> {
    const { clock, handlerTimeoutMs: ms, blame } = this.#parts;
    this.#channels.reopen();
    try {
      await within(clock, this.set.roster.launch(), { ms, keepAlive: true, onTimeout: () => this.#notStarted() });
    } catch (error) {
      const cause = isCheckpointError(error) ? error.cause : undefined;
      if (isCheckpointError(cause, 'ERR_CKPT_DECODE') || isCheckpointError(cause, 'ERR_CKPT_RESTORE')) await blame(cause.message);
      throw error;
    }
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
    for (const [name, captured] of this.set.rounds.taken()) {
      const part = joined([captured, this.#workerData.captured(name)]);
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

  #recordedArgs(name: string): readonly string[] | undefined {
    const args = this.#recordedData(name, 'process')?.value;
    return Array.isArray(args) ? args.map(String) : undefined;
  }

  /** What a member of that kind was first started with. */
  #recordedData(name: string, kind: 'worker' | 'process'): { readonly value: unknown } | undefined {
    const { contents } = this.#parts;
    if (contents?.manifest.members.find((member) => member.name === name)?.kind !== kind) return undefined;
    const index = contents?.manifest.sections.findIndex((section) => section.member === name && section.kind === 'worker-data') ?? -1;
    const [record, bytes] = [contents?.manifest.sections[index], contents?.sections[index]];
    if (contents === undefined || record === undefined || bytes === undefined) return undefined;
    const memory = buffersOf(contents.manifest, record, contents.buffers);
    return {
      value: decodeSection({ name: record.name, encoding: record.encoding, bytes, imports: [] }, memory, this.#parts.classes).value,
    };
  }

  /** Given once: a member of that name that is declared later begins anew. */
  #handed(name: string): HandedState | undefined {
    const { contents } = this.#parts;
    const record = contents?.manifest.members.find((member) => member.name === name);
    if (contents === undefined || record === undefined || this.#given.has(name)) return undefined;
    this.#given.add(name);
    return { part: memberPart(contents, name), finished: record['finished'] === true };
  }

  readonly #given = new Set<string>();
  /** Declared because onMember answered for them. */
  readonly #answered = new Set<string>();

  #unclaimed(name: string): CheckpointError {
    const image: Partial<Pick<ImageRef, 'id'>> = this.#parts.contents?.manifest.image ?? {};
    return new CheckpointError(
      'ERR_CKPT_UNCLAIMED',
      `start(): image ${image.id ?? ''} holds the member '${name}', which the program does not declare; call worker('${name}', …) or fork('${name}', …) before start(), ` +
        'answer for it with onMember(), name another image, or begin anew with CKPT_RESTART=never. Nothing has changed',
      { member: name, phase: 'plan', ...(image.id === undefined ? {} : { image: image.id }) },
    );
  }

  #notStarted(): CheckpointError {
    const missing = this.set.roster.notStarted();
    return new CheckpointError(
      'ERR_CKPT_TIMEOUT',
      `start(): ${missing.map((name) => `'${name}'`).join(', ')} did not call start() within ${this.#parts.handlerTimeoutMs} ms; ` +
        'the program of a member calls joinCheckpointer() and start(); raise handlerTimeout where that takes longer',
      { phase: 'apply', ...(missing[0] === undefined ? {} : { member: missing[0] }) },
    );
  }
}

/** A path is one of the working directory, as for child_process.fork(). */
function addressOf(program: string): URL {
  return URL.canParse(program) ? new URL(program) : pathToFileURL(program);
}
