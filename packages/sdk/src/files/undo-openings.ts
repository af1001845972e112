/**
 * Undoing what opening did in a start that failed: files that were made go, files that were written at their end are cut.
 *
 * Invariants
 * 1. A file that cannot be put back now keeps its baseline, and the next start puts it back.
 * 2. What a `w` handle emptied stays empty: the program gave it up by opening it.
 */
import { dirname } from 'node:path';
import { syncFolder } from '../store/durable.js';
import { ifPresent } from '../store/failure.js';
import type { StartContext } from './context.js';
import type { Baseline } from './contract.js';
import { look, type Place, withInspected } from './inspect.js';

export async function undoOpenings(context: StartContext): Promise<void> {
  for (const baseline of context.baselines.ofThisLife()) {
    const undone = await undoOpening(baseline, context).catch(() => false); // invariant 1
    if (undone) await context.baselines.withdraw(baseline);
  }
}

/** @returns false when it is left to the next start */
async function undoOpening({ name, path, was }: Baseline, context: StartContext): Promise<boolean> {
  const place: Place = { name, path, trust: 'registered' };
  if (was.kind === 'absent') return remove(place, context);
  if (was.kind === 'cut' || was.copy !== undefined) return false;
  await withInspected(context, place, true, async ({ file, stat }) => {
    if (stat.ino !== was.identity.ino || stat.size <= was.size) return;
    await file.truncate(was.size);
    await file.sync();
  });
  return true;
}

async function remove(place: Place, context: StartContext): Promise<boolean> {
  const { fileSystem, baselines } = context;
  const stat = await look(context, place, true);
  if (stat === undefined) return true;
  if (stat.size > 0 && !baselines.wasMadeAt(place.path, stat)) return false;
  await ifPresent(() => fileSystem.unlink(place.path));
  await syncFolder(fileSystem, dirname(place.path));
  return true;
}
