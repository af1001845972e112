/**
 * The sections of the source image that no provider of the program claims: refused, carried on, or left out.
 *
 * Invariants
 * 1. Without the program's word for it nothing of an image is left behind.
 */
import { CheckpointError } from '../base/errors.js';
import type { ImageRef } from '../image/contract.js';
import type { CarriedSections } from '../state/carried.js';
import type { Unclaimed } from '../state/provider-plan.js';
import type { ProviderRegistry } from '../state/registry.js';

export interface UnclaimedParts {
  readonly mode: Unclaimed;
  /** Where there is an image and `mode` is 'carry'. */
  readonly carried: CarriedSections | undefined;
}

/** What became of them. */
export interface UnclaimedSections {
  readonly carried: readonly string[];
  readonly dropped: readonly string[];
}

/** @throws CheckpointError ERR_CKPT_UNCLAIMED */
export function settleUnclaimed(registry: ProviderRegistry, source: ImageRef | null, { mode, carried }: UnclaimedParts): UnclaimedSections {
  const unclaimed = registry.unclaimed();
  if (unclaimed.length === 0) return { carried: [], dropped: [] };
  if (mode === false) throw refusal(unclaimed, source);
  if (mode === 'drop') return { carried: [], dropped: unclaimed };
  carried?.keep(unclaimed);
  return { carried: unclaimed, dropped: [] };
}

function refusal(unclaimed: readonly string[], source: ImageRef | null): CheckpointError {
  const names = unclaimed.map((name) => `'${name}'`).join(', ');
  const them = unclaimed.length === 1 ? 'it' : 'them';
  const [provider] = unclaimed;
  return new CheckpointError(
    'ERR_CKPT_UNCLAIMED',
    `start(): image ${source?.id ?? ''} holds ${names}, which no provider of the program claims; register ${them} before start() ` +
      `(\`was\` finds ${them} under a former name), keep ${them} unread with allowUnclaimed: 'carry', leave ${them} out with 'drop', name another image, ` +
      'or begin anew with CKPT_RESTART=never. Nothing has changed',
    { ...(source === null ? {} : { image: source.id }), ...(provider === undefined ? {} : { provider }), phase: 'plan' },
  );
}
