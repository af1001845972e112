/**
 * What @ckpt/sdk loads, where it is installed: a tracker of written pages, or the reason why there is none.
 */
import { type Machine, openKernel, thisMachine } from './kernel.js';
import { KernelTracker } from './kernel-tracker.js';
import type { PageTracker, Refused } from './port.js';
import { firstFailure } from './trial.js';

export type { Machine } from './kernel.js';
export type { ByteRanges, PageTracker, Refused, Tracking } from './port.js';

/** Of the port: @ckpt/sdk uses no other. */
export const portVersion = 1;

/**
 * Opens what is needed of the kernel and tries all of it on memory of its own; about a millisecond.
 * @param machine for tests: what this machine says of itself
 */
export function openPageTracker(machine: Machine = thisMachine()): PageTracker | Refused {
  const kernel = openKernel(machine);
  if ('refused' in kernel) return kernel;
  const tracker = new KernelTracker(kernel);
  const failure = firstFailure(tracker);
  if (failure === undefined) return tracker;
  tracker.close();
  return { refused: failure };
}
