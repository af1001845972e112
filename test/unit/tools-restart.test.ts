/** Starting a program again: what is refused before anything is started. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { locate, mapPath } from '../../packages/sdk/src/files/mapped-paths.js';
import { restartImage } from '../../packages/sdk/src/images.js';
import { makeStore } from '../fixtures/store-maker.js';

describe('restartImage', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'ckpt-restart-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('F49: refuses while the program still runs', async () => {
    const { image } = await (await makeStore(dir)).begin();
    await image();
    await expect(restartImage(dir, { waitMs: 0 })).rejects.toMatchObject({
      code: 'ERR_CKPT_LOCKED',
      context: { owner: { pid: process.pid } },
    });
  });

  it('starts the program once the one before has let go, and resolves with its exit code', async () => {
    const { image, incarnation } = await (await makeStore(dir)).begin(
      { kind: 'fresh' },
      { argv: ['-e', 'process.exit(process.env.CKPT_RESTART === "latest" ? 7 : 1)'] },
    );
    await image();
    const exit = restartImage(dir, { stdio: 'ignore' });
    await incarnation.release();
    expect(await exit).toMatchObject({ exitCode: 7, signal: undefined });
  });

  it('F29: tells why when the program could not start because no image can be used, and only then', async () => {
    const { image, incarnation } = await (await makeStore(dir)).begin({ kind: 'fresh' }, { argv: ['-e', 'process.exit(1)'] });
    const { path } = await image({ names: ['only'] });
    await incarnation.release();
    expect(await restartImage(dir, { stdio: 'ignore' })).toMatchObject({ exitCode: 1 });
    const bytes = readFileSync(path);
    bytes[70] = (bytes[70] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await expect(restartImage(dir, { stdio: 'ignore' })).rejects.toMatchObject({ code: 'ERR_CKPT_ALL_DAMAGED' });
    await expect(restartImage(dir, { image: 'only', stdio: 'ignore' })).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
  });

  it('tells a death by a signal as 128 + n', async () => {
    const { image, incarnation } = await (await makeStore(dir)).begin(
      { kind: 'fresh' },
      { argv: ['-e', 'process.kill(process.pid, "SIGKILL")'] },
    );
    await image();
    await incarnation.release();
    expect(await restartImage(dir, { stdio: 'ignore' })).toMatchObject({ exitCode: 137, signal: 'SIGKILL' });
  });

  it('drops the executable where the recorded arguments begin with it', async () => {
    const { image, incarnation } = await (await makeStore(dir)).begin(
      { kind: 'fresh' },
      { argv: [process.execPath, '-e', 'process.exit(9)'] },
    );
    await image();
    await incarnation.release();
    expect(await restartImage(dir, { stdio: 'ignore' })).toMatchObject({ exitCode: 9 });
  });

  it('hands the store, the image and the take-over to the program', async () => {
    const script =
      'process.exit(["CKPT_DIR", "CKPT_RESTART", "CKPT_TAKE_OVER"].every((key, i) => process.env[key] === process.argv[i + 1]) ? 0 : 1)';
    const { image } = await (await makeStore(dir)).begin({ kind: 'fresh' }, { argv: ['-e', script, '--', dir, 'y1', '1'] });
    await image({ names: ['y1'] });
    expect(await restartImage(dir, { image: 'y1', takeOver: true, stdio: 'ignore' })).toMatchObject({ exitCode: 0 });
  });

  it.each([
    ['a working directory that is gone', { cwd: '/no/such/folder' }],
    ['an executable that is gone', { execPath: '/no/such/node' }],
  ])('refuses %s', async (_, command) => {
    const { image, incarnation } = await (await makeStore(dir)).begin({ kind: 'fresh' }, command);
    await image();
    await incarnation.release();
    await expect(restartImage(dir)).rejects.toMatchObject({ code: 'ERR_CKPT_IO' });
  });

  it('refuses a lineage without images and a name that is not there', async () => {
    const { incarnation } = await (await makeStore(dir)).begin();
    await incarnation.release();
    await expect(restartImage(dir)).rejects.toMatchObject({ code: 'ERR_CKPT_NO_IMAGE' });
    await expect(restartImage(dir, { image: 'nosuch' })).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_FOUND' });
  });

  it('runs no command that was recorded in another directory: a copied store may come from anyone', async () => {
    const { image, incarnation } = await (await makeStore(dir)).begin({ kind: 'fresh' }, { argv: ['-e', 'process.exit(66)'] });
    await image();
    await incarnation.release();
    const copy = join(dir, 'tmp', 'copy');
    mkdirSync(copy);
    for (const part of ['run.json', 'epochs', 'images', 'names', 'requests'])
      cpSync(join(dir, part), join(copy, part), { recursive: true });
    await expect(restartImage(copy, { stdio: 'ignore' })).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_UNSAFE' });
    const command = [process.execPath, '-e', 'process.exit(5)'];
    expect(await restartImage(copy, { stdio: 'ignore', command })).toMatchObject({ exitCode: 5 });
  });

  it('tells once whom it waits for', async () => {
    const { image, incarnation } = await (await makeStore(dir)).begin({ kind: 'fresh' }, { argv: ['-e', ''] });
    await image();
    const told: unknown[] = [];
    const onWaiting = (owner: unknown): void => {
      told.push(owner);
      void incarnation.release();
    };
    expect(await restartImage(dir, { stdio: 'ignore', onWaiting })).toMatchObject({ exitCode: 0 });
    expect(told).toMatchObject([{ pid: process.pid }]);
  });

  it('refuses options it does not know', async () => {
    // The types forbid what is tried here.
    await expect(restartImage(dir, { takeover: true } as object)).rejects.toThrow(TypeError);
  });
});

describe('locate', () => {
  const moved = { roots: [{ from: '/data', to: '/mnt/data' }], recorded: '/old', now: '/new' };
  it('finds a path given relatively below the working directory of now, and any other by its mapping, which comes first', () => {
    const at = (given: string, path: string): string => locate({ given, path }, moved);
    expect(at('out/x', '/old/out/x')).toBe('/new/out/x');
    expect(at('/old/out/x', '/old/out/x')).toBe('/old/out/x');
    expect(at('x', '/elsewhere/x')).toBe('/elsewhere/x');
    expect(at('/data/x', '/data/x')).toBe('/mnt/data/x');
    expect(at('../data/x', '/data/x')).toBe('/mnt/data/x');
    expect(locate({ given: 'x', path: resolve('x') }, { ...moved, recorded: '' })).toBe(resolve('x'));
  });
});

describe('mapPath', () => {
  it('changes whole components of absolute paths only', () => {
    const roots = [
      { from: '/a/b', to: '/x' },
      { from: '/c/', to: '/y/' },
    ];
    expect(['/a/b', '/a/b/c', '/a/bc', '/c/d', 'a/b', '--o=/a/b'].map((path) => mapPath(path, roots))).toEqual([
      '/x',
      '/x/c',
      '/a/bc',
      '/y/d',
      'a/b',
      '--o=/a/b',
    ]);
  });
});
