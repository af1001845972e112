import { constants, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { PromptFileSystem } from '../../packages/sdk/src/base/prompt-file-system.js';

const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
const LARGE = 2 ** 17;

let folder: string;
let told: string[];
let fileSystem: PromptFileSystem;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ckpt-prompt-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  told = [];
  fileSystem = new PromptFileSystem(false, { begin: () => told.push('begin'), end: () => told.push('end') });
});

describe.each([true, false])('a file system that is prompt: %s', (prompt) => {
  beforeEach(() => {
    fileSystem.prompt = prompt;
  });

  it('does what was asked for, small or large', async () => {
    const path = join(folder, 'a');
    const file = await fileSystem.open(path, CREATE, 0o600);
    const bytes = Buffer.alloc(LARGE, 'x');
    expect(await file.write(bytes, 0, 10, 0)).toBe(10);
    expect(await file.write(bytes, 0, LARGE, 10)).toBe(LARGE);
    expect((await file.stat()).size).toBe(LARGE + 10);
    await file.truncate(5);
    await file.sync();
    const read = new Uint8Array(8);
    expect(await file.read(read, 1, 7, 2)).toBe(3);
    await file.close();
    await fileSystem.link(path, join(folder, 'b'));
    await fileSystem.rename(path, join(folder, 'c'));
    await fileSystem.mkdir(join(folder, 'd'), 0o700);
    await fileSystem.syncDirectory(folder);
    expect((await fileSystem.readdir(folder)).sort()).toEqual(['b', 'c', 'd']);
    expect((await fileSystem.lstat(join(folder, 'b'))).ino).toBe((await fileSystem.lstat(join(folder, 'c'))).ino);
    await fileSystem.unlink(join(folder, 'c'));
    await fileSystem.rmdir(join(folder, 'd'));
    expect(readFileSync(join(folder, 'b'), 'utf8')).toBe('xxxxx');
    expect(await fileSystem.realpath(folder)).toBe(folder);
  });

  it('rejects with the code of the system, and never throws at the call', async () => {
    const nowhere = join(folder, 'nowhere', 'x');
    for (const call of [
      () => fileSystem.open(nowhere, CREATE),
      () => fileSystem.lstat(nowhere),
      () => fileSystem.readdir(nowhere),
      () => fileSystem.link(nowhere, nowhere),
      () => fileSystem.unlink(nowhere),
      () => fileSystem.syncDirectory(nowhere),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'ENOENT' });
    expect(told.filter((word) => word === 'begin').length).toBe(told.filter((word) => word === 'end').length);
  });

  it('closes a file once, and nothing reaches another file through its number', async () => {
    const file = await fileSystem.open(join(folder, 'a'), CREATE, 0o600);
    await file.close();
    await file.close();
    const other = await fileSystem.open(join(folder, 'b'), CREATE, 0o600);
    await expect(file.write(Buffer.from('x'), 0, 1, 0)).rejects.toMatchObject({ code: 'EBADF' });
    await expect(file.stat()).rejects.toMatchObject({ code: 'EBADF' });
    await expect(file.sync()).rejects.toMatchObject({ code: 'EBADF' });
    expect((await other.stat()).size).toBe(0);
    await other.close();
  });
});

it('tells of each call that it waits for itself, and of no sync, deletion or large write', async () => {
  fileSystem.prompt = true;
  const file = await fileSystem.open(join(folder, 'a'), CREATE, 0o600);
  await file.write(new Uint8Array(10), 0, 10, 0);
  expect(told).toEqual(['begin', 'end', 'begin', 'end']);
  await file.write(new Uint8Array(LARGE), 0, LARGE, 0);
  await file.sync();
  await fileSystem.unlink(join(folder, 'a'));
  expect(told.length).toBe(4);
  await file.close();
});

it('closes by itself what was opened before it was prompt no more, and the other way round', async () => {
  fileSystem.prompt = true;
  const one = await fileSystem.open(join(folder, 'a'), CREATE, 0o600);
  fileSystem.prompt = false;
  const two = await fileSystem.open(join(folder, 'b'), CREATE, 0o600);
  expect(await one.write(Buffer.from('one'), 0, 3, 0)).toBe(3);
  await one.close();
  fileSystem.prompt = true;
  expect(await two.write(Buffer.from('two'), 0, 3, 0)).toBe(3);
  await two.close();
  await expect(two.sync()).rejects.toMatchObject({ code: 'EBADF' });
});
