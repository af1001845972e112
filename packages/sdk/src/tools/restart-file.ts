/**
 * Restarting from an exported image: it is taken into the store first.
 *
 * Invariants
 * 1. The command comes from the caller, never from the file.
 * 2. A dry run takes it into a store of its own that is removed afterwards: nothing else has changed.
 */
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { FileSystem } from '../base/ports.js';
import { loadPorts } from '../base/system-ports.js';
import { readManifest } from '../image/reader.js';
import { openDirectoryStore } from '../store/directory.js';
import { quietly } from '../store/failure.js';
import { openImageFile } from './image-file.js';
import { assertTarget, importInto } from './import-image.js';
import { type OpenedStore, openStore, type ProgramOwner } from './open-store.js';
import type { RestartPlan } from './restart-plan.js';
import { wantsCommand } from './start-command.js';
import type { RestartSettings } from './tool-options.js';

export interface ImportedForRestart {
  readonly opened: OpenedStore;
  readonly id: string;
  /** The plan as it is for the store that is meant. */
  readonly plan: (plan: RestartPlan) => RestartPlan;
  readonly done: () => Promise<void>;
}

/** @throws CheckpointError ERR_CKPT_STORE_UNSAFE without a command, and what importImage throws */
export async function importForRestart(
  image: string,
  root: string,
  { command, dryRun, waitMs, takeOver }: RestartSettings,
  onWaiting: ((owner: ProgramOwner) => void) | undefined,
): Promise<ImportedForRestart> {
  const file = resolve(image);
  if (command === undefined) throw wantsCommand(`${file} is an exported image, whose program is not started by itself`, file);
  const ports = await loadPorts(undefined);
  const settings = { waitMs, takeOver, signal: undefined };
  const tell = onWaiting === undefined ? {} : { onWaiting };
  if (!dryRun) {
    const { id } = await importInto(file, root, ports, settings, tell);
    return { opened: await openStore(root, 'restartImage'), id, plan: (plan) => plan, done: async () => {} };
  }
  await assertFits(file, root, ports.fileSystem);
  const scratch = join(tmpdir(), `ckpt-dry-run-${randomBytes(8).toString('hex')}`);
  try {
    const { id } = await importInto(file, scratch, ports, settings, {});
    const plan = (made: RestartPlan): RestartPlan => ({
      ...made,
      store: root,
      image: { ...made.image, path: file },
      environment: { ...made.environment, CKPT_DIR: root },
    });
    return { opened: await openStore(scratch, 'restartImage'), id, plan, done: () => removeTree(ports.fileSystem, scratch) };
  } catch (error) {
    await removeTree(ports.fileSystem, scratch);
    throw error;
  }
}

/** What the import itself would refuse. */
async function assertFits(file: string, root: string, fs: FileSystem): Promise<void> {
  const source = await openImageFile(file, fs);
  try {
    const { manifest } = await readManifest(source);
    await assertTarget(openDirectoryStore(root, await loadPorts(undefined)), fs, manifest);
  } finally {
    await source.close();
  }
}

async function removeTree(fs: FileSystem, path: string): Promise<void> {
  await quietly(async () => {
    for (const entry of await fs.readdir(path)) {
      const inner = join(path, entry);
      if ((await fs.lstat(inner)).isDirectory()) await removeTree(fs, inner);
      else await fs.unlink(inner);
    }
    await fs.rmdir(path);
  });
}
