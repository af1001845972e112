/**
 * The checkpointer of a worker member: what its program holds. The set's side is in the program (members/set.ts).
 *
 * Invariants
 * 1. `safepoint()` and `safepointSync()` with nothing due are one load, one comparison and one store.
 * 2. Once the program is fenced, every safepoint throws ERR_CKPT_FENCED.
 * 3. The thread is held only by calls of ours that somebody awaits.
 */
import { CheckpointError, inPhase, isCheckpointError } from '../base/errors.js';
import { callPlace } from '../base/place.js';
import type { Handler } from '../checkpoint/handlers.js';
import { assertEncodable } from '../codec/codec.js';
import type { Channel } from '../members/channel.js';
import { MEMBER_SHARED } from '../members/protocol.js';
import type { ProvideOptions, StateOptions } from '../state/provider.js';
import { SeededRandom } from '../state/random.js';
import { assertInitial, assertProvideOptions, assertStateArguments } from './arguments.js';
import type { MemberLife, MemberStart } from './member-life.js';

export class MemberCheckpointer {
  readonly name: string;
  readonly #life: MemberLife;
  readonly #shared: Int32Array;
  readonly #step: Float64Array;
  #turn: Promise<void> | undefined;

  /** @internal made by joinCheckpointer */
  constructor(life: MemberLife) {
    this.#life = life;
    this.#shared = life.shared;
    this.#step = life.step;
    this.name = life.name;
  }

  /** As in the program: an object that is captured by reference, from the image or made by `init`. */
  state<T extends object>(name: string, init: () => T, options: StateOptions = {}): T {
    assertStateArguments(name, init, options);
    this.#life.assertRegistering(`state('${name}')`);
    let value: T;
    const { version = 1 } = options;
    const section = this.#life.registry.add({ name, kind: 'state', version, capture: () => value });
    // The section was written by a provider of this name, kind and version: it has the shape that init makes.
    if (section !== undefined) {
      value = section.value as T;
      return value;
    }
    try {
      value = init();
      assertInitial(name, value);
      assertEncodable(name, value);
    } catch (error) {
      this.#life.registry.drop(name);
      throw isCheckpointError(error) ? inPhase(error, 'register') : error;
    }
    return value;
  }

  provide<T>(name: string, options: ProvideOptions<T>): void {
    assertProvideOptions(name, options);
    this.#life.assertRegistering(`provide('${name}')`);
    const { capture, restore, version = 1 } = options;
    // What restore is given is what capture of the same provider and version returned.
    this.#life.registry.add({ name, kind: 'provide', version, capture, restore: (value) => restore(value as T) });
  }

  /** A seedable generator whose place in its sequence is part of every image. */
  random(name: string, seed: number | string): SeededRandom {
    this.#life.assertRegistering(`random('${name}')`);
    const random = new SeededRandom(seed);
    const section = this.#life.registry.add({ name, kind: 'random', version: 1, capture: () => random.captureState() });
    if (section !== undefined) random.restoreState(section.value);
    return random;
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
  start(): Promise<MemberStart> {
    return this.#life.start();
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
  }
}

export function notJoined(): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_MEMBER',
    "joinCheckpointer(): this thread was not started by worker(name, program) of a checkpointer; in the program itself use openCheckpointer() of '@ckpt/sdk'",
    { phase: 'open' },
  );
}
