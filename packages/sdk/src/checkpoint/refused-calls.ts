/**
 * The errors of calls that can lead to no checkpoint: after the end, and in a loop that gives members no chance to arrive.
 */
import { CheckpointError } from '../base/errors.js';
import type { EndReason } from './phases.js';

/** The error of every call after the end. */
export function endedError(why: EndReason, call = 'checkpoint'): CheckpointError {
  switch (why) {
    case 'fenced':
      return new CheckpointError(
        'ERR_CKPT_FENCED',
        `${call}: a newer incarnation has claimed the store: this process is fenced and must end; nothing it writes from now on counts`,
        { phase: 'commit' },
      );
    case 'finished':
      return new CheckpointError(
        'ERR_CKPT_PHASE',
        `${call}: the program has finished and its final image is written; nothing can follow it`,
        {
          phase: 'request',
        },
      );
    case 'closed':
      return new CheckpointError('ERR_CKPT_CLOSED', `${call}: the checkpointer was closed; open it anew to go on`, { phase: 'request' });
  }
}

/** Of safepointSync(). */
export function syncWithMembers(place: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_PHASE',
    `safepointSync() at ${place}: a program with members lets its event loop turn to gather them; use await safepoint() here, members may use safepointSync()`,
    { phase: 'quiesce' },
  );
}
