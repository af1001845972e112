/** A run that is moved: exported here, imported and gone on with there, with nothing else of the old place present. */
import { spawnSync } from 'node:child_process';
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { nodePath } from '../fixtures/node.js';
import { copyPackage } from '../fixtures/readable-package.js';
import { needRoot, needTool } from '../fixtures/tools.js';

const cli = fileURLToPath(new URL('../../packages/sdk/dist/cli.js', import.meta.url));
const program = fileURLToPath(new URL('../fixtures/mover.mjs', import.meta.url));
const sdk = fileURLToPath(new URL('../../packages/sdk', import.meta.url));
const NOBODY = 65_534;
const LINES = 400;
const STOP_AT = 150;
const OUTPUTS = ['totals.txt', 'notes.bin'];

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'ckpt-move-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A working directory with the program in it, and its input where that is wanted. */
function workplace(name: string, withInput: boolean): string {
  const place = join(folder, name);
  mkdirSync(join(place, 'node_modules', '@ckpt'), { recursive: true });
  symlinkSync(sdk, join(place, 'node_modules', '@ckpt', 'sdk'));
  copyFileSync(program, join(place, 'mover.mjs'));
  if (withInput) {
    const numbers = Array.from({ length: LINES }, (_, index) => `${(index * 7919) % 1000} número ${index}\n`);
    writeFileSync(join(place, 'numbers.txt'), numbers.join(''));
    writeFileSync(join(place, 'notes.bin'), Buffer.alloc(112, '.'));
  }
  return place;
}

