/**
 * The life of a member inside its thread or process: registering → starting → running → finished.
 *
 * Invariants
 * 1. Registration belongs to `registering`, safepoints to `running`; every other order is ERR_CKPT_PHASE.
 * 2. A failure before the start is over is told to the program, which then fails its own start.
 * 3. Shared memory belongs to the set: a member's own state cannot hold it (ERR_CKPT_UNSUPPORTED_VALUE).
 */
import { packError } from '../base/error-transfer.js';
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import type { Place } from '../base/place.js';
import { Staging } from '../base/staging.js';
import { systemClock } from '../base/system-ports.js';
import { captureMember } from '../checkpoint/capture.js';
import { Handlers } from '../checkpoint/handlers.js';
import { KeepAlive } from '../checkpoint/keep-alive.js';
import { endedError } from '../checkpoint/refused-calls.js';
import { ClassRegistry } from '../codec/classes.js';
import type { BufferInput } from '../image/contract.js';
import { MemberAgent } from '../members/agent.js';
import { ChannelTable } from '../members/channel-table.js';
import { CHANNELS_SECTION } from '../members/encoded-section.js';
import { packMessage } from '../members/frames.js';
import { transferable } from '../members/parts.js';
import { type CapturedMember, MEMBER_SHARED, slotsOf, stepOf, type Welcome } from '../members/protocol.js';
import { isProviders } from '../restart/member-part.js';
import { decodeSections } from '../restart/sections.js';
import { settleUnclaimed } from '../restart/unclaimed.js';
import { CarriedSections } from '../state/carried.js';
import type { Provider } from '../state/provider.js';
import { ProviderRegistry } from '../state/registry.js';
import { AskProgram } from './ask-program.js';
import { NestedMembers } from './nested-members.js';
import { SeenPlaces } from './seen-places.js';
import { Tasks } from './tasks.js';

/** What start() of a member resolves with. */
export interface MemberStart {
  readonly restarted: boolean;
  /** This member had called finish() before the image was taken. */
  readonly finished: boolean;
  readonly incarnation: number;
}

export class MemberLife {
  readonly name: string;
  readonly shared: Int32Array;
  readonly step: Float64Array;
  readonly classes: ClassRegistry = new ClassRegistry();
  readonly registry: ProviderRegistry;
  readonly handlers: Handlers;
  readonly channels: ChannelTable;
  readonly tasks: Tasks;
  readonly #welcome: Welcome;
  readonly #agent: MemberAgent;
  readonly #keepAlive = new KeepAlive(systemClock);
  readonly asking: AskProgram = new AskProgram(() => this.#agent, this.#keepAlive);
  readonly nested: NestedMembers;
  readonly #staging = new Staging();
  readonly #seen = new SeenPlaces(
    (place) => this.#agent.post({ type: 'seen-at', place }),
    () => systemClock.monotonic(),
  );
  readonly #memories: ReadonlyMap<string, SharedArrayBuffer>;
  /** Made before the program of the member sees anything of its part of the image. */
  readonly #carried: CarriedSections | undefined;
  #stage: 'registering' | 'starting' | 'running' | 'finished' = 'registering';

