/** The command line: what is understood, what is refused, and which exit code each failure has. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointError, ERROR_CODES, type ErrorCode } from '../../packages/sdk/src/base/errors.js';
import { EXIT, exitCodeOf, exitCodeOfAll } from '../../packages/sdk/src/cli/exit-codes.js';
import { runCli } from '../../packages/sdk/src/cli/program.js';
import { tellError, UsageError } from '../../packages/sdk/src/cli/session.js';
import { captureTerminal } from '../fixtures/captured-terminal.js';

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function ckpt(...args: string[]): Promise<Run> {
  const { terminal, written } = captureTerminal();
  const code = await runCli(args, terminal, () => new AbortController().signal);
  return { code, ...written };
}

describe('ckpt', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ckpt-cli-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('without arguments shows the help on stderr and exits 2', async () => {
    const { code, out, err } = await ckpt();
    expect([code, out]).toEqual([EXIT.usage, '']);
    for (const command of ['create', 'restart', 'list', 'stat', 'get', 'diff', 'verify', 'remove']) expect(err).toContain(command);
  });

  it('--help shows the help and the exit codes on stdout and exits 0', async () => {
    const { code, out, err } = await ckpt('--help');
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('14 the program does not answer');
  });

  it.each(['create', 'restart', 'list', 'stat', 'get', 'diff', 'verify', 'remove'])('%s --help has an example', async (command) => {
    const { code, out } = await ckpt(command, '--help');
    expect(code).toBe(0);
    expect(out).toContain(`Example: ckpt ${command}`);
    for (const option of ['--dir', '--json']) expect(out).toContain(option);
  });

  it('--version shows the version of the package', async () => {
    expect(await ckpt('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  });

  it.each([
    ['an unknown command', ['nonsense']],
    ['an unknown option', ['list', '--nonsense']],
    ['a missing argument', ['remove']],
    ['one argument too many', ['stat', 'a', 'b']],
    ['a name that cannot be one', ['create', '--name', '../x']],
    ['a duration without a unit', ['create', '--timeout', '30']],
    ['a root without =', ['restart', '--root', '/x']],
    ['an empty directory', ['list', '--dir', '']],
    ['a command after -- for anything but restart', ['list', '--', 'node']],
    ['nothing after --', ['restart', '--']],
  ])('refuses %s with exit 2 and nothing on stdout', async (_, args) => {
    const { code, out, err } = await ckpt(...args);
    expect([code, out]).toEqual([EXIT.usage, '']);
    expect(err).toMatch(/^ckpt: /);
    const json = await ckpt('--json', ...args);
    expect([json.code, json.out]).toEqual([EXIT.usage, '']);
    expect(JSON.parse(json.err)).toEqual({ error: { message: expect.stringMatching(/./) } });
  });

  it('shows the help when asked for that of an unknown command, and exits 2', async () => {
    const { code, out, err } = await ckpt('help', 'nonsense');
    expect([code, out]).toEqual([EXIT.usage, '']);
    expect(err).toContain('Usage: ckpt');
  });

  it.each(['list', 'stat', 'verify', 'create', 'restart'])(
    '%s in a folder that is no store exits 10 and creates nothing',
    async (command) => {
      const dir = join(folder, 'none');
      expect(await ckpt(command, '--dir', dir)).toMatchObject({ code: EXIT.noImage, out: '' });
      expect(await ckpt('--dir', folder, command)).toMatchObject({ code: EXIT.noImage, out: '' });
    },
  );

  it('escapes what a user or a store put into a message', async () => {
    const { err } = await ckpt('list', '--dir', join(folder, '\u001b[2J'));
    expect(err).not.toContain('\u001b');
  });

  it('with --json tells an error as JSON on stderr', async () => {
    const { code, out, err } = await ckpt('list', '--json', '--dir', join(folder, 'none'));
    expect([code, out]).toEqual([EXIT.noImage, '']);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'ERR_CKPT_NO_IMAGE' } });
  });
});

describe('exit codes', () => {
  it.each<[number, ErrorCode[]]>([
    [10, ['ERR_CKPT_NO_IMAGE', 'ERR_CKPT_NOT_FOUND', 'ERR_CKPT_IMAGE_MISSING']],
    [11, ['ERR_CKPT_LOCKED']],
    [12, ['ERR_CKPT_IMAGE_CORRUPT', 'ERR_CKPT_IMAGE_INCOMPLETE', 'ERR_CKPT_ALL_DAMAGED', 'ERR_CKPT_BASE_MISSING']],
    [13, ['ERR_CKPT_IMAGE_VERSION', 'ERR_CKPT_IMAGE_FEATURE', 'ERR_CKPT_SCHEMA']],
    [14, ['ERR_CKPT_NO_ANSWER', 'ERR_CKPT_NOT_RUNNING']],
    [1, ['ERR_CKPT_IO', 'ERR_CKPT_PROTECTED', 'ERR_CKPT_NO_SPACE']],
  ])('%i stands for its codes', (exit, codes) => {
    expect(codes.map(exitCodeOf)).toEqual(codes.map(() => exit));
  });

  it('never are 0 or 2 for an error code', () => {
    // Object.keys of a const object gives its keys as plain strings.
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) expect([0, 2, 3]).not.toContain(exitCodeOf(code));
  });

  it('of several failures are the common one, or 1', () => {
    expect(exitCodeOfAll([])).toBe(0);
    expect(exitCodeOfAll(['ERR_CKPT_NOT_FOUND', 'ERR_CKPT_NO_IMAGE'])).toBe(10);
    expect(exitCodeOfAll(['ERR_CKPT_NOT_FOUND', 'ERR_CKPT_PROTECTED'])).toBe(1);
  });

  it('tell bad arguments from failures', () => {
    const { terminal } = captureTerminal();
    expect(tellError(terminal, new UsageError('x'), false, false)).toBe(2);
    expect(tellError(terminal, new TypeError('x'), false, false)).toBe(2);
    expect(tellError(terminal, new Error('x'), false, false)).toBe(1);
    expect(tellError(terminal, new CheckpointError('ERR_CKPT_LOCKED', 'x'), false, false)).toBe(11);
  });

  it('come with a stack only when asked for', () => {
    const [quiet, loud] = [captureTerminal(), captureTerminal()];
    tellError(quiet.terminal, new Error('boom'), false, false);
    tellError(loud.terminal, new Error('boom'), false, true);
    expect(quiet.written.err).toBe('ckpt: boom\n');
    expect(loud.written.err).toContain('cli-command-line.test.ts');
  });
});
