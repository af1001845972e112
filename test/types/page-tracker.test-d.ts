/** The port that the accelerator fills is the one that the SDK has. Never run. */
import * as accelerator from '../../packages/accelerator/src/index.js';
import type { AcceleratorModule } from '../../packages/sdk/src/checkpoint/accelerator.js';
import type * as port from '../../packages/sdk/src/checkpoint/page-tracker.js';

export const module: AcceleratorModule = accelerator;

export function backward(tracker: port.PageTracker): accelerator.PageTracker {
  return tracker;
}
