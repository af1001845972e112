/**
 * Leases and pins: what keeps an image from being deleted while somebody works with it, or for ever.
 *
 * Invariants
 * 1. A lease is durable before its holder relies on it, and is then checked against the image still being there.
 * 2. A lease counts while its holder lives; one whose holder this process cannot look at counts for a day.
 * 3. A lease of another directory came with a copy of the store and does not count.
 */
import { join } from 'node:path';
import { newId } from '../base/ids.js';
import type { ImageRef } from '../image/contract.js';
import { directoryIdentity, isCopied, type StoreContext } from './context.js';
import type { Lease } from './contract.js';
import { putRecord } from './durable.js';
import { ifPresent, quietly, storeError, translated } from './failure.js';
import { imagePath } from './layout.js';
import { livenessOf } from './owner.js';
import { type LeaseRecord, parseLease, RECORD_LIMIT } from './records.js';
import { readRecord } from './source.js';

const LEASE_FILE = /^[0-9a-f]{32}\.json$/;
const PIN_FILE = /^[0-9a-f]{32}$/;
const UNKNOWN_HOLDER_MS = 24 * 60 * 60 * 1_000;

/** @throws ERR_CKPT_NOT_FOUND when the image is gone (invariant 1) */
export async function acquireLease(store: StoreContext, image: ImageRef, purpose: string): Promise<Lease> {
  const path = join(store.paths.leases, `${newId()}.json`);
  const directory = await directoryIdentity(store);
  const record: LeaseRecord = { image: image.id, holder: store.owner, purpose, since: store.clock.now(), directory };
  await putRecord(store, path, record);
  const lease: Lease = { image, release: () => releaseLease(store, path) };
  const file = imagePath(store.paths, image);
  if ((await translated({ operation: 'look at', path: file }, () => ifPresent(() => store.fs.lstat(file)))) !== undefined) return lease;
  await quietly(() => lease.release());
  throw storeError('ERR_CKPT_NOT_FOUND', { operation: 'lease', path: file, phase: 'select' }, 'the image', 'nothing');
}

/** A lease that is there after a crash only keeps an image until its holder is known to be dead: no fsync. */
async function releaseLease(store: StoreContext, path: string): Promise<void> {
  await translated({ operation: 'remove', path }, () => ifPresent(() => store.fs.unlink(path)));
}

async function leaseFiles(store: StoreContext): Promise<string[]> {
  const { leases } = store.paths;
  const files = await translated({ operation: 'list', path: leases }, () => ifPresent(() => store.fs.readdir(leases)));
  return (files ?? []).filter((file) => LEASE_FILE.test(file)).map((file) => join(leases, file));
}

function counts(store: StoreContext, lease: LeaseRecord, directory: LeaseRecord['directory']): boolean {
  if (isCopied(lease.directory, directory)) return false;
  const liveness = livenessOf(lease.holder, store.owner);
  return liveness === 'alive' || (liveness === 'unknown' && Math.abs(store.clock.now() - lease.since) < UNKNOWN_HOLDER_MS);
}

async function sortLeases(store: StoreContext): Promise<{ living: LeaseRecord[]; stale: string[] }> {
  const directory = await directoryIdentity(store);
  const living: LeaseRecord[] = [];
  const stale: string[] = [];
  for (const path of await leaseFiles(store)) {
    const bytes = await readRecord(store.fs, path, RECORD_LIMIT);
    if (bytes === undefined) continue;
    const lease = parseLease(bytes, path);
    if (counts(store, lease, directory)) living.push(lease);
    else stale.push(path);
  }
  return { living, stale };
}

/** The purpose of a lease that needs only the bytes which the image holds itself, and none of its bases. */
export const BASE_LEASE = 'checkpoints are built upon it';

/** Ids of images with a lease that counts, with its purpose; the one that needs most, where there are several. */
export async function leasedImages(store: StoreContext): Promise<ReadonlyMap<string, string>> {
  const { living } = await sortLeases(store);
  const needsLeast = (a: LeaseRecord, b: LeaseRecord): number => Number(b.purpose === BASE_LEASE) - Number(a.purpose === BASE_LEASE);
  return new Map(living.sort(needsLeast).map((lease) => [lease.image, lease.purpose]));
}

/** Removes leases of the dead. */
export async function removeStaleLeases(store: StoreContext): Promise<void> {
  const { stale } = await sortLeases(store);
  for (const path of stale) await translated({ operation: 'remove', path }, () => ifPresent(() => store.fs.unlink(path)));
}

/** Ids of pinned images. */
export async function pinnedImages(store: StoreContext): Promise<ReadonlySet<string>> {
  const { pins } = store.paths;
  const files = await translated({ operation: 'list', path: pins }, () => ifPresent(() => store.fs.readdir(pins)));
  return new Set((files ?? []).filter((file) => PIN_FILE.test(file)));
}