interface Run {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param command the executable and its arguments; `ckpt` stands for ours */
function run(cwd: string, command: readonly string[], env: Record<string, string> = {}, as: readonly string[] = []): Run {
  const { CKPT_DIR: _, CKPT_RESTART: __, NO_COLOR: ___, ...inherited } = process.env;
  const whole = [...as, ...(command[0] === 'ckpt' ? [nodePath, cli, ...command.slice(1)] : command)];
  const { status, signal, stdout, stderr } = spawnSync(whole[0] ?? '', whole.slice(1), {
    cwd,
    env: { ...inherited, ...env },
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, signal, stdout, stderr };
}

/** What an uninterrupted run writes. */
function expectedOutputs(): readonly Buffer[] {
  const place = workplace('whole', true);
  expect(run(place, [nodePath, 'mover.mjs'], { CKPT_DIR: join(place, 'store') })).toMatchObject({ status: 0 });
  return OUTPUTS.map((file) => readFileSync(join(place, file)));
}

/** Killed behind its image, exported, and the place removed. @returns the file */
function exportedRun(...more: readonly string[]): string {
  const place = workplace('old', true);
  const store = join(place, 'store');
  expect(run(place, [nodePath, 'mover.mjs', String(STOP_AT)], { CKPT_DIR: store })).toMatchObject({ signal: 'SIGKILL' });
  const file = join(folder, 'one.ckpt');
  expect(run(place, ['ckpt', '--dir', store, 'export', 'here', '-o', file, ...more])).toMatchObject({ status: 0, stdout: `${file}\n` });
  rmSync(place, { recursive: true });
  return file;
}

function outputsOf(place: string): readonly Buffer[] {
  return OUTPUTS.map((file) => readFileSync(join(place, file)));
}

function started({ status, stdout, stderr }: Run): unknown {
  expect([status, stderr]).toEqual([0, expect.any(String)]);
  return JSON.parse(stdout);
}

describe('an exported run', () => {
  it('goes on in another directory from the file alone, and ends with the same outputs', () => {
    const expected = expectedOutputs();
    const file = exportedRun('--with-files');
    const place = workplace('new', false);
    const store = join(place, 'data', 'store');
    const end = started(run(place, ['ckpt', '--dir', store, 'restart', file, '--', nodePath, 'mover.mjs']));
    expect(end).toMatchObject({ restarted: true, lines: LINES });
    expect(outputsOf(place)).toEqual(expected);
    expect(JSON.parse(run(place, ['ckpt', '--dir', store, 'verify', '--json']).stdout).images.length).toBeGreaterThan(1);
  });

  it('goes on after an import, under its recorded name, beside files that were brought along', () => {
    const expected = expectedOutputs();
    const old = workplace('old', true);
    const oldStore = join(old, 'store');
    run(old, [nodePath, 'mover.mjs', String(STOP_AT)], { CKPT_DIR: oldStore });
    const file = join(folder, 'one.ckpt');
    run(old, ['ckpt', '--dir', oldStore, 'export', 'here', '-o', file]);
    const place = workplace('new', false);
    // Copies: other inodes, and the output longer than the image knows.
    for (const name of ['numbers.txt', 'totals.txt']) copyFileSync(join(old, name), join(place, name));
    rmSync(old, { recursive: true });
    const store = join(place, 'ckpt');
    expect(run(place, ['ckpt', 'import', file])).toMatchObject({ status: 0 });
    expect(run(place, ['ckpt', 'import', file, '--json'])).toMatchObject({ status: 0, stdout: expect.stringContaining('"already": true') });
    expect(run(place, ['ckpt', 'list', '--json']).stdout).toContain('"here"');
    expect(run(place, ['ckpt', 'restart'])).toMatchObject({ status: 1, stderr: expect.stringContaining('ERR_CKPT_STORE_UNSAFE') });
    const dry = run(place, ['ckpt', 'restart', 'here', '--dry-run', '--json', '--', nodePath, 'mover.mjs']);
    expect([dry.status, dry.stderr]).toEqual([0, '']);
    expect(JSON.parse(dry.stdout).files).toMatchObject([
      { name: 'numbers', found: true, put: { do: 'nothing' } },
      { name: 'totals', found: true, put: { do: 'cut' } },
      { name: 'notes', found: false, put: { do: 'write-contents' } },
    ]);
    const end = started(run(place, [nodePath, 'mover.mjs'], { CKPT_DIR: store }));
    expect(end).toMatchObject({ restarted: true, lines: LINES });
    expect(outputsOf(place)).toEqual(expected);
    // From now on it is a run of this place like any other.
    expect(run(place, ['ckpt', 'restart', '--dry-run'])).toMatchObject({ status: 0, stdout: expect.stringContaining('mover.mjs') });
  });

  it('goes on under another user, who owns nothing of the old place', (context: TestContext) => {
    needRoot(context);
    needTool(context, 'setpriv');
    const as = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
    const expected = expectedOutputs();
    const file = exportedRun('--with-files');
    const place = join(folder, 'theirs');
    copyPackage(sdk, '@ckpt/sdk', place);
    copyFileSync(program, join(place, 'mover.mjs'));
    for (const path of [folder, place, file]) chownSync(path, NOBODY, NOBODY);
    const theirNode = readableNode(as);
    const theirCli = join(place, 'node_modules/@ckpt/sdk/dist/cli.js');
    const store = join(place, 'store');
    const restart = [theirNode, theirCli, '--dir', store, 'restart', file, '--', theirNode, 'mover.mjs'];
    const end = started(run(place, restart, { HOME: place }, as));
    expect(end).toMatchObject({ restarted: true, lines: LINES });
    expect(outputsOf(place)).toEqual(expected);
    for (const made of [store, join(store, 'images'), join(place, 'totals.txt')]) expect(statSync(made).uid).toBe(NOBODY);
  });

  it('killed again in the new place goes on from what it did there', () => {
    const expected = expectedOutputs();
    const file = exportedRun('--with-files');
    const place = workplace('new', false);
    const store = join(place, 'store');
    const command = ['--', nodePath, 'mover.mjs', String(STOP_AT + 90)];
    expect(run(place, ['ckpt', '--dir', store, 'restart', file, ...command])).toMatchObject({ status: 137 });
    const end = started(run(place, ['ckpt', '--dir', store, 'restart', '--', nodePath, 'mover.mjs']));
    expect(end).toMatchObject({ restarted: true, lines: LINES });
    expect(outputsOf(place)).toEqual(expected);
  });
});

/** Node as others can start it: itself, or a copy where it lies in a private folder. */
function readableNode(as: readonly string[]): string {
  if (run(folder, [nodePath, '--version'], {}, as).status === 0) return nodePath;
  const copy = join(folder, 'node');
  copyFileSync(nodePath, copy);
  return copy;
}

describe('what cannot be moved', () => {
  it('F36: damaged, of another run, without a command: refused with its exit code, and nothing is made', () => {
    const file = exportedRun();
    const place = workplace('new', false);
    const store = join(place, 'store');
    const restart = (...command: readonly string[]): Run => run(place, ['ckpt', '--dir', store, 'restart', file, ...command]);
    expect(restart()).toMatchObject({ status: 1, stderr: expect.stringContaining('ERR_CKPT_STORE_UNSAFE') });
    const bytes = readFileSync(file);
    bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 1;
    const damaged = join(folder, 'damaged.ckpt');
    writeFileSync(damaged, bytes);
    expect(run(place, ['ckpt', '--dir', store, 'import', damaged])).toMatchObject({ status: 12 });
    expect(run(place, ['ckpt', '--dir', store, 'import', join(folder, 'none')])).toMatchObject({ status: 10 });
    expect(existsSync(store)).toBe(false);
    const other = workplace('other', true);
    run(other, [nodePath, 'mover.mjs', '5'], { CKPT_DIR: join(other, 'store') });
    const images = readdirSync(join(other, 'store', 'images'));
    expect(run(place, ['ckpt', '--dir', join(other, 'store'), 'import', file])).toMatchObject({ status: 13 });
    expect(readdirSync(join(other, 'store', 'images'))).toEqual(images);
  });

  it('without its files: the program refuses to start, and has made nothing', () => {
    const file = exportedRun();
    const place = workplace('new', false);
    const store = join(place, 'store');
    const attempt = run(place, ['ckpt', '--dir', store, 'restart', file, '--', nodePath, 'mover.mjs']);
    expect([attempt.status, attempt.stderr]).toEqual([1, expect.stringContaining('ERR_CKPT_FILE_MISSING')]);
    expect(existsSync(join(place, 'totals.txt'))).toBe(false);
    expect(existsSync(join(place, 'notes.bin'))).toBe(false);
  });

  it('onto a file that is there, or with files outside the given folders: refused, nothing written', () => {
    const place = workplace('old', true);
    const store = join(place, 'store');
    run(place, [nodePath, 'mover.mjs', String(STOP_AT)], { CKPT_DIR: store });
    const file = join(folder, 'one.ckpt');
    writeFileSync(file, 'mine');
    expect(run(place, ['ckpt', '--dir', store, 'export', '-o', file])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('ERR_CKPT_EXISTS'),
    });
    expect(readFileSync(file, 'utf8')).toBe('mine');
    const elsewhere = run(folder, ['ckpt', '--dir', store, 'export', '-o', 'two.ckpt', '--with-files', '--root', join(folder, 'store')]);
    expect(elsewhere).toMatchObject({ status: 1, stderr: expect.stringContaining('ERR_CKPT_FILE_UNSAFE') });
    expect(run(place, ['ckpt', '--dir', store, 'export'])).toMatchObject({ status: 2 });
    expect(readdirSync(folder).sort()).toEqual(['old', 'one.ckpt']);
  });
});
