/**
 * The checkpointer: what a program holds. Wiring only; each call goes to the room that does the work.
 *
 * Invariants
 * 1. `safepoint()` and `safepointSync()` with nothing due are one load and one comparison.
 * 2. Once fenced, every safepoint throws ERR_CKPT_FENCED.
 * 3. The event loop is held only by calls of ours that somebody awaits, and by a commit under way.
 */
import { CheckpointError } from '../base/errors.js';
import { callPlace, type Place } from '../base/place.js';
import type { Handler } from '../checkpoint/handlers.js';
import type { CheckpointResult } from '../checkpoint/request.js';
import type { SafepointGate } from '../checkpoint/safepoint.js';
import { SHARED } from '../checkpoint/thread-protocol.js';
import type { ToldChanges } from '../checkpoint/told-changes.js';
import type { ClassOptions } from '../codec/classes.js';
import type { FileOptions } from '../files/contract.js';
import type { TrackedFile } from '../files/tracked-file.js';
import type { ForkOptions } from '../members/carrier.js';
import type { Channel } from '../members/channel.js';
import type { MemberHandle } from '../members/participant.js';
import type { StartPlan } from '../restart/plan.js';
import type { Collection, CollectionKey } from '../state/collection.js';
import type { ProvideOptions, StateOptions } from '../state/provider.js';
import type { SeededRandom } from '../state/random.js';
import type { RunTimer } from '../state/run-timer.js';
import type { WasmMemory, WasmOptions } from '../state/wasm.js';
import { assertCheckpointArguments, assertForkArguments, assertRange, assertWorkerArguments, type CheckpointOptions } from './arguments.js';
import type { EventName, Listener, StartResult } from './events.js';
import type { Life } from './life.js';
import type { OnMember, WorkerOptions } from './members.js';
import { Registration } from './registration.js';
import { safely } from './safely.js';

/** Run time of the program, summed over its incarnations; it stands while the program is down. */
export interface ProgramClock {
  /** Milliseconds of run time so far. */
  now(): number;
}

const MAIN = 'main';

export class Checkpointer {
  readonly clock: ProgramClock;
  readonly #life: Life;
  readonly #shared: Int32Array;
  readonly #registration: Registration;
  readonly #plan: () => Promise<StartPlan>;
  readonly #gate: SafepointGate;
  readonly #told: ToldChanges;
  /** The safepoint that lets the event loop turn, while it does. */
  #turn: Promise<void> | undefined;

  /** @internal made by openCheckpointer */
  constructor(life: Life, plan: () => Promise<StartPlan>, told: ToldChanges) {
    this.#told = told;
    this.#life = life;
    this.#plan = plan;
    this.#registration = new Registration(life.registry, life.classes, life.timerClock);
    this.#shared = life.shared;
    this.#gate = life.conductor.gate;
    this.clock = { now: () => life.runClock.now() };
  }

  /**
   * Registers a class, so that its instances can be part of the state: they come back with the prototype of the class, the
   * constructor does not run. Without `encode` and `decode` their own properties are carried; with them, what `encode` returns.
   * @param name what images call the class
   * @throws TypeError for a bad argument, a name or class that is registered already, a class with private fields and no
   *   `encode`, or after the first state() or provide()
   */
  registerClass<T extends object>(name: string, maker: abstract new (...args: never[]) => T, options: ClassOptions<T> = {}): void {
    this.#life.assertRegistering(`registerClass('${name}')`);
    this.#registration.registerClass(name, maker, options);
  }

  /**
   * Registers an object as state and returns it: the one of the image, or what `init` makes. It is captured by
   * reference from then on, so change it in place.
   * @throws TypeError for a primitive; CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_PHASE, ERR_CKPT_SCHEMA, ERR_CKPT_UNSUPPORTED_VALUE
   */
  state<T extends object>(name: string, init: () => T, options: StateOptions = {}): T {
    this.#life.assertRegistering(`state('${name}')`);
    return this.#registration.state(name, init, options);
  }

  /** Registers a capture function and a restore function. @throws CheckpointError ERR_CKPT_EXISTS, _PHASE, _SCHEMA */
  provide<T>(name: string, options: ProvideOptions<T>): void {
    this.#life.assertRegistering(`provide('${name}')`);
    this.#registration.provide(name, options);
  }

  /** A seedable generator whose place in its sequence is part of every image. */
  random(name: string, seed: number | string): SeededRandom {
    this.#life.assertRegistering(`random('${name}')`);
    return this.#registration.random(name, seed);
  }

  /**
   * Runs `handler` once, `ms` milliseconds of run time after start(): what is left of it is part of every image, and it stands
   * while the program is down. It does not keep the program alive.
   * @throws TypeError; CheckpointError ERR_CKPT_EXISTS, _PHASE, _SCHEMA
   */
  timer(name: string, ms: number, handler: () => void): RunTimer {
    this.#life.assertRegistering(`timer('${name}')`);
    return this.#registration.timer(name, ms, handler);
  }