  constructor(welcome: Welcome) {
    this.#welcome = welcome;
    this.name = welcome.name;
    this.shared = slotsOf(welcome.attention);
    this.step = stepOf(welcome.attention);
    this.#memories = new Map(welcome.shared);
    this.handlers = new Handlers(systemClock, welcome.handlerTimeoutMs);
    this.#agent = this.#makeAgent();
    this.nested = new NestedMembers({ member: this.name, kind: welcome.kind, agent: () => this.#agent, keepAlive: this.#keepAlive });
    this.tasks = new Tasks(this.name, this.#agent.gate, this.#keepAlive, () => this.#agent.wantsToLeave());
    this.channels = new ChannelTable(
      this.name,
      {
        assertOpen: (call) => this.assertNotFinished(call),
        task: () => this.tasks.current,
        whenGoingOn: (task, take) => this.#agent.gate.whenGoingOn(task, take),
        during: (work) => this.#keepAlive.during(work),
        safe: (work) => this.safe(work, '(iteration of a channel)'),
        receiving: (change) => Atomics.add(this.shared, MEMBER_SHARED.RECEIVING, change),
        report: (message) => this.#agent.post({ type: 'report', message }),
        hurried: () => this.#agent.hurried,
      },
      (key) => this.#agent.post({ type: 'channel', key }),
    );
    const part = welcome.source?.part;
    this.#carried =
      part === undefined || welcome.allowUnclaimed !== 'carry' ? undefined : new CarriedSections(part, this.name, isProviders);
    const sections = part === undefined ? new Map() : decodeSections(part, this.name, this.classes);
    this.channels.restore(sections.get(CHANNELS_SECTION)?.value);
    this.registry = new ProviderRegistry(sections, this.classes);
    // Before what waits until the program has read all that a forked member sent.
    process.prependOnceListener('exit', (code) => this.#leave(code));
  }

  /** The thread or process ends by itself: what peers have not asked for yet goes to the program. */
  #leave(code: number): void {
    if (code !== 0 || this.#stage !== 'running') return;
    const unsent = this.channels.unsent();
    if (unsent.length > 0) this.#agent.post({ type: 'leaving', unsent: packMessage(unsent) });
  }

  /** Tells the program that this member cannot begin. */
  failed(error: unknown): void {
    this.#agent.post({ type: 'failed-start', error: packError(error) });
  }

  assertRegistering(call: string): void {
    if (this.#stage === 'registering') return;
    throw new CheckpointError('ERR_CKPT_PHASE', `${call}: registration ends with start(); move the call before it`, { phase: 'register' });
  }

  /** @throws CheckpointError ERR_CKPT_PHASE, ERR_CKPT_FENCED, ERR_CKPT_REENTRANT */
  assertRunning(call: string): void {
    const inside = this.handlers.inside();
    if (inside !== undefined)
      throw new CheckpointError('ERR_CKPT_REENTRANT', `${call}: called inside ${inside}, which is part of a checkpoint itself`, {
        phase: 'handlers',
      });
    if (this.#agent.ended === 'fenced') throw endedError('fenced', call);
    if (this.#stage === 'running' || (this.#stage === 'finished' && call === 'finish()')) return;
    const why = this.#stage === 'finished' ? 'called after finish()' : 'called before start(); await ckpt.start() first';
    throw new CheckpointError('ERR_CKPT_PHASE', `${call}: ${why}`, { phase: 'request' });
  }

  assertNotFinished(call: string): void {
    if (this.#stage !== 'finished') return;
    throw new CheckpointError('ERR_CKPT_PHASE', `${call}: member '${this.name}' has called finish(); send, receive and declare before it`, {
      member: this.name,
      phase: 'request',
    });
  }

  sharedMemory(name: string, byteLength: number | undefined): SharedArrayBuffer {
    const memory = this.#memories.get(name);
    if (memory !== undefined && (byteLength === undefined || memory.byteLength === byteLength)) return memory;
    const none = this.#welcome.kind === 'process' ? 'a forked process shares no memory' : 'the program has made none of that name';
    const found = memory === undefined ? none : `it has ${memory.byteLength} bytes`;
    throw new CheckpointError(
      'ERR_CKPT_MEMBER',
      `shared('${name}') in member '${this.name}': ${found}; call shared('${name}', bytes) in the program, before its start(), and ask for it in its threads`,
      { member: this.name, phase: 'register' },
    );
  }

  async start(): Promise<MemberStart> {
    this.assertRegistering('start()');
    this.#stage = 'starting';
    this.registry.close();
    const { source, incarnation } = this.#welcome;
    try {
      await this.#keepAlive.during(this.nested.accepted());
      await this.#keepAlive.during(this.#restore());
    } catch (error) {
      this.failed(error);
      throw error;
    }
    if (source?.finished === true) {
      // What it has left is what it was started with; the program asks it nothing any more.
      this.#stage = 'finished';
      this.#agent.post({ type: 'started' });
      this.#postFinal();
      return { restarted: true, finished: true, incarnation };
    }
    this.channels.reopen();
    await this.#agent.go();
    this.#stage = 'running';
    this.#agent.look(undefined);
    return { restarted: source !== undefined && source.rescaled !== 'anew', finished: false, incarnation };
  }

  async safepoint(step: number | undefined, place: Place): Promise<void> {
    this.#seen.seen(place);
    if (this.#agent.look(step)) await this.#agent.stand(this.tasks.current, step, place);
    else await new Promise((resolve) => setImmediate(resolve));
    if (this.#agent.ended === 'fenced') throw endedError('fenced', 'safepoint()');
  }

  safepointSync(step: number | undefined, place: Place): void {
    this.#seen.seen(place);
    if (this.#agent.look(step)) this.#agent.standSync(this.tasks.current, step, place);
    if (this.#agent.ended === 'fenced') throw endedError('fenced', 'safepointSync()');
  }

  safe<T>(work: PromiseLike<T> | T, place: Place): Promise<T> {
    this.#seen.seen(place);
    return this.#agent.safe(this.tasks.current, work, place);
  }

  finish(): void {
    if (this.#stage === 'finished') return;
    this.#stage = 'finished';
    this.channels.end();
    this.#postFinal();
  }

  /** It is part of all later images, whose parents may be any: nothing of it follows what an image before holds. */
  #postFinal(): void {
    for (const { log } of this.registry.list()) log?.writeWhole();
    const captured = this.handlers.guard('a capture function', () => this.#capture(new Staging(), []));
    const unsent = this.channels.unsent();
    this.#agent.post({ type: 'finished', captured, sent: this.channels.sent(), unsent }, transferable(captured));
  }

  #makeAgent(): MemberAgent {
    return new MemberAgent({
      name: this.name,
      port: this.#welcome.port,
      shared: this.shared,
      channels: () => this.channels,
      handlers: (kind, reason, name) => this.handlers.run(kind, { reason, name, image: undefined }),
      handlersSync: (kind, reason, name) => this.handlers.runSync(kind, { reason, name, image: undefined }),
      capture: () => this.handlers.guard('a capture function', () => this.#capture(this.#staging, this.#channelsOf())),
      asked: (message) => this.asking.take(message),
      nested: (message) => this.nested.take(message),
      recycle: () => this.#staging.reset(),
      committed: (failure) => this.#committed(failure),
      during: (work) => this.#keepAlive.during(work),
    });
  }

  #channelsOf(): Provider[] {
    const channels = this.channels.capture();
    return channels === undefined ? [] : [{ name: CHANNELS_SECTION, kind: 'channels', version: 1, place: 'ckpt', capture: () => channels }];
  }

  #capture(staging: Staging, own: readonly Provider[]): CapturedMember {
    const { sections, buffers, stateBytes, dirtyBytes } = captureMember(this.name, [...this.registry.list(), ...own], {
      staging,
      shadows: undefined, // the helper thread gives memory back to the program's thread only
      beyond: undefined,
      classes: this.classes,
      carried: this.#carried,
      files: () => ({ open: [], carried: [] }),
      foreign: [...this.#memories.values()],
    });
    return { sections, buffers: buffers.filter((buffer): buffer is BufferInput => 'chunks' in buffer), stateBytes, dirtyBytes };
  }

  #committed(failure: Error | undefined): void {
    if (failure === undefined) this.registry.committed();
    else if (isCheckpointError(failure)) this.registry.failed(failure);
  }

  /** What cannot be gone on from refuses before anything of the member has begun. */
  async #restore(): Promise<void> {
    const { source, allowUnclaimed } = this.#welcome;
    const refusal = this.registry.refusal();
    if (refusal !== undefined) throw refusal;
    settleUnclaimed(this.registry, source?.part.manifest.image ?? null, { mode: allowUnclaimed, carried: this.#carried });
    if (source === undefined) return;
    const providers = this.registry.list();
    for (const provider of providers) {
      const claim = this.registry.claim(provider.name);
      if (claim !== undefined) provider.plan?.(claim.value);
    }
    if (source.rescaled !== undefined) for (const { log } of providers) log?.writeWhole(); // no image holds what it begins with
    if (source.rescaled === 'anew') return;
    for (const provider of providers) await this.#restoreOne(provider);
    await this.handlers.run('atRestart', { reason: 'restart', name: undefined, image: undefined });
  }

  async #restoreOne({ name, restore }: Provider): Promise<void> {
    const claim = this.registry.claim(name);
    if (claim === undefined || restore === undefined) return;
    try {
      await restore(claim.value);
    } catch (error) {
      throw new CheckpointError(
        'ERR_CKPT_RESTORE',
        `restoring '${name}' of member '${this.name}': its restore function threw: ${messageOf(error)}`,
        { member: this.name, provider: name, phase: 'apply', cause: error },
      );
    }
  }
}
