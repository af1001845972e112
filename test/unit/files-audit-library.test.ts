import {
  appendFileSync,
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Counted } from '../../packages/sdk/src/files/census.js';
import type { CapturedFile } from '../../packages/sdk/src/files/contract.js';
import { declareFile } from '../../packages/sdk/src/files/declaration.js';
import { LibraryFiles } from '../../packages/sdk/src/files/library-files.js';
import { findMatching } from '../../packages/sdk/src/files/matching-files.js';
import { compileRules, type FileRule, folderOf } from '../../packages/sdk/src/files/rules.js';

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
    return new LibraryFiles('main', { rules, policyOf: compileRules(rules, folder), workingDirectory: folder, store: '' }, recorded);
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

  it('follows what differs from the census though nobody has it open, and never what the program declared', () => {
    for (const file of ['same.log', 'grown.log', 'unknown.log', 'declared.log']) writeFileSync(join(folder, file), 'x');
    const files = library();
    const counted = (file: string): [string, Counted] => {
      const { size, dev, ino } = lstatSync(join(folder, file));
      return [join(folder, file), { size, identity: { dev, ino }, check: { from: 0, to: 0, hash: '' } }];
    };
    files.compareWith(
      new Map<string, Counted | undefined>([...['same.log', 'grown.log'].map(counted), [join(folder, 'unknown.log'), undefined]]),
    );
    files.capture(new Set([join(folder, 'declared.log')]));
    for (const file of ['grown.log', 'unknown.log', 'declared.log', 'new.log']) appendFileSync(join(folder, file), 'more');
    expect(facts(files.capture(new Set()))).toMatchObject([
      { name: `fd:${join(folder, 'grown.log')}`, size: 5 },
      { name: `fd:${join(folder, 'new.log')}`, size: 4 },
    ]);
  });

  it('are found below the folders that patterns lead to, through no link, not in the store, and not beyond a limit', () => {
    for (const file of ['a.log', 'deep/b.log', 'deep/deeper/c.log', 'store/tail.log', 'ignored/d.log', 'e.txt']) {
      mkdirSync(join(folder, file, '..'), { recursive: true });
      writeFileSync(join(folder, file), '');
    }
    symlinkSync(join(folder, 'a.log'), join(folder, 'link.log'));
    symlinkSync(join(folder, 'deep'), join(folder, 'link'));
    const found = (patterns: string[], most = 1_000): string[] | undefined => {
      const append = patterns.map((pattern): FileRule => ({ pattern, policy: 'append' }));
      const rules: FileRule[] = [{ pattern: 'ignored/**', policy: 'ignore' }, ...append, { pattern: '**', policy: 'volatile' }];
      const searched = { rules, policyOf: compileRules(rules, folder), workingDirectory: folder, store: join(folder, 'store'), most };
      const all = findMatching(searched);
      return all === undefined ? undefined : [...all].map((path) => relative(folder, path)).sort();
    };
    expect(found(['**/*.log'])).toEqual(['a.log', 'deep/b.log', 'deep/deeper/c.log']);
    expect(found(['*.log'])).toEqual(['a.log']);
    expect(found(['deep/*.log', 'a.log', 'link/*.log', 'none/*', 'none.log'])).toEqual(['a.log', 'deep/b.log']);
    expect(found([`${folder}/{deep/deeper,x}/*`])).toEqual(['deep/deeper/c.log']);
    expect(found(['**/*.log'], 11)).toEqual(['a.log', 'deep/b.log', 'deep/deeper/c.log']);
    expect(found(['**/*.log'], 10)).toBeUndefined();
    expect(found(['deep/*.log'], 2)).toEqual(['deep/b.log']);
    expect([folderOf('/*'), folderOf('logs/a/b-*.log'), folderOf('../x/**/y'), folderOf('a.log')]).toEqual([
      { folder: '/', depth: 1 },
      { folder: 'logs/a', depth: 1 },
      { folder: '../x', depth: Number.POSITIVE_INFINITY },
      { folder: 'a.log', depth: 0 },
    ]);
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
