/**
 * Processes that an incarnation has forked, as records beside its claim: `epochs/<n>.child-<id>`.
 *
 * Invariants
 * 1. A child is recorded durably before it is told to begin, so that the next claim knows of whoever may still write.
 * 2. A record goes when its process is known to be gone. One that cannot be read stops nobody: it names nobody.
 */
import { newId } from '../base/ids.js';
import type { StoreContext } from './context.js';
import type { OwnerIdentity } from './contract.js';
import { putRecord } from './durable.js';
import { quietly, translated } from './failure.js';
import { childPath, isChildFile } from './layout.js';
import { identityOf, livenessOf } from './owner.js';
import { parseChild, RECORD_LIMIT } from './records.js';
import { readRecord } from './source.js';

/** @returns what removes the record, once the process is gone */
export async function recordChild(store: StoreContext, epoch: number, pid: number): Promise<() => Promise<void>> {
  const path = childPath(store.paths, epoch, newId());
  await putRecord(store, path, { owner: identityOf(pid, store.owner) }, epoch);
  return () => quietly(() => store.fs.unlink(path));
}

/** The recorded children that live, or may; records of the others are removed. */
export async function livingChildren(store: StoreContext): Promise<readonly OwnerIdentity[]> {
  const { epochs } = store.paths;
  const files = await translated({ operation: 'list', path: epochs }, () => store.fs.readdir(epochs));
  const living: OwnerIdentity[] = [];
  for (const file of files.filter(isChildFile)) {
    const path = `${epochs}/${file}`;
    const owner = await readChild(store, path);
    if (owner === undefined) continue;
    if (livenessOf(owner, store.owner) === 'alive') living.push(owner);
    else if (livenessOf(owner, store.owner) === 'dead') await quietly(() => store.fs.unlink(path));
  }
  return living;
}

async function readChild(store: StoreContext, path: string): Promise<OwnerIdentity | undefined> {
  try {
    const bytes = await readRecord(store.fs, path, RECORD_LIMIT);
    return bytes === undefined ? undefined : parseChild(bytes, path).owner;
  } catch {
    return undefined; // invariant 2
  }
}
