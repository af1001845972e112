/**
 * The life of one incarnation inside its program: which calls are allowed when, and what starts and ends with it.
 *
 *   registering → starting → running → ended
 *
 * Invariants
 * 1. Registration belongs to `registering`, safepoints to `running`; every other order is ERR_CKPT_PHASE.
 * 2. However it ends, triggers stop, the helper thread ends and the hold on the store is given up, once; not while start()
 *    still works on it.
 */
import { CheckpointError, messageOf } from '../base/errors.js';
import type { Place } from '../base/place.js';
import type { Clock } from '../base/ports.js';
import type { HelperThread } from '../checkpoint/background.js';
import type { Conductor } from '../checkpoint/conductor.js';
import type { Handlers } from '../checkpoint/handlers.js';
import type { KeepAlive } from '../checkpoint/keep-alive.js';
import { endedError } from '../checkpoint/refused-calls.js';
import { type CheckpointResult, type ImageInfo, nothingWritten } from '../checkpoint/request.js';
import { SHARED } from '../checkpoint/thread-protocol.js';
import type { ClassRegistry } from '../codec/classes.js';
import type { FileOptions } from '../files/contract.js';
import type { FileTable } from '../files/table.js';
import type { TrackedFile } from '../files/tracked-file.js';
import type { RunClock } from '../state/clock.js';
import type { ProviderRegistry } from '../state/registry.js';
import type { Incarnation } from '../store/contract.js';
import type { Pacing } from '../triggers/pacing.js';
import type { SignalTrigger } from '../triggers/signals.js';
import type { CheckpointOptions } from './arguments.js';
import { Attention } from './attention.js';
import type { Events, StartResult } from './events.js';
import type { Members } from './members.js';
import { MAIN } from './opened.js';
import { ReadingOn } from './reading-on.js';
import { standWhile } from './stand-while.js';
import { Tasks } from './tasks.js';

/** How often request files are looked for while a synchronous loop runs, ms. */
const SYNC_POLL_MS = 50;

export interface LifeParts {
  readonly clock: Clock;
  readonly runClock: RunClock;
  readonly events: Events;
  readonly registry: ProviderRegistry;
  readonly classes: ClassRegistry;
  readonly handlers: Handlers;
  readonly keepAlive: KeepAlive;
  readonly conductor: Conductor;
  readonly background: HelperThread;
  readonly files: FileTable;
  readonly members: Members;
  readonly signals: SignalTrigger;
  readonly incarnation: Incarnation;
  /** Plans, seals and applies. */
  readonly apply: () => Promise<StartResult>;
  readonly startPacing: () => Pacing | undefined;
  readonly warn: (message: string) => void;
}

type Stage = 'registering' | 'starting' | 'running' | 'ended';

