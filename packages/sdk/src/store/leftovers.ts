/**
 * What dead lives leave behind, and its removal at the next claim.
 *
 * Invariants
 * 1. Only files that a store made are removed from tmp/: those of fenced epochs and of processes that are dead.
 * 2. Request files that were there before the claim are stale and removed; one that came later under the same name
 *    is another file and stays.
 * 3. A failure to tidy up is a warning: it stops nobody from starting.
 */
import { join } from 'node:path';
import { messageOf } from '../base/errors.js';
import type { FileStat } from '../base/ports.js';
import { type StoreContext, temporaryHolder } from './context.js';
import { ifPresent } from './failure.js';
import { removeStaleLeases } from './leases.js';
import { processExists } from './owner.js';

export interface RequestFile {
  readonly path: string;
  readonly identity: string;
}

const DAY_MS = 24 * 60 * 60 * 1_000;

function identityOf(stat: FileStat): string {
  return `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
}

/** The request files that are there now. */
export async function requestFiles(store: StoreContext): Promise<RequestFile[]> {
  const { requests } = store.paths;
  const found: RequestFile[] = [];
  for (const file of (await ifPresent(() => store.fs.readdir(requests))) ?? []) {
    const path = join(requests, file);
    const stat = await ifPresent(() => store.fs.lstat(path));
    if (stat !== undefined && !stat.isDirectory()) found.push({ path, identity: identityOf(stat) });
  }
  return found;
}

/** Tidies up after a claim of `epoch`. */
export async function removeLeftovers(
  store: StoreContext,
  epoch: number,
  stale: readonly RequestFile[],
  warn: (message: string) => void,
): Promise<void> {
  const steps = [() => removeTemporary(store, epoch), () => removeRequests(store, stale), () => removeStaleLeases(store)];
  for (const step of steps) {
    try {
      await step();
    } catch (cause) {
      warn(`could not remove what an earlier life left in ${store.paths.root}: ${messageOf(cause)}`);
    }
  }
}

async function removeTemporary(store: StoreContext, epoch: number): Promise<void> {
  const { tmp } = store.paths;
  for (const file of await store.fs.readdir(tmp)) {
    const path = join(tmp, file);
    if (await isLeftover(store, epoch, file, path)) await ifPresent(() => store.fs.unlink(path));
  }
}

async function isLeftover(store: StoreContext, epoch: number, file: string, path: string): Promise<boolean> {
  const holder = temporaryHolder(store, file);
  if (holder === undefined) return false;
  if (holder.kind === 'epoch') return holder.epoch < epoch;
  // A pid that is in use again only delays the removal.
  if (holder.near) return !processExists(holder.pid);
  const stat = await ifPresent(() => store.fs.lstat(path));
  return stat !== undefined && store.clock.now() - stat.mtimeMs > DAY_MS;
}

async function removeRequests(store: StoreContext, stale: readonly RequestFile[]): Promise<void> {
  for (const { path, identity } of stale) {
    const stat = await ifPresent(() => store.fs.lstat(path));
    if (stat !== undefined && identityOf(stat) === identity) await ifPresent(() => store.fs.unlink(path));
  }
}
