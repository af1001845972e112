/** The optional package as a program gets it: found, used, as an ordinary user, and refused with a reason. */
import { execFile } from 'node:child_process';
import { accessSync, chownSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { openPageTracker } from '../../packages/accelerator/src/index.js';
import { findAccelerator } from '../../packages/sdk/src/checkpoint/accelerator.js';
import { nodePath } from '../fixtures/node.js';
import { needTool } from '../fixtures/tools.js';

const run = promisify(execFile);
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const ORDINARY = 65_534;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ckpt-tracking-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Told {
  readonly uid: number;
  readonly restarted: boolean;
  readonly sum: number;
  readonly told: readonly { readonly state: string; readonly reason: string; readonly bytes?: number }[];
  readonly warnings: readonly string[];
  readonly dirtyPages: number;
}

async function program(before: readonly string[] = [], after: readonly string[] = []): Promise<Told> {
  const [command = '', ...args] = [...before, nodePath, fixture('tracked-program.mjs'), join(folder, 'store'), ...after];
  return JSON.parse((await run(command, args)).stdout) as Told; // printed by the program above
}

function needKernel(context: TestContext): void {
  const found = openPageTracker();
  if ('refused' in found) context.skip(found.refused);
  else found.close();
}

describe('a program beside which @ckpt/accelerator is installed', () => {
  it('has its written pages told by the kernel, as an ordinary user too, and goes on from them', async (context) => {
    needKernel(context);
    const before: string[] = [];
    if (process.getuid?.() === 0) {
      needTool(context, 'setpriv');
      before.push('setpriv', `--reuid=${ORDINARY}`, `--regid=${ORDINARY}`, '--clear-groups');
      chownSync(folder, ORDINARY, ORDINARY);
      if (!(await readable(before))) context.skip('the clone lies where an ordinary user cannot read it');
    }
    const first = await program(before);
    expect(first.uid).not.toBe(0);
    expect(first.warnings).toEqual([]);
    expect(first.told.map(({ state, bytes }) => [state, bytes])).toEqual([
      ['on', undefined],
      ['on', 2 ** 23],
    ]);
    expect(first.dirtyPages).toBeLessThan(8);
    const second = await program(before);
    expect(second).toMatchObject({ restarted: true, sum: 2 ** 20 + 3 });
  });

  it('compares, and says why, where the system call is forbidden', async (context) => {
    needTool(context, 'python3');
    if (process.platform !== 'linux' || process.arch !== 'x64') context.skip('the filter is made for Linux on x64');
    const { told, warnings, dirtyPages } = await program(['python3', fixture('forbid-userfaultfd.py'), '323']);
    expect(told).toEqual([{ state: 'off', reason: expect.stringContaining('userfaultfd: EPERM') }]);
    expect(warnings).toEqual([expect.stringContaining('written pages are found by comparing: userfaultfd: EPERM')]);
    expect(dirtyPages).toBeLessThan(8);
  });
});

describe('a program that tells with dirty() what it has written', () => {
  it('is believed: pages that it tells of are in the next image, and nothing is compared', async () => {
    const first = await program([], ['tells']);
    expect(first).toMatchObject({ restarted: false, dirtyPages: 3 + 1 }); // the structure is less than a page
    // What was written and not told of is not there: that is what the program takes upon itself.
    expect(await program([], ['tells'])).toMatchObject({ restarted: true, sum: 2 ** 20 + 3 });
  });
});

async function readable(before: readonly string[]): Promise<boolean> {
  accessSync(fixture('tracked-program.mjs'), constants.R_OK);
  const [command = '', ...args] = [...before, 'test', '-r', fixture('tracked-program.mjs')];
  return await run(command, args).then(
    () => true,
    () => false,
  );
}

describe('looking for the accelerator', () => {
  it('tells apart: not wanted, not installed, broken, of another version, refused', async () => {
    const missing = Object.assign(new Error("Cannot find package '@ckpt/accelerator' imported from x"), { code: 'ERR_MODULE_NOT_FOUND' });
    const reject = (error: Error) => () => Promise.reject(error);
    const tracker = { round: () => {}, track: () => ({ refused: 'no' }), close: () => {} };
    const facts = async (...args: Parameters<typeof findAccelerator>): Promise<unknown[]> => {
      const found = await findAccelerator(...args);
      return [found.tracker, found.unexpected, found.reason];
    };
    expect(await facts(false)).toEqual([undefined, false, expect.stringContaining('false')]);
    expect(await facts(true, reject(missing))).toEqual([undefined, false, expect.stringContaining('not installed')]);
    expect(await facts(true, reject(new Error('no binary')))).toEqual([undefined, true, expect.stringContaining('no binary')]);
    expect(await facts(true, async () => ({ portVersion: 2 }))).toEqual([undefined, true, expect.stringContaining('version')]);
    expect(await facts(true, async () => ({ portVersion: 1, openPageTracker: () => ({ refused: 'EPERM' }) }))).toEqual([
      undefined,
      true,
      'EPERM',
    ]);
    expect(await facts(true, async () => ({ portVersion: 1, openPageTracker: () => tracker }))).toEqual([
      tracker,
      false,
      expect.any(String),
    ]);
  });
});
