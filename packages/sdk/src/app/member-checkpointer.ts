/**
 * The checkpointer of a member: what its program holds. The set's side is in the program (members/set.ts).
 *
 * Invariants
 * 1. `safepoint()` and `safepointSync()` with nothing due are one load, one comparison and one store.
 * 2. Once the program is fenced, every safepoint throws ERR_CKPT_FENCED.
 * 3. The thread is held only by calls of ours that somebody awaits.
 */
import { CheckpointError } from '../base/errors.js';
import { callPlace } from '../base/place.js';
import { systemClock } from '../base/system-ports.js';
import type { CheckpointResult } from '../checkpoint/request.js';
import type { FileOptions } from '../files/contract.js';
import type { Channel } from '../members/channel.js';
import type { MemberHandle } from '../members/participant.js';
import { MEMBER_SHARED } from '../members/protocol.js';
import { assertCheckpointArguments, assertForkArguments, assertWorkerArguments, type CheckpointOptions } from './arguments.js';
import type { MemberLife, MemberStart } from './member-life.js';
import type { ChildOptions, WorkerOptions } from './member-options.js';
import { Registering } from './registering.js';

export class MemberCheckpointer extends Registering {
  readonly name: string;
  readonly #life: MemberLife;
  readonly #shared: Int32Array;
  readonly #step: Float64Array;
  readonly #turns = new Map<string, Promise<void>>();

  /** @internal made by joinCheckpointer */
  constructor(life: MemberLife) {
    super(life, systemClock);
    this.#life = life;
    this.#shared = life.shared;
    this.#step = life.step;
    this.name = life.name;
  }

  /**
   * A worker thread that is a member as this one is, under a name that is used once in the whole set. The program starts it; it
   * ends when this member dies or leaves before finish(). Declared before start(), the recorded one is brought back.
   * @throws TypeError; CheckpointError ERR_CKPT_MEMBER in a forked member, ERR_CKPT_PHASE; what the program refuses it for rejects
   *   start(), or `done` after it
   */
  worker(name: string, program: URL | string, options: WorkerOptions = {}): MemberHandle {
    assertWorkerArguments(name, program, options);
    this.#life.assertNotFinished(`worker('${name}')`);
    return this.#life.nested.worker(name, program, options, callPlace());
  }

  /** A forked process that is a member as this one is: as worker(). It has the directory and the environment of this member. */
  fork(name: string, program: URL | string, args: readonly string[] = [], options: ChildOptions = {}): MemberHandle {
    assertForkArguments(name, program, args, options);
    this.#life.assertNotFinished(`fork('${name}')`);
    return this.#life.nested.fork(name, program, args, options, callPlace());
  }

  /**
   * Files are tracked in the program: a member sends it what it has to write.
   * @throws CheckpointError ERR_CKPT_MEMBER
   */
  file(name: string, _path?: string, _options?: FileOptions): never {
    throw new CheckpointError(
      'ERR_CKPT_MEMBER',
      `file('${name}') in member '${this.name}': a member tracks no files; declare it with file() in the program, which puts it back at a restart, and send it over a channel what is to be written, or read`,
      { member: this.name, phase: 'register' },
    );
  }

  /** This end of a channel to another member, or to the program (`main`). @throws TypeError */
  channel<T = unknown, R = unknown>(name: string, peer: string): Channel<T, R> {
    return this.#life.channels.open(name, peer) as Channel<T, R>; // what the peer sends is agreed between the two programs
  }

  /** Memory that the program has made with shared(name, byteLength). @throws CheckpointError ERR_CKPT_MEMBER when there is none, or of another size */
  shared(name: string, byteLength?: number): SharedArrayBuffer {
    return this.#life.sharedMemory(name, byteLength);
  }

  /** Ends registration, restores what the image holds; resolves when the program lets its members begin. */
  async start(): Promise<MemberStart> {
    const result = await this.#life.start();
    if (!result.finished) this.begun();
    return result;
  }

  /**
   * A place where this member's state is whole. Returns undefined when nothing is due; otherwise await what it returns.
   * @param step members that pass one are captured at the same step
   */
  safepoint(step?: number): Promise<void> | undefined {
    if (step !== undefined) this.#step[0] = step;
    if (this.#shared[MEMBER_SHARED.ATTENTION] === 0) return undefined;
    const task = this.#life.tasks.current;
    const taken = this.#turns.get(task);
    if (taken !== undefined) return taken;
    this.#life.assertRunning('safepoint()');
    const turn = this.#life.safepoint(step, callPlace()).finally(() => this.#turns.delete(task));
    this.#turns.set(task, turn);
    return turn;
  }

  /** The same inside a synchronous loop: waits without a turn of the event loop. */
  safepointSync(step?: number): void {
    if (step !== undefined) this.#step[0] = step;
    if (this.#shared[MEMBER_SHARED.ATTENTION] === 0) return;
    this.#life.assertRunning('safepointSync()');
    this.#life.safepointSync(step, callPlace());
  }

  /** A safepoint that lasts while `work` is pending. After a restart `work` is done again. */
  safe<T>(work: PromiseLike<T> | T): Promise<T> {
    this.#life.assertRunning('safe()');
    return this.#life.safe(work, callPlace());
  }

  /** As in the program: an activity of this member with safepoints of its own. The member stands when all of them do. */
  async task<T>(name: string, work: () => Promise<T> | T): Promise<T> {
    this.#life.assertRunning(`task('${name}')`);
    return await this.#life.tasks.run(name, callPlace(), work);
  }

  /**
   * Asks for a checkpoint of the program and all its members, and stands at a safepoint until its capture is over; resolves when
   * the image is committed.
   * @throws CheckpointError: as in the program
   */
  async checkpoint(name?: string, options: CheckpointOptions = {}): Promise<CheckpointResult> {
    assertCheckpointArguments(name, options);
    this.#life.assertRunning(`checkpoint(${name === undefined ? '' : `'${name}'`})`);
    return await this.#life.asking.ask(this.#life.tasks.current, callPlace(), name, options);
  }

  /** This member is done: its state is in all later images, and a restart finds it finished. */
  async finish(): Promise<void> {
    this.#life.assertRunning('finish()');
    this.#life.finish();
    this.ended();
  }
}

/** @param opaque the name under which this thread or process, or the one that it was started by, was declared opaque */
export function notJoined(opaque: string | undefined): CheckpointError {
  if (opaque !== undefined)
    return new CheckpointError(
      'ERR_CKPT_MEMBER',
      `joinCheckpointer(): '${opaque}' was declared with opaque: 'restart' or 'exclude', so that nobody waits for it and nothing of it is captured; leave that option out in worker() or fork() for a child that joins`,
      { member: opaque, phase: 'open' },
    );
  return new CheckpointError(
    'ERR_CKPT_MEMBER',
    "joinCheckpointer(): this thread or process was not started by worker(name, program) or fork(name, program) of a checkpointer; in the program itself use openCheckpointer() of '@ckpt/sdk'",
    { phase: 'open' },
  );
}
