/**
 * The gate: which tasks stand at a safepoint, and holding them there.
 *
 * Invariants
 * 1. A task is at one safepoint at a time (two are an error naming both places). Calls that wait for a checkpoint stand too,
 *    beside a safepoint of the same task or without one; whoever waits for the tasks it has begun stands meanwhile.
 * 2. While the gate is held, whoever stands stays, and a `safe()` whose promise settles waits until it is opened.
 * 3. What a task is handed while it stands is taken when it goes on, not before (`whenGoingOn`).
 * 4. While members gather, whoever stands at a safepoint stays, but a `safe()` whose promise settles goes on, and so does who
 *    waited for a task that has ended: another member, or task, may need what it does next.
 * 5. Nothing here decides when a checkpoint begins: it is told of everybody who came to stand, or ended.
 */
import { CheckpointError, type Missing } from '../base/errors.js';
import type { Place } from '../base/place.js';
import type { Clock } from '../base/ports.js';
import { systemClock } from '../base/system-ports.js';

/** By what a task stands: at a safepoint, in a call that asked for a checkpoint and waits for its capture, or for a task to end. */
export type StandKind = 'safepoint' | 'safe' | 'call' | 'task';

/** `gathering`: until everybody has come to stand. `stopped`: nobody goes on before the gate is opened. */
export type HoldMode = 'gathering' | 'stopped';

interface Task {
  readonly key: string;
  safepoint: Place | undefined;
  /** Of the safepoint it stands at. */
  step: number | undefined;
  /** It runs on although the gate is held: others are at a later step. */
  passes: boolean;
  calls: number;
  /** Tasks it has begun and that have not ended. */
  begun: number;
  /** Where it was begun, and when. */
  readonly place: Place;
  readonly since: number;
  lastPlace: Place;
  lastKind: StandKind;
  /** What counts as done only once the task goes on. */
  onLeave: (() => void)[];
}

const standing = (task: Task): boolean => task.safepoint !== undefined || task.calls > 0 || task.begun > 0;

/** Where the program stands, or what it has passed. */
export interface ProgramProgress {
  readonly stands: boolean;
  readonly step: number | undefined;
}

export class SafepointGate {
  readonly #tasks = new Map<string, Task>();
  readonly #arrived: () => void;
  readonly #opened: () => void;
  readonly #clock: Pick<Clock, 'monotonic'>;
  #held: { readonly opened: Promise<void>; readonly open: () => void; readonly mode: HoldMode } | undefined;

  /** @param arrived called after a task came to stand, or ended @param opened called when the gate was opened */
  constructor(arrived: () => void, opened: () => void = () => {}, clock: Pick<Clock, 'monotonic'> = systemClock) {
    this.#arrived = arrived;
    this.#opened = opened;
    this.#clock = clock;
  }

  /** @param lastPlace where it counts as seen before its first safepoint */
  join(key: string, place: Place, lastPlace: Place = place): void {
    const nothing = { safepoint: undefined, step: undefined, passes: false, calls: 0, begun: 0 };
    this.#tasks.set(key, { key, ...nothing, place, since: this.#clock.monotonic(), lastPlace, lastKind: 'safepoint', onLeave: [] });
  }

  /** The task has ended: it is waited for no more. */
  part(key: string): void {
    const task = this.#task(key);
    this.#tasks.delete(key);
    for (const action of task.onLeave.splice(0)) action();
    this.#arrived();
  }

  has(key: string): boolean {
    return this.#tasks.has(key);
  }