export class Life {
  readonly #parts: LifeParts;
  readonly attention: Attention;
  readonly tasks: Tasks;
  readonly readingOn: ReadingOn;
  #stage: Stage = 'registering';
  #startedFinished = false;
  #pacing: Pacing | undefined;
  #pollsForSync = false;
  /** Settles with what start() does; never rejects. */
  #begun: Promise<unknown> | undefined;
  #ending: Promise<void> | undefined;
  /** An ordinary end without finish() or close() loses nothing that was written. */
  readonly #flushAtExit = (code: number): void => {
    try {
      this.#parts.files.flushSync();
    } catch (error) {
      if (code !== 0) return; // a program that has failed already says why by itself
      process.exitCode = 1; // process.exit(0) would win otherwise
      throw error;
    }
  };
  #flushesAtExit = false;

  constructor(parts: LifeParts) {
    this.#parts = parts;
    this.tasks = new Tasks(MAIN, parts.conductor.gate, parts.keepAlive);
    this.readingOn = new ReadingOn(parts.clock, () => parts.members.set.incoming);
    this.attention = new Attention(this.shared, parts.conductor, () => this.#canLower());
  }

  get shared(): Int32Array {
    return this.#parts.background.shared;
  }
  get runClock(): RunClock {
    return this.#parts.runClock;
  }
  get registry(): ProviderRegistry {
    return this.#parts.registry;
  }
  get classes(): ClassRegistry {
    return this.#parts.classes;
  }
  get handlers(): Handlers {
    return this.#parts.handlers;
  }
  get events(): Events {
    return this.#parts.events;
  }
  get timerClock(): Clock {
    return this.#parts.clock;
  }
  get keepAlive(): KeepAlive {
    return this.#parts.keepAlive;
  }
  get members(): Members {
    return this.#parts.members;
  }
  get conductor(): Conductor {
    return this.#parts.conductor;
  }

  /** No checkpoint can follow: nobody asks for one any more. */
  ended(): void {
    this.#pacing?.close();
  }

  /** A capture began: pacing counts from it. */
  captured(at: number): void {
    this.#pacing?.captured(at);
  }

  /** A checkpoint was committed, and what it cost is learned. */
  reconsidered(): void {
    this.#pacing?.reconsider();
  }

  assertRegistering(call: string): void {
    if (this.#stage === 'registering') return;
    this.assertNotEnded(call);
    throw new CheckpointError('ERR_CKPT_PHASE', `${call}: registration ends with start(); move the call before it`, { phase: 'register' });
  }

  declareFile(name: string, path: string, options: FileOptions): TrackedFile {
    this.assertNotEnded(`file('${name}')`);
    if (!this.#flushesAtExit) process.once('exit', this.#flushAtExit);
    this.#flushesAtExit = true;
    return this.#parts.files.declare(name, path, options);
  }

  /** @throws CheckpointError ERR_CKPT_REENTRANT, ERR_CKPT_FENCED, ERR_CKPT_CLOSED, ERR_CKPT_PHASE */
  assertAtSafepoint(call: string): void {
    this.assertNotInside(call);
    this.assertNotFenced();
    this.assertNotEnded(call);
    if (this.#stage === 'registering' || this.#stage === 'starting') {
      throw new CheckpointError('ERR_CKPT_PHASE', `${call}: called before start(); await ckpt.start() first`, { phase: 'request' });
    }
  }

  /** @throws CheckpointError ERR_CKPT_REENTRANT inside a handler or a capture function */
  assertNotInside(call: string): void {
    const inside = this.handlers.inside();
    if (inside === undefined) return;
    throw new CheckpointError(
      'ERR_CKPT_REENTRANT',
      `${call}: called inside ${inside}, which is part of a checkpoint or restart itself; ask after it`,
      {
        phase: 'handlers',
      },
    );
  }

  assertNotFenced(): void {
    if (this.shared[SHARED.FENCED] !== 0) this.conductor.end('fenced');
    const { phase } = this.conductor;
    if (phase.at === 'ended' && phase.why === 'fenced') throw endedError('fenced');
  }

  async start(): Promise<StartResult> {
    this.assertNotEnded('start()');
    if (this.#stage !== 'registering')
      throw new CheckpointError('ERR_CKPT_PHASE', 'start(): called a second time; call it once', { phase: 'plan' });
    this.#stage = 'starting';
    this.registry.close();
    const beginning = this.#parts.apply();
    this.#begun = beginning.catch(() => {});
    try {
      const result = await this.keepAlive.during(beginning);
      if (this.#ending !== undefined) throw endedError('closed', 'start()');
      this.#stage = 'running';
      if (result.finished && result.image !== undefined) this.#startFinished(result.image);
      else this.#pacing = this.#parts.startPacing();
      this.conductor.start();
      this.members.set.roster.go();
      this.attention.turned();
      return result;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Serves what is due inside a synchronous loop. */
  serveSync(task: string, place: Place): void {
    if (!this.#pollsForSync) this.#parts.background.pollRequests(SYNC_POLL_MS);
    this.#pollsForSync = true;
    this.attention.lower();
    this.#parts.background.drain();
    this.#pacing?.askIfDue(this.#parts.clock.monotonic());
    this.conductor.runSync(task, place);
    this.assertNotFenced();
    this.attention.calm();
  }

  /** A checkpoint that the task at `place` waits for: its capture is that task's safepoint. */
  async standAndAsk(
    task: string,
    place: Place,
    name: string | undefined,
    { signal, replace = false }: CheckpointOptions,
  ): Promise<CheckpointResult> {
    const asked = { reason: 'call', exit: false, replace, ...(name === undefined ? {} : { name }) } as const;
    return await standWhile({ conductor: this.conductor, keepAlive: this.keepAlive, task, place }, asked, signal);
  }

  async finish(task: string, place: Place): Promise<CheckpointResult | undefined> {
    this.assertAtSafepoint('finish()');
    if (this.#startedFinished) {
      await this.close();
      return undefined;
    }
    // The commit also gives up the hold on the store: nothing may be left to write then.
    const flushed = this.#parts.files.flush();
    if (flushed !== undefined) await this.keepAlive.during(flushed);
    const asked = { reason: 'finish', exit: false } as const;
    const result = await standWhile({ conductor: this.conductor, keepAlive: this.keepAlive, task, place }, asked);
    await this.close();
    return result;
  }

  close(): Promise<void> {
    this.#ending ??= this.keepAlive.during(this.#end());
    return this.#ending;
  }

  /** @throws CheckpointError unless the program registers or runs */
  assertNotEnded(call: string): void {
    const { phase } = this.conductor;
    if (phase.at === 'ended' && !(this.#startedFinished && phase.why === 'finished' && this.#stage === 'running'))
      throw endedError(phase.why, call);
  }

  /** In a run that had finished nobody is there to talk to. @throws CheckpointError ERR_CKPT_PHASE, and as assertNotEnded() */
  assertTalking(call: string): void {
    this.assertNotEnded(call);
    if (!this.#startedFinished) return;
    const why = 'the image that this start came from is the last of a finished run, in which no member is started';
    throw new CheckpointError('ERR_CKPT_PHASE', `${call}: ${why}; look at \`finished\` of what start() returns`, { phase: 'request' });
  }

  /** Calls at a wrong time are to be noticed. */
  #canLower(): boolean {
    return this.#stage === 'running' && (this.conductor.phase.at !== 'ended' || this.#startedFinished);
  }

  #startFinished(image: ImageInfo): void {
    this.#startedFinished = true;
    this.#parts.files.stayClosed();
    this.conductor.endFinished(nothingWritten(image));
  }

  async #end(): Promise<void> {
    const { conductor, background, incarnation, signals } = this.#parts;
    // Letting go must not hide what the program has to say: the next start finds out by itself that this one has ended.
    const warn = (error: unknown): void => this.#parts.warn(`letting go of the store: ${messageOf(error)}`);
    // What start() puts in place is put in place, or undone, before the store is let go.
    await this.#begun;
    this.#pacing?.close();
    await conductor.settled();
    conductor.end('closed');
    this.#stage = 'ended';
    signals.close();
    this.runClock.stop();
    this.attention.alert();
    try {
      await this.#parts.files.close();
    } finally {
      process.off('exit', this.#flushAtExit);
      await background.stop();
      if (conductor.phase.at === 'ended' && conductor.phase.why !== 'fenced') await incarnation.release().catch(warn);
    }
  }
}
