/**
 * The phases of a checkpoint and the only transitions between them.
 *
 *   idle → quiescing → capturing → persisting → idle        committed, or failed while persisting
 *          quiescing → idle                                 cancelled: nobody is left that asked
 *                      capturing → idle                     failed before the image was handed over
 *   any  → ended                                            finished, closed or fenced: final
 *
 * Invariants
 * 1. At most one checkpoint is in flight; its batch of requests travels with the phase.
 * 2. Whoever needs to know asks for the phase; nobody guesses it from other state.
 */
import type { Batch } from './batch.js';

export type EndReason = 'finished' | 'closed' | 'fenced';

export type Phase =
  | { readonly at: 'idle' }
  | { readonly at: 'quiescing'; readonly batch: Batch }
  | { readonly at: 'capturing'; readonly batch: Batch }
  | { readonly at: 'persisting'; readonly batch: Batch }
  | { readonly at: 'ended'; readonly why: EndReason };

const LEGAL: Readonly<Record<Phase['at'], readonly Phase['at'][]>> = {
  idle: ['quiescing', 'ended'],
  quiescing: ['capturing', 'idle', 'ended'],
  capturing: ['persisting', 'idle', 'ended'],
  persisting: ['idle', 'ended'],
  ended: [],
};

/** The next phase, when the step is legal; a programming error otherwise. */
export function advance(from: Phase, to: Phase): Phase {
  if (LEGAL[from.at].includes(to.at)) return to;
  throw new Error(`checkpoint phases: no way from ${from.at} to ${to.at}`);
}
