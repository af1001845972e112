/**
 * The optional package @ckpt/accelerator, which asks the kernel which pages were written: found, tried, or why not.
 *
 * Invariants
 * 1. Without it, or where it cannot work, everything works all the same: buffers are compared. Nothing here throws.
 * 2. A package that speaks another form of the port is not used.
 */
import { messageOf } from '../base/errors.js';
import type { PageTracker } from './page-tracker.js';

/** Of page-tracker.ts. */
const PORT_VERSION = 1;
const PACKAGE: string = '@ckpt/accelerator';

/** What the package exports. */
export interface AcceleratorModule {
  readonly portVersion: number;
  /** Tries everything that it needs, on memory of its own. */
  openPageTracker(): PageTracker | { readonly refused: string };
}

export interface Accelerator {
  readonly tracker: PageTracker | undefined;
  /** Why there is none, or what there is. */
  readonly reason: string;
  /** It is installed and cannot be used: somebody expects otherwise. */
  readonly unexpected: boolean;
}

/** @param wanted false: it is not looked for */
export async function findAccelerator(wanted: boolean, load: () => Promise<unknown> = () => import(PACKAGE)): Promise<Accelerator> {
  if (!wanted) return without('the option accelerator is false', false);
  let module: unknown;
  try {
    module = await load();
  } catch (error) {
    if (isMissing(error)) return without(`the package ${PACKAGE} is not installed`, false);
    return without(`the package ${PACKAGE} cannot be loaded: ${messageOf(error)}`, true);
  }
  if (!isAccelerator(module))
    return without(`the package ${PACKAGE} belongs to another version of @ckpt/sdk: install those that go together`, true);
  try {
    const tracker = module.openPageTracker();
    if ('refused' in tracker) return without(tracker.refused, true);
    return { tracker, reason: 'the kernel tells which pages are written', unexpected: false };
  } catch (error) {
    return without(`the package ${PACKAGE} failed: ${messageOf(error)}`, true);
  }
}

function without(reason: string, unexpected: boolean): Accelerator {
  return { tracker: undefined, reason, unexpected };
}

/** Missing itself, not something that it needs. */
function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes(`'${PACKAGE}'`);
}

function isAccelerator(module: unknown): module is AcceleratorModule {
  return (
    typeof module === 'object' &&
    module !== null &&
    'portVersion' in module &&
    module.portVersion === PORT_VERSION &&
    'openPageTracker' in module &&
    typeof module.openPageTracker === 'function'
  );
}
