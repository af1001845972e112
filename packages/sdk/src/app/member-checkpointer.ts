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
import type { Handler } from '../checkpoint/handlers.js';
import type { ClassOptions } from '../codec/classes.js';
import type { Channel } from '../members/channel.js';
import { MEMBER_SHARED } from '../members/protocol.js';
import type { Collection, CollectionKey } from '../state/collection.js';
import type { ProvideOptions, StateOptions } from '../state/provider.js';
import type { SeededRandom } from '../state/random.js';
import type { RunTimer } from '../state/run-timer.js';
import type { WasmMemory, WasmOptions } from '../state/wasm.js';
import type { MemberLife, MemberStart } from './member-life.js';
import { Registration } from './registration.js';

export class MemberCheckpointer {
  readonly name: string;
  readonly #life: MemberLife;
  readonly #registration: Registration;
  readonly #shared: Int32Array;
  readonly #step: Float64Array;
  #turn: Promise<void> | undefined;

  /** @internal made by joinCheckpointer */
  constructor(life: MemberLife) {
    this.#life = life;
    this.#registration = new Registration(life.registry, life.classes, systemClock);
    this.#shared = life.shared;
    this.#step = life.step;
    this.name = life.name;
  }

  /** As in the program: registers a class, so that its instances can be part of this member's state. @throws TypeError */
  registerClass<T extends object>(name: string, maker: abstract new (...args: never[]) => T, options: ClassOptions<T> = {}): void {
    this.#life.assertRegistering(`registerClass('${name}')`);
    this.#registration.registerClass(name, maker, options);
  }

  /**
   * As in the program: an object that is captured by reference, from the image or made by `init`.
   * @throws TypeError for a primitive; CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_PHASE, ERR_CKPT_SCHEMA, ERR_CKPT_UNSUPPORTED_VALUE
   */
  state<T extends object>(name: string, init: () => T, options: StateOptions = {}): T {
    this.#life.assertRegistering(`state('${name}')`);
    return this.#registration.state(name, init, options);
  }

  /** As in the program. @throws CheckpointError ERR_CKPT_EXISTS, _PHASE, _SCHEMA */
  provide<T>(name: string, options: ProvideOptions<T>): void {
    this.#life.assertRegistering(`provide('${name}')`);
    this.#registration.provide(name, options);
  }

  /**
   * As in the program: runs `handler` once, `ms` milliseconds of run time after start(): what is left of it is part of every image, and it stands
   * while the program is down. It does not keep the program alive.
   * @throws TypeError; CheckpointError ERR_CKPT_EXISTS, _PHASE, _SCHEMA
   */
  timer(name: string, ms: number, handler: () => void): RunTimer {
    this.#life.assertRegistering(`timer('${name}')`);
    return this.#registration.timer(name, ms, handler);
  }

  /** A seedable generator whose place in its sequence is part of every image. */
  random(name: string, seed: number | string): SeededRandom {
    this.#life.assertRegistering(`random('${name}')`);
    return this.#registration.random(name, seed);
  }

  /** As in the program. @throws TypeError for an immutable global; CheckpointError ERR_CKPT_EXISTS, _PHASE, _SCHEMA */
  wasm(name: string, memory: WasmMemory, options: WasmOptions = {}): void {
    this.#life.assertRegistering(`wasm('${name}')`);
    this.#registration.wasm(name, memory, options);
  }

  /** As in the program: a Map whose checkpoint costs what changed. @throws CheckpointError ERR_CKPT_EXISTS, _PHASE, _SCHEMA */
  collection<K extends CollectionKey, V>(name: string): Collection<K, V> {
    this.#life.assertRegistering(`collection('${name}')`);
    return this.#registration.collection(name);
  }

  /** Runs before this member's capture, once everybody has stopped. */
  atCheckpoint(handler: Handler): void {
    this.#life.assertRegistering('atCheckpoint()');
    this.#life.handlers.add('atCheckpoint', handler);
  }

  atResume(handler: Handler): void {
    this.#life.assertRegistering('atResume()');
    this.#life.handlers.add('atResume', handler);
  }

  atRestart(handler: Handler): void {
    this.#life.assertRegistering('atRestart()');
    this.#life.handlers.add('atRestart', handler);
  }

  /** This end of a channel to another member, or to the program (`main`). @throws TypeError */
  channel<T = unknown>(name: string, peer: string): Channel<T> {
    return this.#life.channels.open(name, peer) as Channel<T>; // what the peer sends is agreed between the two programs
  }

  /** Memory that the program has made with shared(name, byteLength). @throws CheckpointError ERR_CKPT_MEMBER when there is none, or of another size */
  shared(name: string, byteLength?: number): SharedArrayBuffer {
    return this.#life.sharedMemory(name, byteLength);
  }

  /** Ends registration, restores what the image holds; resolves when the program lets its members begin. */
  async start(): Promise<MemberStart> {
    const result = await this.#life.start();
    if (!result.finished) this.#registration.begin();
    return result;
  }

  /**
   * A place where this member's state is whole. Returns undefined when nothing is due; otherwise await what it returns.
   * @param step members that pass one are captured at the same step
   */
  safepoint(step?: number): Promise<void> | undefined {
    if (step !== undefined) this.#step[0] = step;
    if (this.#shared[MEMBER_SHARED.ATTENTION] === 0) return undefined;
    if (this.#turn !== undefined) return this.#turn;
    this.#life.assertRunning('safepoint()');
    const turn = this.#life.safepoint(step, callPlace()).finally(() => {
      this.#turn = undefined;
    });
    this.#turn = turn;
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

  /** This member is done: its state is in all later images, and a restart finds it finished. */
  async finish(): Promise<void> {
    this.#life.assertRunning('finish()');
    this.#life.finish();
    this.#registration.end();
  }
}

export function notJoined(): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_MEMBER',
    "joinCheckpointer(): this thread or process was not started by worker(name, program) or fork(name, program) of a checkpointer; in the program itself use openCheckpointer() of '@ckpt/sdk'",
    { phase: 'open' },
  );
}
