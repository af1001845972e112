/** Every failure of the file system during open, claim, seal and commit: in one process, with real files. */
import { constants, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isCheckpointError } from '../../packages/sdk/src/base/errors.js';
import type { ImageRef } from '../../packages/sdk/src/image/contract.js';
import type { Incarnation, Store } from '../../packages/sdk/src/store/contract.js';
import { openDirectoryStore } from '../../packages/sdk/src/store/directory.js';
import type { Fault, Operation, OperationName } from '../faults/fault-file-system.mjs';
import { type Recording, recordingFileSystem } from '../faults/recording-file-system.js';
import { APP, asSource, begin, claimOptions, commit, damagesOf, deadOwner, silent } from '../fixtures/store-lives.js';

const DEAD = deadOwner();

async function place(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ckpt-faults-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'ckpt');
}

interface Life {
  readonly root: string;
  readonly recording: Recording;
  readonly store: Store;
  readonly incarnation: Incarnation;
  readonly first: ImageRef;
}

/** A life with one acknowledged image; faults count from after it when `path` or `op` single something out. */
async function lifeWithImage(faults: readonly Fault[], root?: string): Promise<Life> {
  const where = root ?? (await place());
  const recording = recordingFileSystem(faults);
  const store = openDirectoryStore(where, recording.ports, { owner: DEAD });
  const incarnation = await begin(store);
  const first = await commit(incarnation, incarnation.run.id, 1);
  return { root: where, recording, store, incarnation, first };
}

/** A second commit with this fault in it: occurrences are counted from the beginning of the life. */
async function secondCommit(fault: Fault): Promise<Life & { outcome: unknown }> {
  const probe = await lifeWithImage([]);
  const before = probe.recording.operations.filter((operation) => meant(fault, operation)).length;
  const life = await lifeWithImage([{ ...fault, nth: before + (fault.nth ?? 1) }]);
  const outcome = await commit(life.incarnation, life.incarnation.run.id, 2, { names: ['second'] }).catch((error: unknown) => error);
  return { ...life, outcome };
}

function meant(fault: Fault, { name, path, to }: Operation): boolean {
  return (fault.op ?? name) === name && (path.includes(fault.path ?? '') || (to ?? '').includes(fault.path ?? ''));
}

/** Between two changes the disk is the same: an end before a read is an end before the next change. */
function isChange({ name, flags = 0 }: Operation): boolean {
  if (name === 'open') return (flags & constants.O_CREAT) !== 0;
  return ['write', 'fsync', 'mkdir', 'link', 'unlink', 'fsync-directory'].includes(name);
}

function temporaryFiles(root: string): string[] {
  return readdirSync(join(root, 'tmp'));
}

/** The previous image is whole, nothing temporary is left, the program commits its next image. */
async function assertUntouched({ root, store, incarnation, first, recording }: Life): Promise<void> {
  expect(recording.fired.length).toBeGreaterThan(0);
  expect(temporaryFiles(root)).toEqual([]);
  expect(await damagesOf(store, first)).toBe(0);
  const next = await commit(incarnation, incarnation.run.id, 3);
  const { candidates } = await store.lineage();
  expect(candidates[0]?.id).toBe(next.id);
  expect(candidates.at(-1)?.id).toBe(first.id);
}

