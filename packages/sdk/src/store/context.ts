/**
 * What every part of one opened directory store shares: ports, paths, who we are, and what was read before.
 *
 * Invariants
 * 1. Only what can never change is remembered: seals and manifests of verified images, never listings or marks.
 * 2. The root is resolved once; below it every folder is a real directory or the store is refused.
 */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock, FileStat, FileSystem } from '../base/ports.js';
import type { BaseRecord } from '../image/contract.js';
import type { EpochRecord, OwnerIdentity, Seal } from './contract.js';
import { ifPresent, storeError, translated } from './failure.js';
import { FOLDERS, type Layout, layout } from './layout.js';

/** What is known of an image whose manifest was read and verified. */
export interface KnownImage {
  readonly size: number;
  readonly names: readonly string[];
  readonly bases: readonly BaseRecord[];
}

export interface StoreContext {
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly paths: Layout;
  readonly owner: OwnerIdentity;
  /** How long a heartbeat must stand still before its owner counts as dead, ms. */
  readonly silenceMs: number;
  readonly seals: Map<number, Seal>;
  readonly known: Map<string, KnownImage>;
}

/** Resolves the root and looks at each folder that is there (invariant 2). @throws ENOENT where there is no root */
export async function resolveRoot(fs: FileSystem, root: string): Promise<Layout> {
  const paths = layout(await fs.realpath(root));
  const stat = await fs.lstat(paths.root);
  if (!stat.isDirectory()) {
    throw storeError('ERR_CKPT_STORE_UNUSABLE', { operation: 'use', path: paths.root, phase: 'open' }, 'a directory', kindOf(stat));
  }
  for (const folder of FOLDERS) await assertFolder(fs, join(paths.root, folder));
  return paths;
}

/** @throws ERR_CKPT_STORE_UNSAFE when something else than a directory lies there; nothing there is fine */
async function assertFolder(fs: FileSystem, path: string): Promise<void> {
  const attempt = { operation: 'use', path, phase: 'open' } as const;
  const stat = await translated(attempt, () => ifPresent(() => fs.lstat(path)));
  if (stat !== undefined && !stat.isDirectory()) throw storeError('ERR_CKPT_STORE_UNSAFE', attempt, 'a directory', kindOf(stat));
}

export function kindOf(stat: FileStat): string {
  if (stat.isSymbolicLink()) return 'a symbolic link';
  if (stat.isDirectory()) return 'a directory';
  return stat.isFile() ? 'a file' : 'a device, pipe or socket';
}

/** The identity of the store directory now. */
export async function directoryIdentity(store: StoreContext): Promise<EpochRecord['directory']> {
  const { root } = store.paths;
  const stat = await translated({ operation: 'look at', path: root }, () => store.fs.lstat(root));
  return { dev: stat.dev, ino: stat.ino, birthtimeMs: stat.birthtimeMs };
}

/**
 * True when a record was made in another directory than this one: the store was copied. A device number changes
 * with every mount and says nothing; a birth time that a file system does not keep is 0.
 */
export function isCopied(recorded: EpochRecord['directory'], now: EpochRecord['directory']): boolean {
  if (recorded.ino !== now.ino) return true;
  return recorded.birthtimeMs > 0 && now.birthtimeMs > 0 && recorded.birthtimeMs !== now.birthtimeMs;
}

/** A fresh path in tmp/ for the life of an epoch: once fenced, what is left there is removed. */
export function epochTemporary(store: StoreContext, epoch: number): string {
  return join(store.paths.tmp, `e${epoch}-${randomBytes(8).toString('hex')}`);
}

const PROCESS_FILE = /^p(\d{1,10})-([0-9a-f]{16})-[0-9a-f]{16}$/;

/** Names this boot and pid namespace: pids mean something only within. */
function habitat({ boot, pidNamespace }: OwnerIdentity): string {
  return createHash('sha256').update(`${boot}\0${pidNamespace}`).digest('hex').slice(0, 16);
}

/** A fresh path in tmp/ for a process that has no epoch (yet): kept while that process lives. */
export function processTemporary(store: Pick<StoreContext, 'paths' | 'owner'>): string {
  return join(store.paths.tmp, `p${store.owner.pid}-${habitat(store.owner)}-${randomBytes(8).toString('hex')}`);
}

export type TemporaryHolder =
  | { readonly kind: 'epoch'; readonly epoch: number }
  | { readonly kind: 'process'; readonly pid: number; readonly near: boolean };

/** Whose temporary file that is; undefined for a file that no store made. */
export function temporaryHolder(store: StoreContext, file: string): TemporaryHolder | undefined {
  const epoch = /^e(\d{1,15})-[0-9a-f]{16}$/.exec(file)?.[1];
  if (epoch !== undefined) return { kind: 'epoch', epoch: Number(epoch) };
  const [, pid, where] = PROCESS_FILE.exec(file) ?? [];
  return where === undefined ? undefined : { kind: 'process', pid: Number(pid), near: where === habitat(store.owner) };
}
