import { execFileSync, spawn } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Ports } from '../../packages/sdk/src/base/ports.js';
import { systemClock, systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import { isCopied } from '../../packages/sdk/src/store/context.js';
import type { Store } from '../../packages/sdk/src/store/contract.js';
import { openDirectoryStore } from '../../packages/sdk/src/store/directory.js';
import { FOLDERS, parseImageFile } from '../../packages/sdk/src/store/layout.js';
import { currentOwner, livenessOf } from '../../packages/sdk/src/store/owner.js';
import { recordingFileSystem } from '../faults/recording-file-system.js';
import { ManualClock } from '../fixtures/manual-clock.js';
import { APP, begin, claimOptions, commit, damagesOf, deadOwner, silent } from '../fixtures/store-lives.js';
import { needRoot, needTool } from '../fixtures/tools.js';

const PORTS: Ports = { fileSystem: systemFileSystem, clock: systemClock };
const DEAD = deadOwner();
const code = (name: string): object => expect.objectContaining({ code: name });

async function place(): Promise<{ root: string; store: Store; dead: Store }> {
  const folder = await mkdtemp(join(tmpdir(), 'ckpt-directory-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const root = join(folder, 'a', 'b', 'ckpt');
  return { root, store: openDirectoryStore(root, PORTS), dead: openDirectoryStore(root, PORTS, { owner: DEAD }) };
}

describe('a store directory', () => {
  it('is readable by its owner only', async () => {
    const { root, store } = await place();
    const incarnation = await begin(store);
    await commit(incarnation, incarnation.run.id, 1, { names: ['named'] });
    const walk = (path: string): void => {
      const { mode } = lstatSync(path);
      const folder = lstatSync(path).isDirectory();
      expect(mode & 0o777, path).toBe(folder ? 0o700 : 0o600);
      if (folder) for (const name of readdirSync(path)) walk(join(path, name));
    };
    walk(root);
    expect(readdirSync(root).sort()).toEqual([...FOLDERS, 'run.json'].sort());
  });

  it.each(FOLDERS)('with a symbolic link in place of %s/ is refused', async (folder) => {
    const { root, store } = await place();
    await store.open(APP, silent);
    renameSync(join(root, folder), join(root, '..', folder));
    symlinkSync(join(root, '..', folder), join(root, folder));
    await expect(openDirectoryStore(root, PORTS).open(APP, silent)).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
    await expect(openDirectoryStore(root, PORTS).inspect()).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
  });

  it('may itself be reached through a symbolic link, which is resolved once', async () => {
    const { root, store } = await place();
    await store.open(APP, silent);
    symlinkSync(root, `${root}-link`);
    const linked = openDirectoryStore(`${root}-link`, PORTS);
    const incarnation = await begin(linked);
    rmSync(`${root}-link`);
    const image = await commit(incarnation, incarnation.run.id, 1);
    expect((await store.images()).map(({ id }) => id)).toEqual([image.id]);
  });

  it('does not follow a link in place of a record or an image', async () => {
    const { root, store, dead } = await place();
    const old = await begin(dead);
    const image = await commit(old, old.run.id, 1);
    const [file = ''] = readdirSync(join(root, 'images'));
    renameSync(join(root, 'images', file), join(root, '..', file));
    symlinkSync(join(root, '..', file), join(root, 'images', file));
    expect((await store.images()).map(({ id }) => id)).toEqual([image.id]); // it is there, and says why it cannot be read
    await expect(store.openImage(image)).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
    renameSync(join(root, 'run.json'), join(root, '..', 'run.json'));
    symlinkSync(join(root, '..', 'run.json'), join(root, 'run.json'));
    await expect(openDirectoryStore(root, PORTS).inspect()).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
  });

  it('with a pipe in place of a record is refused, not waited for', async (context) => {
    needTool(context, 'mkfifo');
    const { root, store } = await place();
    await store.open(APP, silent);
    rmSync(join(root, 'run.json'));
    execFileSync('mkfifo', [join(root, 'run.json')]);
    await expect(openDirectoryStore(root, PORTS).inspect()).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
  });

  it('with a pipe in place of its sign of life goes on without one', async (context) => {
    needTool(context, 'mkfifo');
    const { root, store } = await place();
    const run = await begin(store);
    rmSync(join(root, 'epochs/1.heartbeat'), { force: true });
    execFileSync('mkfifo', [join(root, 'epochs/1.heartbeat')]);
    await expect(run.beat()).rejects.toEqual(code('ERR_CKPT_IO'));
    await run.release();
  });

  it.each([
    ['run.json', '{}'],
    ['run.json', 'nothing'],
    ['epochs/1.claim', '{"epoch":1}'],
    ['epochs/1.claim', `"${'x'.repeat(9_000_000)}"`],
    ['epochs/1.sealed', '{"epoch":1,"source":{"kind":"image","id":"../../etc/passwd","epoch":0,"generation":0},"frontier":0}'],
    ['epochs/1.sealed', '{"epoch":2,"source":{"kind":"fresh"},"frontier":0}'],
    ['epochs/1.sealed', `{"epoch":1,"source":{"kind":"image","id":"${'a'.repeat(32)}","epoch":1,"generation":1},"frontier":0}`],
  ])('with a damaged %s is refused by name', async (file, content) => {
    const { root, dead } = await place();
    await begin(dead);
    writeFileSync(join(root, file), content);
    const store = openDirectoryStore(root, PORTS);
    const using = async (): Promise<void> => {
      await store.inspect();
      await store.claim(claimOptions());
      await store.lineage();
    };
    await expect(using()).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_UNSAFE', path: join(root, file) });
  });

  it('with a damaged heartbeat has no sign of life, and nothing worse', async () => {
    const { root, store, dead } = await place();
    const old = await begin(dead);
    writeFileSync(join(root, 'epochs', '1.heartbeat'), 'torn');
    const next = await begin(store);
    expect(next.previousSignOfLife).toBe(old.record.claimedAt);
  });

  it('that has images but has lost its run, its epochs or a claim is not begun anew', async () => {
    for (const lost of ['run.json', 'epochs', 'epochs/1.claim']) {
      const { root, dead } = await place();
      const old = await begin(dead);
      await commit(old, old.run.id, 1);
      rmSync(join(root, lost), { recursive: true });
      await expect(openDirectoryStore(root, PORTS).open(APP, silent), lost).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
    }
  });

  it('F11: has a durable entry in the folder above, although whoever made it was killed before it had', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ckpt-directory-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    mkdirSync(join(folder, 'ckpt'), 0o700);
    const { ports, operations } = recordingFileSystem();
    await openDirectoryStore(join(folder, 'ckpt'), ports).open(APP, silent);
    expect(operations.some(({ name, path }) => name === 'fsync-directory' && path === folder)).toBe(true);
  });

  it('says when others may write to it', async () => {
    const { root, store } = await place();
    mkdirSync(join(root, '..'), { recursive: true });
    mkdirSync(root);
    execFileSync('chmod', ['0777', root]);
    const warnings: string[] = [];
    await store.open(APP, (message) => warnings.push(message));
    expect(warnings).toEqual([expect.stringContaining('chmod 700')]);
  });

  it('in place of which there is a file is refused', async () => {
    const { root, store } = await place();
    mkdirSync(join(root, '..'), { recursive: true });
    writeFileSync(root, '');
    await expect(store.open(APP, silent)).rejects.toEqual(code('ERR_CKPT_STORE_UNUSABLE'));
    const below = openDirectoryStore(join(root, 'deeper'), PORTS);
    await expect(below.open(APP, silent)).rejects.toEqual(code('ERR_CKPT_STORE_UNUSABLE'));
  });

  it('F9: that is, or lies below, a link that leads nowhere is refused at open', async () => {
    const { root } = await place();
    mkdirSync(join(root, '..'), { recursive: true });
    symlinkSync(join(root, '..', 'missing'), root);
    for (const dir of [root, join(root, 'deeper'), join(root, 'deeper', 'still')]) {
      await expect(openDirectoryStore(dir, PORTS).open(APP, silent)).rejects.toMatchObject({
        code: 'ERR_CKPT_STORE_UNUSABLE',
        context: { path: root },
      });
    }
  });

  it('F9: in a place that is there but takes no directories is refused at open', async (context) => {
    if (process.platform !== 'linux') context.skip();
    await expect(openDirectoryStore('/proc/ckpt-test/store', PORTS).open(APP, silent)).rejects.toEqual(code('ERR_CKPT_STORE_UNUSABLE'));
  });

  it('may be made by several at once', async () => {
    const { root } = await place();
    const stores = [1, 2, 3, 4].map(() => openDirectoryStore(root, PORTS));
    const runs = await Promise.all(stores.map((store) => store.open(APP, silent)));
    expect(new Set(runs.map(({ id }) => id)).size).toBe(1);
  });

  it('F9: on a file system that is mounted read-only is refused at open', async (context) => {
    needRoot(context);
    needTool(context, 'mount', 'umount');
    const { root, store } = await place();
    await store.open(APP, silent);
    mount(context, root, ['--bind', root, root]);
    execFileSync('mount', ['-o', 'remount,bind,ro', root]);
    await expect(openDirectoryStore(root, PORTS).open(APP, silent)).rejects.toEqual(code('ERR_CKPT_STORE_UNUSABLE'));
  });

  it('F2: on a disk that is really full refuses the image, and goes on when there is room again', async (context) => {
    needRoot(context);
    needTool(context, 'mount', 'umount');
    const { root } = await place();
    mkdirSync(root, { recursive: true });
    mount(context, root, ['-t', 'tmpfs', '-o', 'size=1m', 'none', root]);
    const store = openDirectoryStore(join(root, 'ckpt'), PORTS);
    const incarnation = await begin(store);
    const first = await commit(incarnation, incarnation.run.id, 1);
    const bytes = new Uint8Array(4 * 2 ** 20).fill(7);
    await expect(commit(incarnation, incarnation.run.id, 2, { bytes })).rejects.toEqual(code('ERR_CKPT_NO_SPACE'));
    expect(readdirSync(join(root, 'ckpt', 'tmp'))).toEqual([]);
    expect(await damagesOf(store, first)).toBe(0);
    const next = await commit(incarnation, incarnation.run.id, 3);
    expect((await store.lineage()).candidates.map(({ id }) => id)).toEqual([next.id, first.id]);
  });
});

describe('a claim', () => {
  it('F14: removes what dead lives left in tmp/, and leaves what is not ours or still in use', async () => {
    const { root, store, dead } = await place();
    const old = await begin(dead);
    await commit(old, old.run.id, 1);
    const tail = '0123456789abcdef';
    const probe = openDirectoryStore(root, PORTS);
    await probe.open(APP, silent);
    const files = [`e1-${tail}`, `e7-${tail}`, 'notes.txt'];
    for (const file of files) writeFileSync(join(root, 'tmp', file), 'partial');
    writeFileSync(join(root, 'images', '000001-00000002-half'), 'partial');
    const next = await begin(store);
    expect(readdirSync(join(root, 'tmp')).sort()).toEqual([`e7-${tail}`, 'notes.txt']);
    expect(await store.images()).toHaveLength(1);
    await commit(next, next.run.id, 2, { names: ['again'] });
    await commit(next, next.run.id, 3, { names: ['again'] });
    expect((await store.resolve('again')).generation).toBe(3);
  });

  it('removes the requests that were there before it, and keeps those that came later', async () => {
    const { root, store } = await place();
    await store.open(APP, silent);
    writeFileSync(join(root, 'requests', 'checkpoint'), '');
    writeFileSync(join(root, 'requests', 'x.result'), '');
    const incarnation = await store.claim(claimOptions());
    expect(readdirSync(join(root, 'requests'))).toEqual([]);
    writeFileSync(join(root, 'requests', 'checkpoint'), '');
    await incarnation.seal({ kind: 'fresh' });
    expect(readdirSync(join(root, 'requests'))).toEqual(['checkpoint']);
  });

  it('F51: waits a minute of its own clock for the heartbeat of an owner on another host, whatever the wall clock does', async () => {
    const { root } = await place();
    const clock = new ManualClock();
    const ports = { fileSystem: systemFileSystem, clock };
    const owner = { ...currentOwner(PORTS), host: 'elsewhere', boot: 'another boot' };
    const old = await begin(openDirectoryStore(root, ports, { owner }));
    const store = openDirectoryStore(root, ports);
    await store.open(APP, silent);
    const start = clock.monotonic();
    let end: number | undefined;
    const claiming = store.claim(claimOptions({ waitMs: 300_000 })).finally(() => {
      end = clock.monotonic();
    });
    let beats = 0;
    while (end === undefined) {
      if (clock.monotonic() - start < 45_000 && beats < 30 && clock.timers > 0) {
        await old.beat();
        beats += 1;
        clock.jumpWall(-3_600_000);
      }
      if (clock.timers > 0) clock.advance(1_500);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { epoch } = await claiming;
    expect(epoch).toBe(2);
    expect(beats).toBe(30);
    expect(end - start).toBeGreaterThanOrEqual(60_000 + 30 * 1_500);
    expect(end - start).toBeLessThan(130_000);
  });

  it('is refused at once when it may not wait, and says what would have to be waited for', async () => {
    const { root } = await place();
    await begin(openDirectoryStore(root, PORTS, { owner: { ...currentOwner(PORTS), boot: 'another boot' } }));
    await expect(openDirectoryStore(root, PORTS).claim(claimOptions())).rejects.toMatchObject({ code: 'ERR_CKPT_LOCKED' });
  });
});

describe('an identity', () => {
  it('is alive with its start time and dead with another', () => {
    const me = currentOwner(PORTS);
    expect(livenessOf(me, me)).toBe('alive');
    expect(livenessOf({ ...me, startTime: '17' }, me)).toBe('dead');
    expect(livenessOf(DEAD, me)).toBe('dead');
    expect(livenessOf({ ...me, boot: 'x' }, me)).toBe('unknown');
    expect(livenessOf({ ...me, pidNamespace: 'x' }, me)).toBe('unknown');
  });

  it('is found although the command has brackets and blanks in its name', async (context) => {
    context.skip(process.platform !== 'linux', 'reads /proc');
    const folder = await mkdtemp(join(tmpdir(), 'ckpt-owner-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const program = join(folder, 'a) R 1 (b');
    symlinkSync('/bin/sleep', program);
    const child = spawn(program, ['60']);
    onTestFinished(() => void child.kill('SIGKILL'));
    const stat = (): string => readFileSync(`/proc/${child.pid}/stat`, 'latin1');
    while (!stat().includes('a) R 1 (b')) await new Promise((resolve) => setImmediate(resolve));
    const startTime = stat().split(') ').at(-1)?.split(' ')[19] ?? '';
    const me = currentOwner(PORTS);
    expect(livenessOf({ ...me, pid: child.pid ?? 0, startTime }, me)).toBe('alive');
  });

  it('F75: of a directory tells a copy from a store that was mounted anew', () => {
    const recorded = { dev: 1, ino: 2, birthtimeMs: 3 };
    expect(isCopied(recorded, { dev: 9, ino: 2, birthtimeMs: 3 })).toBe(false);
    expect(isCopied(recorded, { dev: 1, ino: 2, birthtimeMs: 0 })).toBe(false);
    expect(isCopied(recorded, { dev: 1, ino: 7, birthtimeMs: 3 })).toBe(true);
    expect(isCopied(recorded, { dev: 1, ino: 2, birthtimeMs: 4 })).toBe(true);
  });
});

describe('a file name', () => {
  it('is parsed by its numbers, whatever their width, and refused when it is anything else', () => {
    const id = 'a'.repeat(32);
    expect(parseImageFile(`1-2-${id}.ckpt`)).toEqual({ id, epoch: 1, generation: 2 });
    expect(parseImageFile(`0000001-1234567890-${id}.ckpt`)).toEqual({ id, epoch: 1, generation: 1_234_567_890 });
    for (const name of [`1-2-${id}.ckpt~`, `../1-2-${id}.ckpt`, `-1-2-${id}.ckpt`, `1-2-${id.toUpperCase()}.ckpt`, '1-2.ckpt']) {
      expect(parseImageFile(name), name).toBeUndefined();
    }
  });
});

function mount(context: { skip(reason: string): void }, root: string, args: readonly string[]): void {
  try {
    execFileSync('mount', args, { stdio: 'ignore' });
  } catch {
    context.skip('may not mount here');
  }
  onTestFinished(() => {
    if (existsSync(root)) execFileSync('umount', [root]);
  });
}