describe('a commit', () => {
  it('F1: goes on after short writes until every byte is written', async () => {
    const { outcome, recording, store } = await secondCommit({ op: 'write', path: 'tmp', action: 'short', times: 1_000 });
    expect(recording.fired.length).toBeGreaterThan(5);
    expect(await damagesOf(store, outcome as ImageRef)).toBe(0); // commit() resolved: damagesOf would be 1 for an error
  });

  it.each([
    ['F2', 'write', 'ENOSPC', 'ERR_CKPT_NO_SPACE'],
    ['F2', 'write', 'EDQUOT', 'ERR_CKPT_NO_SPACE'],
    ['F2', 'fsync', 'ENOSPC', 'ERR_CKPT_NO_SPACE'],
    ['F2', 'close', 'EDQUOT', 'ERR_CKPT_NO_SPACE'],
    ['F3', 'write', 'EIO', 'ERR_CKPT_IO'],
    ['F4', 'fsync', 'EIO', 'ERR_CKPT_IO'],
    ['F6', 'link', 'EXDEV', 'ERR_CKPT_STORE_UNSUPPORTED'],
    ['F6', 'link', 'EPERM', 'ERR_CKPT_STORE_UNSUPPORTED'],
    ['F8', 'open', 'EMFILE', 'ERR_CKPT_IO'],
  ] as const)('%s: %s failing with %s is %s, and changes nothing', async (_, op, errno, expected) => {
    const life = await secondCommit({ op, path: 'tmp', action: `errno:${errno}` });
    expect(life.outcome).toMatchObject({ code: expected });
    expect((await life.store.images()).map(({ id }) => id)).toEqual([life.first.id]);
    await assertUntouched(life);
  });

  it('F2: a disk that is full in the middle of an image leaves no part of it', async () => {
    const root = await place();
    const recording = recordingFileSystem([{ op: 'write', path: 'e1-', nth: 3, action: 'errno:ENOSPC' }]);
    const store = openDirectoryStore(root, recording.ports);
    const incarnation = await begin(store);
    const big = commit(incarnation, incarnation.run.id, 1, { bytes: new Uint8Array(3 * 2 ** 20).fill(1) });
    await expect(big).rejects.toMatchObject({ code: 'ERR_CKPT_NO_SPACE' });
    expect(recording.fired).toHaveLength(1);
    expect(temporaryFiles(root)).toEqual([]);
    expect(await store.images()).toEqual([]);
  });

  it('F4: a file whose fsync failed is abandoned and never fsynced again', async () => {
    const life = await secondCommit({ op: 'fsync', path: 'tmp', action: 'errno:EIO' });
    const [failed] = life.recording.fired;
    await assertUntouched(life);
    expect(failed).toBeDefined();
    expect(life.recording.operations.filter(({ name, path }) => name === 'fsync' && path === failed?.path)).toEqual([]);
    expect(life.recording.operations.filter(({ name, path }) => name === 'unlink' && path === failed?.path)).toHaveLength(1);
  });

  it('F5: a directory that cannot be fsynced leaves an uncertain image, which is verified before use', async () => {
    const life = await secondCommit({ op: 'fsync-directory', path: 'images', action: 'errno:EIO' });
    expect(life.outcome).toMatchObject({ code: 'ERR_CKPT_UNCERTAIN' });
    const [newest] = (await life.store.lineage()).candidates;
    expect(newest?.generation).toBe(2);
    expect(newest && (await damagesOf(life.store, newest))).toBe(0);
    await assertUntouched(life);
  });

  it('F6: never copies where it cannot link', async () => {
    const life = await secondCommit({ op: 'link', path: 'tmp', times: 5, action: 'errno:EPERM' });
    const written = life.recording.operations.filter(({ name, path }) => name === 'write' && path.includes('images'));
    expect(life.recording.fired).toHaveLength(1);
    expect(written).toEqual([]);
  });

  it.each(['EIO', 'EEXIST', 'ETIMEDOUT'])('believes its own inode under the final name, not a link that answers %s', async (errno) => {
    const life = await secondCommit({ op: 'link', path: 'images', action: `errno-after:${errno}` });
    expect(life.outcome).toMatchObject({ generation: 2 });
    expect(await damagesOf(life.store, life.outcome as ImageRef)).toBe(0); // the line above holds its shape
    await assertUntouched(life);
  });

  it('F7: tries again when it is interrupted, whatever the operation', async () => {
    const names: OperationName[] = [
      'open',
      'read',
      'write',
      'fsync',
      'stat',
      'close',
      'mkdir',
      'readdir',
      'lstat',
      'link',
      'unlink',
      'fsync-directory',
    ];
    for (const op of names) {
      const errno = op === 'close' ? 'EINTR' : 'EAGAIN';
      const life = await secondCommit({ op, times: op === 'close' ? 1 : 3, action: `errno:${errno}` });
      expect(life.outcome, op).toMatchObject({ generation: 2 });
      expect(life.recording.fired.length, op).toBe(op === 'close' ? 1 : 3);
      expect(temporaryFiles(life.root), op).toEqual([]);
    }
  });

  it('F7: gives up on what is interrupted for ever', async () => {
    const life = await secondCommit({ op: 'write', path: 'tmp', times: 50, action: 'errno:EAGAIN' });
    expect(life.outcome).toMatchObject({ code: 'ERR_CKPT_IO' });
  });

  it('survives the failure of any single operation: an error with a code or an image, and the one before untouched', async () => {
    const probe = await lifeWithImage([]);
    const before = probe.recording.operations.length;
    await commit(probe.incarnation, probe.incarnation.run.id, 2, { names: ['second'] });
    const during = probe.recording.operations.slice(before);
    expect(during.length).toBeGreaterThan(20);
    for (const errno of ['EIO', 'ENOSPC']) {
      for (const [index, operation] of during.entries()) {
        if (errno === 'ENOSPC' && !isChange(operation)) continue;
        const nth = before + index + 1;
        const life = await lifeWithImage([{ nth, action: `errno:${errno}` }]);
        const outcome = await commit(life.incarnation, life.incarnation.run.id, 2, { names: ['second'] }).catch((error: unknown) => error);
        const what = `${errno} at ${life.recording.fired.map(({ name, path }) => `${name} ${path}`).join()}`;
        expect(life.recording.fired, what).toHaveLength(1);
        expect(isCheckpointError(outcome) || !(outcome instanceof Error), what).toBe(true);
        expect(await damagesOf(life.store, life.first), what).toBe(0);
        for (const candidate of (await life.store.lineage()).candidates) expect(await damagesOf(life.store, candidate), what).toBe(0);
        // The one leftover that may be: a temporary file whose own removal was made to fail. The next claim removes it.
        const removing = life.recording.fired[0]?.name === 'unlink';
        if (!removing) expect(temporaryFiles(life.root), what).toEqual([]);
        await commit(life.incarnation, life.incarnation.run.id, 3);
      }
    }
  }, 120_000);
});

