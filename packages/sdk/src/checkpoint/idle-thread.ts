/**
 * In the place of the helper thread where nothing will be written: a program that is only asked for its plan.
 *
 * Invariants
 * 1. It starts nothing and touches nothing. Whatever would need the thread fails with ERR_CKPT_THREAD.
 */
import { CheckpointError } from '../base/errors.js';
import type { HelperThread } from './background.js';
import { SHARED } from './thread-protocol.js';

export function idleThread(): HelperThread {
  return {
    shared: new Int32Array(new SharedArrayBuffer(SHARED.LENGTH * Int32Array.BYTES_PER_ELEMENT)),
    persist: (_job, done) => done({ ok: false, error: nothingIsWritten() }),
    settle: () => {},
    pollRequests: () => {},
    tick: () => {},
    warm: () => {},
    drain: () => {},
    waitSync: (settled) => {
      if (!settled()) throw nothingIsWritten();
    },
    assertNewestSync: () => {
      throw nothingIsWritten();
    },
    stopSync: () => {},
    stop: async () => {},
  };
}

function nothingIsWritten(): CheckpointError {
  return new CheckpointError('ERR_CKPT_THREAD', 'persist: the program is only asked for its plan, and nothing is written');
}
