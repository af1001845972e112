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
  const pending = Promise.resolve(work);
  // A refusal below is what the caller is told; the work's own failure must not end the program as unhandled beside it.
  pending.catch(() => {});
  life.assertAtSafepoint('safe()');
  const { gate } = life.conductor;
  gate.arrive(task, place, 'safe');
  life.attention.alert();
  try {
    return await life.keepAlive.during(pending);
  } finally {
    await gate.leave(task, 'safe');
    life.attention.calm();
    life.assertNotFenced();
  }
}