describe('a life that ends at any operation', () => {
  /** Opens, claims, seals, commits two images; tells what was acknowledged before the end. */
  async function live(root: string, faults: readonly Fault[]): Promise<{ recording: Recording; acknowledged: ImageRef[] }> {
    const recording = recordingFileSystem(faults);
    const acknowledged: ImageRef[] = [];
    const run = async (): Promise<void> => {
      const incarnation = await begin(openDirectoryStore(root, recording.ports, { owner: DEAD }));
      acknowledged.push(await commit(incarnation, incarnation.run.id, 1));
      acknowledged.push(await commit(incarnation, incarnation.run.id, 2, { names: ['second'] }));
      await incarnation.release();
    };
    await Promise.race([run(), recording.firing.then(() => new Promise((resolve) => setImmediate(resolve)))]);
    return { recording, acknowledged };
  }

  it.each(['halt-before', 'halt-after'] as const)(
    'F10: %s each of its changes leaves the old image or the new one, and nothing that stays',
    async (action) => {
      const whole = await live(await place(), []);
      const changes = whole.recording.operations.flatMap((operation, index) => (isChange(operation) ? [index + 1] : []));
      expect(changes.length).toBeGreaterThan(50);
      for (const nth of changes) {
        const root = await place();
        const { recording, acknowledged } = await live(root, [{ nth, action }]);
        await recording.abandon();
        const what = `${action} ${recording.fired.map(({ name, path }) => `${name} ${path}`).join()}`;
        expect(recording.fired, what).toHaveLength(1);
        await expectRecovery(root, acknowledged, what);
      }
    },
    120_000,
  );

  async function expectRecovery(root: string, acknowledged: readonly ImageRef[], what: string): Promise<void> {
    const store = openDirectoryStore(root, recordingFileSystem().ports);
    await store.open(APP, silent);
    const incarnation = await store.claim(claimOptions());
    await store.repairNames();
    const lineage = await store.lineage();
    const [newest] = lineage.candidates;
    for (const image of acknowledged)
      expect(
        lineage.candidates.map(({ id }) => id),
        what,
      ).toContain(image.id);
    for (const candidate of lineage.candidates) expect(await damagesOf(store, candidate), what).toBe(0);
    if (lineage.acknowledged) expect(newest, what).toBeDefined();
    if (newest?.generation === 2) expect((await store.resolve('second')).id, what).toBe(newest.id);
    expect(temporaryFiles(root), what).toEqual([]);
    await incarnation.seal(newest === undefined ? { kind: 'fresh' } : asSource(newest));
    const next = await commit(incarnation, incarnation.run.id, (await store.highestGeneration()) + 1, { names: ['second'] });
    expect((await store.lineage()).candidates[0]?.id, what).toBe(next.id);
    expect((await store.resolve('second')).id, what).toBe(next.id);
  }
});

