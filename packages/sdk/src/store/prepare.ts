/**
 * Opening a store directory: refuses what cannot hold a store safely, and makes what is missing, before any work that
 * could be lost is done.
 *
 * Invariants
 * 1. `run.json` is written last: where it is, the folders were durable.
 * 2. A store that has images but has lost its run or its epochs is refused, never quietly begun anew.
 * 3. What the file system must be able to do (exclusive create, hard links) is tried, not assumed.
 */
import { constants } from 'node:fs';
import { dirname, join } from 'node:path';
import { CheckpointError, systemCode } from '../base/errors.js';
import { newId } from '../base/ids.js';
import type { FileSystem } from '../base/ports.js';
import { processTemporary, type StoreContext } from './context.js';
import type { RunRecord } from './contract.js';
import { createDurable, linkOnce, NO_FOLLOW, putRecord, syncFolder } from './durable.js';
import { readEpochs } from './epochs.js';
import { quietly, storeError, storeFailure, translated } from './failure.js';
import { FOLDERS } from './layout.js';
import { listRefs } from './lineage.js';
import { parseRun, RECORD_LIMIT } from './records.js';
import { readRecord } from './source.js';

const OTHERS_MAY_WRITE = 0o002;

/** Makes the root and the directories above it as needed. */
export async function makeRoot(fs: FileSystem, root: string): Promise<void> {
  const attempt = { operation: 'make the directory', path: root, phase: 'open' } as const;
  try {
    await makeTree(fs, root, 0o700);
    await assertLeadsSomewhere(fs, root);
  } catch (cause) {
    throw storeFailure(cause, attempt);
  }
}

/** A link that leads nowhere is there for mkdir, and is not there for everything else. */
async function assertLeadsSomewhere(fs: FileSystem, path: string): Promise<void> {
  try {
    await fs.realpath(path);
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') throw nowhere(path, 'a symbolic link whose target is missing', cause);
    throw cause;
  }
}

function nowhere(path: string, found: string, cause: unknown): CheckpointError {
  const attempt = { operation: 'make a store in', path, phase: 'open' } as const;
  return storeError('ERR_CKPT_STORE_UNUSABLE', attempt, 'a place where directories can be made', found, cause);
}

async function makeTree(fs: FileSystem, path: string, mode: number, parentMade = false): Promise<void> {
  try {
    await fs.mkdir(path, mode);
  } catch (cause) {
    const code = systemCode(cause);
    if (code === 'EEXIST' || code === 'EISDIR') {
      // Whoever made it may have been killed before its entry was durable. What is above may be closed to us, and is then not ours.
      await quietly(() => fs.syncDirectory(dirname(path)));
      return;
    }
    if (code !== 'ENOENT' || dirname(path) === path) throw cause;
    // In /proc this goes on failing for ever although what is above is there.
    if (parentMade) throw nowhere(dirname(path), 'that it takes none', cause);
    await makeTree(fs, dirname(path), 0o777);
    await assertLeadsSomewhere(fs, dirname(path));
    return makeTree(fs, path, mode, true);
  }
  await syncFolder(fs, dirname(path));
}

/**
 * Makes the folders, tries the file system, and reads or writes the run's record.
 * @param wanted the id that the run must have; a new one gets it
 */
export async function prepareStore(store: StoreContext, app: string, warn: (message: string) => void, wanted?: string): Promise<RunRecord> {
  const { fs, paths } = store;
  const root = await translated({ operation: 'open', path: paths.root, phase: 'open' }, () => fs.lstat(paths.root));
  if ((root.mode & OTHERS_MAY_WRITE) !== 0 && process.platform !== 'win32') {
    warn(`every user of this machine may write to ${paths.root}: run chmod 700 on it, an image decides what the program continues from`);
  }
  await makeFolders(store);
  if (!(await probe(store))) {
    warn(`${paths.root} is degraded: its file system cannot make directory entries durable, a power failure may lose the newest image`);
  }
  const run = (await readRun(store)) ?? (await createRun(store, app, wanted ?? newId()));
  assertApp(store, run, app);
  if (wanted !== undefined) assertRun(store, run, wanted);
  await assertEpochs(store);
  return run;
}