  /** Whether some task is at a safepoint: another of the same task would be one too many. */
  get somebodyAtSafepoint(): boolean {
    return [...this.#tasks.values()].some((task) => task.safepoint !== undefined || task.calls > 0);
  }

  /** Resolves when nobody is kept standing; undefined when nobody is. */
  get whenOpen(): Promise<void> | undefined {
    return this.#held?.mode === 'stopped' ? this.#held.opened.then(() => this.whenOpen) : undefined;
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

  /** @param asked since when they are waited for, on the monotonic clock */
  missing(asked: number): readonly Missing[] {
    const now = this.#clock.monotonic();
    return [...this.#tasks.values()]
      .filter((task) => !standing(task))
      .map((task) => ({
        task: task.key,
        registeredAt: String(task.place),
        sinceMs: Math.round(now - Math.max(asked, task.since)),
        lastSafepoint: `${task.lastPlace}${task.lastKind === 'safe' ? ', in safe(), whose promise has settled' : ''}`,
      }));
  }

  /** What those that stand wait in. */
  standing(): readonly string[] {
    const words = { safepoint: 'at a safepoint', safe: 'in safe()', call: 'in checkpoint()', task: 'for its tasks' } as const;
    return [...this.#tasks.values()]
      .filter(standing)
      .map(({ key, lastKind, lastPlace }) => `'${key}' stands ${words[lastKind]} at ${String(lastPlace)}`);
  }

  /**
   * Comes to stand.
   * @throws CheckpointError ERR_CKPT_CONCURRENT_SAFEPOINT for a second safepoint
   */
  arrive(key: string, place: Place, kind: StandKind, step?: number): void {
    const task = this.#task(key);
    if ((kind === 'safepoint' || kind === 'safe') && task.safepoint !== undefined) {
      throw new CheckpointError(
        'ERR_CKPT_CONCURRENT_SAFEPOINT',
        `safepoint of task '${key}' at ${String(place)}: the same task already stands at ${String(task.safepoint)}; ` +
          'await each safepoint before the next, and let only one activity of a task come to safepoints',
        { member: key, phase: 'quiesce' },
      );
    }
    if ((kind === 'safepoint' || kind === 'safe') && task.begun > 0) throw besideItsTasks(task, place);
    if (kind === 'call') {
      task.calls++;
    } else if (kind === 'task') {
      task.begun++;
    } else {
      task.safepoint = place;
      task.step = step;
      task.passes = false;
    }
    task.lastPlace = place;
    task.lastKind = kind;
    this.#arrived();
  }

  /** Goes on, once the gate is open (invariant 2). Returns undefined when it may go on at once. */
  leave(key: string, kind: StandKind): Promise<void> | undefined {
    const task = this.#task(key);
    if (this.#keeps(task, kind)) return this.#held?.opened.then(() => this.leave(key, kind));
    if (kind === 'call') task.calls--;
    else if (kind === 'task') task.begun--;
    else task.safepoint = undefined;
    if (!standing(task)) for (const action of task.onLeave.splice(0)) action();
    return undefined;
  }

  /** Leaves a safepoint whatever holds it: the caller cannot wait. */
  leaveNow(key: string): void {
    const task = this.#task(key);
    task.safepoint = undefined;
    if (!standing(task)) for (const action of task.onLeave.splice(0)) action();
  }

  /** Whether who stands at a safepoint has to stay, for one that looks without a turn of the event loop. */
  keeps(key: string): boolean {
    return this.#keeps(this.#task(key), 'safepoint');
  }

  #keeps(task: Task, kind: StandKind): boolean {
    if (this.#held === undefined || task.passes) return false;
    return this.#held.mode === 'stopped' || kind === 'safepoint' || kind === 'call';
  }

  /** Runs `action` when the task goes on: now, unless it stands. */
  whenGoingOn(key: string, action: () => void): void {
    const task = this.#tasks.get(key);
    if (task !== undefined && standing(task)) task.onLeave.push(action);
    else action();
  }

  /** Where those who stand were last seen. */
  get lastPlace(): string {
    return [...this.#tasks.values()].map(({ lastPlace }) => String(lastPlace)).join(', ');
  }

  /** The step of the last safepoint that was passed without stopping; written by the fast path. */
  passedStep: number | undefined;

  /** Where the program is in its steps: at the one where it stands, or beyond the one it has passed. */
  get progress(): ProgramProgress {
    const stands = this.everybodyStands();
    const [step] = [...this.#tasks.values()].flatMap((task) => (task.safepoint === undefined ? [] : (task.step ?? [])));
    return { stands, step: stands ? step : this.passedStep };
  }

  /** Lets those run on that stand at a step below this one; the gate stays held for everybody else, as while members gather. */
  runOn(target: number = Number.POSITIVE_INFINITY): void {
    for (const task of this.#tasks.values()) task.passes = task.safepoint !== undefined && task.step !== undefined && task.step < target;
    this.#reopen('gathering');
  }

  hold(mode: HoldMode = 'stopped'): void {
    if (this.#held?.mode === mode) return;
    this.#reopen(mode);
  }

  /** Whoever waits at the gate looks again whether it may go on. */
  #reopen(mode: HoldMode): void {
    const before = this.#held;
    let open: () => void = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#held = { opened, open, mode };
    before?.open();
  }

  open(): void {
    const held = this.#held;
    this.#held = undefined;
    held?.open();
    if (held !== undefined) this.#opened();
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

function besideItsTasks(task: Task, place: Place): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_CONCURRENT_SAFEPOINT',
    `safepoint at ${String(place)}: '${task.key}' stands until the tasks end that it began at ${String(task.lastPlace)}; ` +
      'await what task() returns, and give what goes on beside them a task of its own',
    { member: task.key, phase: 'quiesce' },
  );
}