describe('a store directory', () => {
  it.each(['EROFS', 'EACCES'])('F9: that answers %s is refused at open', async (errno) => {
    const recording = recordingFileSystem([{ op: 'open', path: 'tmp', action: `errno:${errno}`, times: 9 }]);
    await expect(openDirectoryStore(await place(), recording.ports).open(APP, silent)).rejects.toMatchObject({
      code: 'ERR_CKPT_STORE_UNUSABLE',
    });
    expect(recording.fired.length).toBeGreaterThan(0);
  });

  it.each(['EPERM', 'ENOTSUP', 'EXDEV'])('F6: without hard links (%s) is refused at open', async (errno) => {
    const recording = recordingFileSystem([{ op: 'link', action: `errno:${errno}`, times: 9 }]);
    const root = await place();
    await expect(openDirectoryStore(root, recording.ports).open(APP, silent)).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_UNSUPPORTED' });
    expect(recording.fired).toHaveLength(1);
    expect(temporaryFiles(root)).toEqual([]);
  });

  it('that cannot make directory entries durable works, and says at open that it is degraded', async () => {
    const recording = recordingFileSystem([{ op: 'fsync-directory', action: 'errno:EINVAL', times: 1_000 }]);
    const warnings: string[] = [];
    const store = openDirectoryStore(await place(), recording.ports);
    await store.open(APP, (message) => warnings.push(message));
    expect(warnings).toEqual([expect.stringContaining('degraded')]);
    const incarnation = await begin(store);
    await commit(incarnation, incarnation.run.id, 1);
    expect((await store.lineage()).candidates).toHaveLength(1);
  });

  it('F5: an uncertain claim is not used, and does not lock the store', async () => {
    const root = await place();
    const recording = recordingFileSystem([{ op: 'fsync-directory', path: 'epochs', action: 'errno:EIO' }]);
    const store = openDirectoryStore(root, recording.ports);
    await store.open(APP, silent);
    await expect(store.claim(claimOptions())).rejects.toMatchObject({ code: 'ERR_CKPT_UNCERTAIN' });
    expect((await store.claim(claimOptions())).epoch).toBe(2);
  });

  it('F15: that is deleted while the program runs is reported as gone, and is not made anew', async () => {
    const life = await lifeWithImage([]);
    await rm(life.root, { recursive: true });
    await expect(commit(life.incarnation, life.incarnation.run.id, 2)).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_GONE' });
    await expect(life.incarnation.assertNewest()).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_GONE' });
    expect(() => readdirSync(life.root)).toThrow();
  });

  it('F15: that was deleted and made anew is not taken for the old one', async () => {
    const life = await lifeWithImage([]);
    await rm(life.root, { recursive: true });
    await begin(openDirectoryStore(life.root, recordingFileSystem().ports));
    await expect(commit(life.incarnation, life.incarnation.run.id, 2)).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_GONE' });
    await expect(life.incarnation.assertNewest()).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_GONE' });
  });

  it.each(['images', 'tmp', 'epochs'])('F15: whose %s/ is deleted while the program runs is reported as gone', async (folder) => {
    const life = await lifeWithImage([]);
    await rm(join(life.root, folder), { recursive: true });
    await expect(commit(life.incarnation, life.incarnation.run.id, 2)).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_GONE' });
  });
});