  /**
   * Registers the memory of a WebAssembly instance, and exported mutable globals. start() puts them into the program's new
   * instance, before the atRestart handlers: register right after it is made.
   * @throws TypeError for an immutable global; CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_PHASE, ERR_CKPT_SCHEMA
   */
  wasm(name: string, memory: WasmMemory, options: WasmOptions = {}): void {
    this.#life.assertRegistering(`wasm('${name}')`);
    this.#registration.wasm(name, memory, options);
  }

  /**
   * A Map whose checkpoint costs what changed. Values count as they are at the checkpoint after `set`; what is changed in
   * place has to be set again, or told with `touch(key)`.
   * @throws CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_PHASE, ERR_CKPT_SCHEMA
   */
  collection<K extends CollectionKey, V>(name: string): Collection<K, V> {
    this.#life.assertRegistering(`collection('${name}')`);
    return this.#registration.collection(name);
  }

  /**
   * A tracked file: at a restart it is put back to what the image recorded, and the handle goes on where it was.
   * Before start() the handle is only declared; start() opens the file. Later files are opened at once.
   * @throws TypeError for bad options; CheckpointError ERR_CKPT_EXISTS
   */
  file(name: string, path: string, options: FileOptions = {}): TrackedFile {
    return this.#life.declareFile(name, path, options);
  }

  /**
   * A worker thread that is captured and restarted together with the program, under this name. Its program joins with
   * `@ckpt/sdk/member`. Declared before start() it is started by it; later ones at once. A recorded member gets the
   * workerData it was first started with.
   * @throws TypeError; CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_UNSUPPORTED_VALUE for workerData that cannot be recorded
   */
  worker(name: string, program: URL | string, options: WorkerOptions = {}): MemberHandle {
    assertWorkerArguments(name, program, options);
    this.#life.assertNotEnded(`worker('${name}')`);
    return this.#life.members.worker(name, program, options);
  }

  /**
   * A forked process that is captured and restarted together with the program, under this name. Its program joins with
   * `@ckpt/sdk/member`. It ends when this program ends, however that happens. A recorded member gets the arguments it was
   * first started with.
   * @param program a file URL, or a path as for child_process.fork()
   * @throws TypeError; CheckpointError ERR_CKPT_EXISTS
   */
  fork(name: string, program: URL | string, args: readonly string[] = [], options: ForkOptions = {}): MemberHandle {
    assertForkArguments(name, program, args, options);
    this.#life.assertNotEnded(`fork('${name}')`);
    return this.#life.members.fork(name, program, args, options);
  }

  /** The handle of a member. @throws CheckpointError ERR_CKPT_MEMBER when there is none of that name */
  member(name: string): MemberHandle {
    const handle = this.#life.members.set.roster.get(name);
    if (handle === undefined)
      throw new CheckpointError(
        'ERR_CKPT_MEMBER',
        `member('${name}'): there is no member of that name; declare it with worker('${name}', …) or fork('${name}', …)`,
        { member: name },
      );
    return handle;
  }

  /**
   * This end of a channel to a member. Messages on their way are part of every image.
   * @throws TypeError
   */
  channel<T = unknown>(name: string, peer: string): Channel<T> {
    this.#life.assertNotEnded(`channel('${name}')`);
    return this.#life.members.channel(name, peer) as Channel<T>; // what the peer sends is agreed between the two programs
  }

  /** Memory that every member can ask for by this name. @throws TypeError; CheckpointError ERR_CKPT_SCHEMA for another size, ERR_CKPT_PHASE */
  shared(name: string, byteLength: number): SharedArrayBuffer {
    this.#life.assertRegistering(`shared('${name}')`);
    return this.#life.members.shared(name, byteLength);
  }

  /**
   * Tells that the bytes of a view, or of a whole buffer, have been written, so that a checkpoint looks at nothing else of that
   * buffer. From the first call for a buffer on the program has to tell all of its writes, after each and before the next
   * safepoint: **what is not told is lost at a restart.** Not needed where the kernel tells, and without effect there.
   * @throws TypeError
   */
  dirty(range: ArrayBufferView | ArrayBufferLike): void {
    const { memory, start, length } = assertRange(range);
    this.#told.add(memory, start, length);
  }

  /** Asked during start() for each member of the image that the program has not declared. */
  onMember(answer: OnMember): void {
    this.#life.assertRegistering('onMember()');
    this.#life.members.onMember(answer);
  }

  /** Runs before each capture, newest registration first. */
  atCheckpoint(handler: Handler): void {
    this.#life.assertRegistering('atCheckpoint()');
    this.#life.handlers.add('atCheckpoint', handler);
  }