async function makeFolders({ fs, paths }: StoreContext): Promise<void> {
  for (const folder of FOLDERS) {
    const path = join(paths.root, folder);
    const attempt = { operation: 'make the directory', path, phase: 'open' } as const;
    await translated(attempt, async () => {
      try {
        await fs.mkdir(path, 0o700);
      } catch (cause) {
        if (systemCode(cause) !== 'EEXIST') throw cause;
      }
    });
  }
  await syncFolder(fs, paths.root);
}

/** The run's record, or undefined when there is none. */
export async function readRun(store: StoreContext): Promise<RunRecord | undefined> {
  const bytes = await readRecord(store.fs, store.paths.run, RECORD_LIMIT);
  return bytes === undefined ? undefined : parseRun(bytes, store.paths.run);
}

async function createRun(store: StoreContext, app: string, id: string): Promise<RunRecord> {
  const { newest } = await readEpochs(store);
  const images = await listRefs(store);
  if (newest > 0 || images.length > 0) throw lost(store, 'the record of the run (run.json)');
  const record: RunRecord = { format: 1, id, app: { name: app }, createdAt: store.clock.now() };
  if (await putRecord(store, store.paths.run, record)) return record;
  const other = await readRun(store);
  if (other === undefined) throw lost(store, 'the record of the run (run.json)');
  return other;
}

async function assertEpochs(store: StoreContext): Promise<void> {
  const newest = (await listRefs(store)).reduce((highest, { epoch }) => Math.max(highest, epoch), 0);
  if (newest > (await readEpochs(store)).newest) throw lost(store, `the claim of epoch ${newest}`);
}

function lost(store: StoreContext, what: string): CheckpointError {
  const { root } = store.paths;
  return new CheckpointError(
    'ERR_CKPT_STORE_UNSAFE',
    `cannot open ${root}: expected ${what} beside its images, found nothing; put it back from a copy of the store, ` +
      'or move the store away and begin a new one',
    { path: root, phase: 'open' },
  );
}

function assertApp(store: StoreContext, run: RunRecord, app: string): void {
  if (run.app.name === app) return;
  throw new CheckpointError(
    'ERR_CKPT_WRONG_APP',
    `cannot open ${store.paths.root}: expected a store of the program '${app}', found one of '${run.app.name}'; give each program a directory of its own`,
    { path: store.paths.root, phase: 'open' },
  );
}

function assertRun({ paths }: StoreContext, run: RunRecord, wanted: string): void {
  if (run.id === wanted) return;
  throw new CheckpointError(
    'ERR_CKPT_WRONG_RUN',
    `cannot take the image into ${paths.root}: expected a store of run ${wanted}, found one of run ${run.id}; take another directory`,
    { path: paths.root, phase: 'open' },
  );
}

/** Invariant 3. @returns false where directory entries cannot be made durable */
async function probe(store: StoreContext): Promise<boolean> {
  const { fs, paths } = store;
  const path = processTemporary(store);
  const second = processTemporary(store);
  const attempt = { operation: 'use', path: paths.root, phase: 'open' } as const;
  try {
    await translated(attempt, () => tryFiles(fs, path, second));
    return await syncFolder(fs, paths.tmp);
  } finally {
    await quietly(() => fs.unlink(second));
    await quietly(() => fs.unlink(path));
  }
}

async function tryFiles(fs: FileSystem, path: string, second: string): Promise<void> {
  const lacking = (what: string, found: string): unknown =>
    storeError('ERR_CKPT_STORE_UNSUPPORTED', { operation: 'use', path: dirname(dirname(path)), phase: 'open' }, what, found);
  try {
    await createDurable(fs, path, (sink) => sink.write(Buffer.from('probe\n')));
  } catch (cause) {
    // Opening is no commit: no access means an unusable directory, not a failed write.
    throw storeFailure(cause instanceof CheckpointError && systemCode(cause.cause) !== undefined ? cause.cause : cause, {
      operation: 'write to',
      path: dirname(dirname(path)),
      phase: 'open',
    });
  }
  if (await creates(fs, path)) throw lacking('exclusive creation of files', 'a file created over another');
  if (!(await linkOnce(fs, path, second))) throw lacking('a hard link', 'that the name was taken');
  const [a, b] = [await fs.lstat(path), await fs.lstat(second)];
  if (a.ino !== b.ino) throw lacking('a hard link', 'a copy');
}

async function creates(fs: FileSystem, path: string): Promise<boolean> {
  try {
    const file = await fs.open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW, 0o600);
    await file.close();
    return true;
  } catch (cause) {
    if (systemCode(cause) === 'EEXIST') return false;
    throw cause;
  }
}
