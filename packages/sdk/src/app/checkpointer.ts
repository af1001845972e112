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
import type { CheckpointResult } from '../checkpoint/request.js';
import { SHARED } from '../checkpoint/thread-protocol.js';
import type { ToldChanges } from '../checkpoint/told-changes.js';
import type { FileOptions } from '../files/contract.js';
import type { TrackedFile } from '../files/tracked-file.js';
import type { Channel } from '../members/channel.js';
import type { MemberHandle } from '../members/participant.js';
import type { SafepointGate } from '../members/safepoint-gate.js';
import type { StartPlan } from '../restart/plan.js';
import type { Rescale } from '../restart/rescale-contract.js';
import { assertCheckpointArguments, assertForkArguments, assertRange, assertWorkerArguments, type CheckpointOptions } from './arguments.js';
import type { EventName, Listener, StartResult } from './events.js';
import type { Life } from './life.js';
import type { ChildOptions, OnMember, WorkerOptions } from './member-options.js';
import { Registering } from './registering.js';
import { safely } from './safely.js';

/** Run time of the program, summed over its incarnations; it stands while the program is down. */
export interface ProgramClock {
  /** Milliseconds of run time so far. */
  now(): number;
}

export class Checkpointer extends Registering {
  readonly clock: ProgramClock;
  readonly #life: Life;
  readonly #shared: Int32Array;
  readonly #plan: () => Promise<StartPlan>;
  readonly #gate: SafepointGate;
  readonly #told: ToldChanges;
  /** The safepoint of each task that lets the event loop turn, while it does. */
  readonly #turns = new Map<string, Promise<void>>();

  /** @internal made by openCheckpointer */
  constructor(life: Life, plan: () => Promise<StartPlan>, told: ToldChanges) {
    super(life, life.timerClock);
    this.#told = told;
    this.#life = life;
    this.#plan = plan;
    this.#shared = life.shared;
    this.#gate = life.conductor.gate;
    this.clock = { now: () => life.runClock.now() };
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
   * @param options `opaque` says what becomes of a child that never joins
   * @throws TypeError; CheckpointError ERR_CKPT_EXISTS
   */
  fork(name: string, program: URL | string, args: readonly string[] = [], options: ChildOptions = {}): MemberHandle {
    assertForkArguments(name, program, args, options);
    this.#life.assertNotEnded(`fork('${name}')`);
    return this.#life.members.fork(name, program, args, options);
  }

  /** The handle of a member. @throws CheckpointError ERR_CKPT_MEMBER when there is none of that name */
  member(name: string): MemberHandle {
    const handle = this.#life.members.get(name);
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
  channel<T = unknown, R = unknown>(name: string, peer: string): Channel<T, R> {
    this.#life.assertNotEnded(`channel('${name}')`);
    return this.#life.members.channel(name, peer) as Channel<T, R>; // what the peer sends is agreed between the two programs
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

  /**
   * Asked by start() when the members of the image are others than those that the program declares, or answers for: with the
   * members of the image, their state and the messages on their way it says what each member begins with. Without it a member
   * of the image that the program does not declare refuses the start. docs/guide-members.md has an example.
   * @throws CheckpointError ERR_CKPT_EXISTS the second time
   */
  rescale(hook: Rescale): void {
    this.#life.assertRegistering('rescale()');
    this.#life.members.rescale(hook);
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
    if (!result.finished) this.begun();
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
    const task = this.#life.tasks.current;
    const turn = this.#turns.get(task);
    if (turn !== undefined && !this.#life.conductor.due) return turn;
    return this.#life.attention.calmed() ? undefined : this.#takeTurn(task, step);
  }

  /** A safepoint inside a synchronous loop: a due checkpoint is taken before it returns. Handlers must be synchronous. */
  safepointSync(): void {
    if (this.#shared[SHARED.ATTENTION] === 0) return;
    this.#life.assertAtSafepoint('safepointSync()');
    this.#life.serveSync(this.#life.tasks.current, callPlace());
  }

  /** A safepoint that lasts while `work` is pending. After a restart `work` is done again. */
  async safe<T>(work: PromiseLike<T> | T): Promise<T> {
    return await safely(this.#life, this.#life.tasks.current, callPlace(), work);
  }

  /**
   * Runs `work` as a task: an activity with safepoints of its own, beside others of its kind. Each of them has to stand for a
   * checkpoint. The caller stands until the task ends, so await it, or several with Promise.all. After a restart it is begun
   * again, with the state as it was.
   * @returns what `work` returns
   * @throws TypeError; CheckpointError ERR_CKPT_EXISTS while one of that name runs, and as safepoint()
   */
  async task<T>(name: string, work: () => Promise<T> | T): Promise<T> {
    this.#life.assertAtSafepoint(`task('${name}')`);
    return await this.#life.tasks.run(name, callPlace(), work);
  }

  /**
   * Asks for a checkpoint and stands at a safepoint until its capture is over; resolves when the image is committed.
   * @throws CheckpointError: any code of docs/errors.md that a checkpoint can fail with; ERR_CKPT_REENTRANT inside a handler
   */
  async checkpoint(name?: string, options: CheckpointOptions = {}): Promise<CheckpointResult> {
    assertCheckpointArguments(name, options);
    this.#life.assertAtSafepoint(`checkpoint(${name === undefined ? '' : `'${name}'`})`);
    return await this.#life.standAndAsk(this.#life.tasks.current, callPlace(), name, options);
  }

  /** Writes the final image and marks it; a later start says finished. Lets go of the store. */
  async finish(): Promise<CheckpointResult | undefined> {
    const result = await this.#life.finish(this.#life.tasks.current, callPlace());
    this.ended();
    return result;
  }

  /** Lets go of the store, after a commit under way. Never writes an image. @throws CheckpointError ERR_CKPT_REENTRANT */
  async close(): Promise<void> {
    this.#life.assertNotInside('close()');
    this.ended();
    await this.#life.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #takeTurn(task: string, step: number | undefined): Promise<void> {
    const turn = this.#standAndTurn(task, callPlace(), step).finally(() => {
      if (this.#turns.get(task) === turn) this.#turns.delete(task);
    });
    this.#turns.set(task, turn);
    return turn;
  }

  async #standAndTurn(task: string, place: Place, step: number | undefined): Promise<void> {
    this.#life.assertAtSafepoint('safepoint()');
    const { gate } = this.#life.conductor;
    gate.arrive(task, place, 'safepoint', step);
    try {
      await new Promise<void>((resolve) => setImmediate(resolve));
      await this.#life.readingOn.whileIncoming();
    } finally {
      const held = gate.leave(task, 'safepoint');
      if (held !== undefined) await this.#life.keepAlive.during(held);
      this.#life.attention.turned();
    }
    this.#life.assertNotFenced();
  }
}
