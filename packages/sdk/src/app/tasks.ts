/**
 * The tasks of a program or a member: concurrent activities with safepoints of their own.
 *
 * Invariants
 * 1. A call of ours belongs to the task that makes it, told by its asynchronous context; what belongs to none, or to one that
 *    has ended, belongs to the main task.
 * 2. Whoever begins a task stands until it ends, so that `await task(…)` is a safepoint of the caller.
 * 3. No task begins while everybody is kept standing.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { CheckpointError } from '../base/errors.js';
import type { Place } from '../base/place.js';
import type { KeepAlive } from '../checkpoint/keep-alive.js';
import type { SafepointGate } from '../members/safepoint-gate.js';

const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

export class Tasks {
  readonly #main: string;
  readonly #gate: SafepointGate;
  readonly #keepAlive: KeepAlive;
  readonly #kept: () => void;
  readonly #running = new AsyncLocalStorage<string>();
  /** Nothing is looked up before the first task. */
  #used = false;

  /** @param kept told when a caller could go on whom the gate keeps */
  constructor(main: string, gate: SafepointGate, keepAlive: KeepAlive, kept: () => void = () => {}) {
    this.#main = main;
    this.#gate = gate;
    this.#keepAlive = keepAlive;
    this.#kept = kept;
  }

  /** Whose call this is. */
  get current(): string {
    if (!this.#used) return this.#main;
    const task = this.#running.getStore();
    return task !== undefined && this.#gate.has(task) ? task : this.#main;
  }

  /** @throws TypeError; CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_CONCURRENT_SAFEPOINT; what `work` rejects with */
  async run<T>(name: string, place: Place, work: () => Promise<T> | T): Promise<T> {
    assertTaskArguments(name, work);
    this.#used = true;
    return await this.#keepAlive.during(this.#run(name, place, work));
  }

  async #run<T>(name: string, place: Place, work: () => Promise<T> | T): Promise<T> {
    const gate = this.#gate;
    const caller = this.current;
    const open = gate.whenOpen;
    if (open !== undefined) await open;
    if (gate.has(name)) throw runsAlready(name);
    gate.join(name, place);
    gate.arrive(caller, place, 'task');
    try {
      return await this.#running.run(name, async () => await work());
    } finally {
      gate.part(name);
      const held = gate.leave(caller, 'task');
      if (held !== undefined) {
        this.#kept();
        await held;
      }
    }
  }
}

function assertTaskArguments(name: unknown, work: unknown): void {
  if (typeof name !== 'string' || !NAME.test(name))
    throw new TypeError(`task(name, work): expected a name of 1 to 64 of A-Z a-z 0-9 _ . -, got ${JSON.stringify(name) ?? String(name)}`);
  if (typeof work !== 'function') throw new TypeError(`task('${name}', work): expected a function, got ${typeof work}`);
}

function runsAlready(name: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_EXISTS',
    `task('${name}'): a task of that name runs already, and the main task has the name of its member; give each a name of its own`,
    { member: name, phase: 'request' },
  );
}
