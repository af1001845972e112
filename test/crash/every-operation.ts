/**
 * Killed before and after each operation on the file system, in both threads, of two tiny lives:
 *
 *   first    begins in an empty folder: makes the store, claims, seals; a first image with a name, a second without, the
 *            final one with retention
 *   restart  goes on from an image whose name it moves, and deletes the image that the name has left: what is then deleted has
 *            a name entry of its own
 *
 * Each time the image before or the one after is valid, nothing acknowledged is missing, and the next start ends with the
 * output of an undisturbed program and leaves nothing lying about.
 */
import { expect } from 'vitest';
import { messageOf } from '../../packages/sdk/src/base/errors.js';
import { type TracedOperation, tracedOperations } from '../faults/traced-operations.js';
import { CounterPlace, FAULT_PORTS, undisturbedOutput } from '../fixtures/counter-program.js';
import { brokenPromises, inspectStore, storeLeftovers } from '../fixtures/store-audit.js';

const KEEP = 1;
const PROGRAM = { COUNTER_STEPS: 3, COUNTER_CHECKPOINT_EACH: 2, COUNTER_NAMES: '1:one', COUNTER_KEEP: KEEP, COUNTER_FIELD: 512 };

export type LifeKind = 'first' | 'restart';

/** One moment at which to kill. */
export interface Point extends TracedOperation {
  readonly life: LifeKind;
  readonly action: 'kill-before' | 'kill-after';
  /** True where a kill leaves other entries or bytes on the disk than before (an fsync alone does not show after a kill). */
  readonly changing: boolean;
}

export class EveryOperation {
  readonly points: readonly Point[];
  readonly #prepared: CounterPlace;
  readonly #output: string;

  private constructor(points: readonly Point[], prepared: CounterPlace, output: string) {
    this.points = points;
    this.#prepared = prepared;
    this.#output = output;
  }

  /** Prepares what the restart goes on from, and traces both lives. */
  static async trace(): Promise<EveryOperation> {
    const output = await undisturbedOutput(PROGRAM);
    const prepared = new CounterPlace(PROGRAM);
    for (const life of [1, 2]) {
      const { code, stderr } = await prepared.run({ COUNTER_CLOSE_AT: 1 });
      expect({ life, code, stderr }).toEqual({ life, code: 0, stderr: '' });
    }
    const points: Point[] = [];
    for (const life of ['first', 'restart'] as const) {
      const place = life === 'first' ? new CounterPlace(PROGRAM) : prepared.copy();
      const { code } = await place.run({ COUNTER_PORTS: FAULT_PORTS, CKPT_FAULT_TRACE: place.faultTrace });
      expect({ code, output: place.output() }).toEqual({ code: 0, output });
      points.push(...pointsOf(life, place.operations()));
      await place.remove();
    }
    return new EveryOperation(points, prepared, output);
  }

  /** Kills at one point in a place of its own, and holds the promise against what is left. */
  async killAt(point: Point): Promise<void> {
    const { life, thread, op, folder, aim, action } = point;
    const context = JSON.stringify(point);
    const place = life === 'first' ? new CounterPlace(PROGRAM) : this.#prepared.copy();
    try {
      const killed = await place.runWithFault({ thread, op, ...aim, action });
      // A heartbeat looks at the claim too, and how many there are depends on the time.
      if (op === 'lstat' && folder === '/epochs/' && killed.code === 0) return;
      expect({ fired: place.fired().length, signal: killed.signal }, context).toEqual({ fired: 1, signal: 'SIGKILL' });
      const newest = place.acknowledged().at(-1)?.generation ?? 0;
      expect(brokenPromises(await inspectStore(place.store), place.acknowledged(), KEEP), context).toEqual([]);
      const next = await place.run();
      expect({ code: next.code, output: place.output(), stderr: next.stderr }, context).toEqual({
        code: 0,
        output: this.#output,
        stderr: '',
      });
      expect(next.started?.generation ?? 0, context).toBeGreaterThanOrEqual(newest);
      expect(brokenPromises(await inspectStore(place.store), place.acknowledged(), KEEP), context).toEqual([]);
      expect(storeLeftovers(place.store), context).toEqual([]);
    } finally {
      await place.remove();
    }
  }

  /** All of these points, two at a time. */
  async killAtEach(points: readonly Point[]): Promise<void> {
    const failures: unknown[] = [];
    const rest = [...points];
    const lane = async (): Promise<void> => {
      for (let point = rest.shift(); point !== undefined; point = rest.shift()) {
        await this.killAt(point).catch((error: unknown) => failures.push(error));
      }
    };
    await Promise.all([lane(), lane()]);
    if (failures.length > 0)
      throw new AggregateError(failures, `${failures.length} of ${points.length}: ${failures.map(messageOf).join('\n')}`);
  }

  async remove(): Promise<void> {
    await this.#prepared.remove();
  }
}

function pointsOf(life: LifeKind, operations: readonly string[]): Point[] {
  return tracedOperations(operations).flatMap((operation) => {
    const changing = changes(life, operation.op, operation.folder);
    return (['kill-before', 'kill-after'] as const).map((action) => ({ ...operation, life, action, changing }));
  });
}

function changes(life: LifeKind, op: string, folder: string): boolean {
  if (op === 'open') return folder === '/tmp/';
  if (op === 'mkdir') return life === 'first' || folder === '/names/';
  return op === 'write' || op === 'link' || op === 'unlink';
}
