/**
 * A safepoint that lasts while something is pending.
 *
 * Invariants
 * 1. While members gather it goes on when its work settles; once everybody has stopped it waits for the capture.
 */
import type { Place } from '../base/place.js';
import type { Life } from './life.js';

/** @throws CheckpointError ERR_CKPT_REENTRANT, _FENCED, _CLOSED, _PHASE, _CONCURRENT_SAFEPOINT; what `work` rejects with */
export async function safely<T>(life: Life, task: string, place: Place, work: PromiseLike<T> | T): Promise<T> {
  life.assertAtSafepoint('safe()');
  const { gate } = life.conductor;
  gate.arrive(task, place, 'safe');
  life.alert();
  try {
    return await life.keepAlive.during(Promise.resolve(work));
  } finally {
    await gate.leave(task, 'safe');
    life.calm();
    life.assertNotFenced();
  }
}
