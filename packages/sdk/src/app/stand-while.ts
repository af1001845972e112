/**
 * A call that asks for a checkpoint and stands at a safepoint until its capture is over.
 *
 * Invariants
 * 1. The task stands from the call to the capture, and no longer; the call itself lasts until the commit.
 * 2. A caller that gives up is let go when its state is captured, or at once when the checkpoint has not begun.
 */
import { CheckpointError } from '../base/errors.js';
import type { Place } from '../base/place.js';
import type { Conductor } from '../checkpoint/conductor.js';
import type { KeepAlive } from '../checkpoint/keep-alive.js';
import type { CheckpointRequest, CheckpointResult } from '../checkpoint/request.js';

interface Caller {
  readonly conductor: Conductor;
  readonly keepAlive: KeepAlive;
  readonly task: string;
  readonly place: Place;
}

/** @throws CheckpointError: whatever the checkpoint fails with, or ERR_CKPT_ABORTED */
export async function standWhile(
  { conductor, keepAlive, task, place }: Caller,
  asked: Omit<CheckpointRequest, 'settled' | 'captured'>,
  signal?: AbortSignal,
): Promise<CheckpointResult> {
  const { gate } = conductor;
  let stands = false;
  let over = false;
  const leave = (): Promise<void> | undefined => {
    over = true;
    const left = stands ? gate.leave(task, 'call') : undefined;
    stands = false;
    return left;
  };
  const outcome = new Promise<CheckpointResult>((resolve, reject) => {
    const request: CheckpointRequest = {
      ...asked,
      captured: () => void leave(),
      settled: (ended) => {
        void leave();
        signal?.removeEventListener('abort', abort);
        if (ended.ok) resolve(ended.result);
        else reject(ended.error);
      },
    };
    const abort = (): void => {
      const error = new CheckpointError('ERR_CKPT_ABORTED', 'checkpoint(): the given signal was aborted before the image was committed', {
        phase: 'request',
        cause: signal?.reason,
      });
      conductor.withdraw(request, error);
      // Too late to withdraw, and the state is not captured yet: the caller stays until it is.
      void Promise.resolve(leave()).then(() => reject(error));
    };
    if (signal?.aborted === true) return abort();
    signal?.addEventListener('abort', abort, { once: true });
    conductor.ask(request);
  });
  if (!over) {
    stands = true;
    gate.arrive(task, place, 'call');
  }
  return await keepAlive.during(outcome);
}
