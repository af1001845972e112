import { appendFileSync, closeSync, mkdtempSync, openSync, realpathSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CapturedFile } from '../../packages/sdk/src/files/contract.js';
import { declareFile } from '../../packages/sdk/src/files/declaration.js';
import { LibraryFiles } from '../../packages/sdk/src/files/library-files.js';
import { compileRules, type FileRule } from '../../packages/sdk/src/files/rules.js';

describe.runIf(process.platform === 'linux')('files of libraries', () => {
  let folder: string;
  let path: string;
  const open: number[] = [];
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'ckpt-library-')));
    path = join(folder, 'app.log');
  });
  afterEach(() => {
    for (const fd of open.splice(0)) closeSync(fd);
    rmSync(folder, { recursive: true, force: true });
  });

  function opened(file = path, flags = 'a'): number {
    const fd = openSync(file, flags);
    open.push(fd);
    return fd;
  }

  function library(rules: FileRule[] = [{ pattern: '*.log', policy: 'append' }], recorded: string[] = []): LibraryFiles {
    return new LibraryFiles('main', compileRules(rules, folder), recorded);
  }

  const facts = (captured: CapturedFile[]): unknown[] =>
    captured.map(({ declaration: { name, policy }, size, position }) => ({ name, policy, size, position }));

  it('records size and position of the instant, under a name of its own', () => {
    const fd = opened();
    const files = library();
    writeSync(fd, 'first\n');
    expect(facts(files.capture(new Set()))).toEqual([{ name: `fd:${path}`, policy: 'append', size: 6, position: 6 }]);
    writeSync(fd, 'second\n');
    expect(facts(files.capture(new Set()))).toMatchObject([{ size: 13, position: 13 }]);
  });

  it('records only what is open for writing, has a rule, and is not declared by the program', () => {
    opened(join(folder, 'no-rule'));
    writeFileSync(path, 'x');
    opened(path, 'r');
    const files = library();
    expect(files.capture(new Set())).toEqual([]);
    opened(path);
    expect(files.capture(new Set([path]))).toEqual([]);
    expect(files.capture(new Set())).toHaveLength(1);
    expect(library([{ pattern: '*.log', policy: 'ignore' }]).capture(new Set())).toEqual([]);
  });

  it('has names that no program can declare', () => {
    for (const name of ['fd:/x', 'stdio:stdout']) expect(() => declareFile(name, 'x', {})).toThrow(TypeError);
  });

  it('records a file once that is open twice', () => {
    opened();
    opened();
    expect(library().capture(new Set())).toHaveLength(1);
  });

  it('goes on with a path that was closed since, and with one that the source image recorded, by its size of now', () => {
    const fd = opened();
    const files = library();
    files.capture(new Set());
    open.splice(open.indexOf(fd), 1);
    closeSync(fd);
    appendFileSync(path, 'by another call');
    expect(facts(files.capture(new Set()))).toMatchObject([{ size: 15, position: 15 }]);
    expect(facts(library(undefined, [path]).capture(new Set()))).toMatchObject([{ size: 15 }]);
    expect(library([], [path]).capture(new Set())).toEqual([]);
  });

  it('lets go of a path where nothing lies any more, and takes what lies there after a rotation', () => {
    const fd = opened();
    const files = library();
    writeSync(fd, 'old');
    files.capture(new Set());
    renameSync(path, `${path}.1`);
    expect(files.capture(new Set())).toEqual([]);
    writeSync(opened(), 'newer');
    expect(facts(files.capture(new Set()))).toMatchObject([{ name: `fd:${path}`, size: 5 }]);
  });
});