  /** Runs when the same process goes on, also after a failed checkpoint; oldest registration first. */
  atResume(handler: Handler): void {
    this.#life.assertRegistering('atResume()');
    this.#life.handlers.add('atResume', handler);
  }

  /** Runs in a new process once its state is restored; oldest registration first. */
  atRestart(handler: Handler): void {
    this.#life.assertRegistering('atRestart()');
    this.#life.handlers.add('atRestart', handler);
  }

  on<E extends EventName>(event: E, listener: Listener<E>): this {
    this.#life.events.on(event, listener);
    return this;
  }

  once<E extends EventName>(event: E, listener: Listener<E>): this {
    this.#life.events.once(event, listener);
    return this;
  }

  off<E extends EventName>(event: E, listener: Listener<E>): this {
    this.#life.events.off(event, listener);
    return this;
  }

  /**
   * What start() would do with each provider, section and file. Called after registration and before start(); changes nothing.
   * @throws CheckpointError ERR_CKPT_PHASE after start()
   */
  async planRestart(): Promise<StartPlan> {
    this.#life.assertRegistering('planRestart()');
    return await this.#life.keepAlive.during(this.#plan());
  }

  /** Ends registration, restores what the image holds, runs atRestart handlers. Effects happen here. */
  async start(): Promise<StartResult> {
    const result = await this.#life.start();
    if (!result.finished) this.#registration.begin();
    return result;
  }

  /**
   * A place where the state is whole. Returns undefined when nothing is due; otherwise await what it returns.
   * @param step where the program and its members count steps: all of them are captured at the same one
   * @throws CheckpointError ERR_CKPT_FENCED, ERR_CKPT_CLOSED, ERR_CKPT_PHASE before start, ERR_CKPT_REENTRANT, ERR_CKPT_CONCURRENT_SAFEPOINT
   */
  safepoint(step?: number): Promise<void> | undefined {
    if (step !== undefined) this.#gate.passedStep = step;
    if (this.#shared[SHARED.ATTENTION] === 0) return undefined;
    // Nothing is due and the loop is to turn already: a caller that did not await gets the same turn again.
    if (this.#turn !== undefined && !this.#life.conductor.due) return this.#turn;
    return this.#life.attention.calmed() ? undefined : this.#takeTurn(step);
  }

  /** A safepoint inside a synchronous loop: a due checkpoint is taken before it returns. Handlers must be synchronous. */
  safepointSync(): void {
    if (this.#shared[SHARED.ATTENTION] === 0) return;
    this.#life.assertAtSafepoint('safepointSync()');
    this.#life.serveSync(MAIN, callPlace());
  }

  /** A safepoint that lasts while `work` is pending. After a restart `work` is done again. */
  async safe<T>(work: PromiseLike<T> | T): Promise<T> {
    return await safely(this.#life, MAIN, callPlace(), work);
  }

  /**
   * Asks for a checkpoint and stands at a safepoint until its capture is over; resolves when the image is committed.
   * @throws CheckpointError: any code of docs/errors.md that a checkpoint can fail with; ERR_CKPT_REENTRANT inside a handler
   */
  async checkpoint(name?: string, options: CheckpointOptions = {}): Promise<CheckpointResult> {
    assertCheckpointArguments(name, options);
    this.#life.assertAtSafepoint(`checkpoint(${name === undefined ? '' : `'${name}'`})`);
    return await this.#life.standAndAsk(MAIN, callPlace(), name, options);
  }

  /** Writes the final image and marks it; a later start says finished. Lets go of the store. */
  async finish(): Promise<CheckpointResult | undefined> {
    const result = await this.#life.finish(MAIN, callPlace());
    this.#registration.end();
    return result;
  }

  /** Lets go of the store, after a commit under way. Never writes an image. @throws CheckpointError ERR_CKPT_REENTRANT */
  async close(): Promise<void> {
    this.#life.assertNotInside('close()');
    this.#registration.end();
    await this.#life.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #takeTurn(step: number | undefined): Promise<void> {
    const turn = this.#standAndTurn(callPlace(), step).finally(() => {
      if (this.#turn === turn) this.#turn = undefined;
    });
    this.#turn = turn;
    return turn;
  }

  async #standAndTurn(place: Place, step: number | undefined): Promise<void> {
    this.#life.assertAtSafepoint('safepoint()');
    const { gate } = this.#life.conductor;
    gate.arrive(MAIN, place, 'safepoint', step);
    try {
      await new Promise<void>((resolve) => setImmediate(resolve));
    } finally {
      const held = gate.leave(MAIN, 'safepoint');
      if (held !== undefined) await this.#life.keepAlive.during(held);
      this.#life.attention.turned();
    }
    this.#life.assertNotFenced();
  }
}
