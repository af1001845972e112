/**
 * The gate: which tasks stand at a safepoint, and holding them there.
 *
 * Invariants
 * 1. Tasks are keyed by member and task; a task is at one safepoint at a time (two are an error naming both places).
 *    Calls that wait for a checkpoint stand too, beside a safepoint of the same task or without one.
 * 2. While the gate is held, whoever stands stays, and a `safe()` whose promise settles waits until it is opened.
 * 3. What a task is handed while it stands is taken when it goes on, not before (`whenGoingOn`).
 * 4. Nothing here decides when a checkpoint begins: the conductor is told whenever everybody stands.
 */
import { CheckpointError } from '../base/errors.js';
import type { Place } from '../base/place.js';

/** By what a task stands: at a safepoint, or in a call that asked for a checkpoint and waits for its capture. */
export type StandKind = 'safepoint' | 'call';

interface Task {
  readonly key: string;
  safepoint: Place | undefined;
  calls: number;
  lastPlace: Place;
  /** What counts as done only once the task goes on. */
  onLeave: (() => void)[];
}

const standing = (task: Task): boolean => task.safepoint !== undefined || task.calls > 0;

/** A task that has not arrived, for the report on why nothing happens. */
export interface Missing {
  readonly task: string;
  readonly lastSafepoint: string;
}

export class SafepointGate {
  readonly #tasks = new Map<string, Task>();
  readonly #arrived: () => void;
  #held: { readonly opened: Promise<void>; readonly open: () => void } | undefined;

  /** @param arrived called after a task came to stand */
  constructor(arrived: () => void) {
    this.#arrived = arrived;
  }

  join(key: string, place: Place): void {
    this.#tasks.set(key, { key, safepoint: undefined, calls: 0, lastPlace: place, onLeave: [] });
  }

  everybodyStands(): boolean {
    for (const task of this.#tasks.values()) if (!standing(task)) return false;
    return this.#tasks.size > 0;
  }

  stands(key: string): boolean {
    return standing(this.#task(key));
  }

  somebodyStands(): boolean {
    return [...this.#tasks.values()].some(standing);
  }

  missing(): readonly Missing[] {
    return [...this.#tasks.values()]
      .filter((task) => !standing(task))
      .map((task) => ({ task: task.key, lastSafepoint: String(task.lastPlace) }));
  }

  /**
   * Comes to stand.
   * @throws CheckpointError ERR_CKPT_CONCURRENT_SAFEPOINT for a second safepoint
   */
  arrive(key: string, place: Place, kind: StandKind): void {
    const task = this.#task(key);
    if (kind === 'safepoint' && task.safepoint !== undefined) {
      throw new CheckpointError(
        'ERR_CKPT_CONCURRENT_SAFEPOINT',
        `safepoint of task '${key}' at ${String(place)}: the same task already stands at ${String(task.safepoint)}; ` +
          'await each safepoint before the next, and let only one activity of a task come to safepoints',
        { member: key, phase: 'quiesce' },
      );
    }
    if (kind === 'safepoint') task.safepoint = place;
    else task.calls++;
    task.lastPlace = place;
    this.#arrived();
  }

  /** Goes on, once the gate is open (invariant 2). Returns undefined when it may go on at once. */
  leave(key: string, kind: StandKind): Promise<void> | undefined {
    if (this.#held !== undefined) return this.#held.opened.then(() => this.leave(key, kind));
    const task = this.#task(key);
    if (kind === 'safepoint') task.safepoint = undefined;
    else task.calls--;
    if (!standing(task)) for (const action of task.onLeave.splice(0)) action();
    return undefined;
  }

  /** Runs `action` when the task goes on: now, unless it stands. */
  whenGoingOn(key: string, action: () => void): void {
    const task = this.#task(key);
    if (standing(task)) task.onLeave.push(action);
    else action();
  }

  hold(): void {
    if (this.#held !== undefined) return;
    let open: () => void = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#held = { opened, open };
  }

  open(): void {
    const held = this.#held;
    this.#held = undefined;
    held?.open();
  }

  get held(): boolean {
    return this.#held !== undefined;
  }

  #task(key: string): Task {
    const task = this.#tasks.get(key);
    if (task === undefined) throw new Error(`safepoint gate: unknown task ${key}`);
    return task;
  }
}
