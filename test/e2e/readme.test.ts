/**
 * The documents for users say what is true: the quick start is run, killed and started again; every piece of code is
 * type-checked; commands, flags, options, exit codes and links are those that there are.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { resolveOptions } from '../../packages/sdk/src/app/options.js';
import { EXIT } from '../../packages/sdk/src/cli/exit-codes.js';
import { runCli } from '../../packages/sdk/src/cli/program.js';
import { captureTerminal } from '../fixtures/captured-terminal.js';
import { ckptLines, codeBlocks, firstColumn, links, ROOT, readDocuments } from '../fixtures/documents.js';
import { nodePath } from '../fixtures/node.js';
import { typeErrors } from '../fixtures/snippet-types.js';

const documents = readDocuments();
const blocks = documents.flatMap(codeBlocks);
const [readme = { path: '', text: '' }] = documents;

describe('the quick start of the README', () => {
  const quickStart = blocks.find(({ language }) => language === 'js')?.code ?? '';
  let folder: string;
  const children: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ckpt-readme-'));
    mkdirSync(join(folder, 'node_modules/@ckpt'), { recursive: true });
    symlinkSync(join(ROOT, 'packages/sdk'), join(folder, 'node_modules/@ckpt/sdk'));
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  interface Life {
    readonly child: ChildProcess;
    readonly ended: Promise<{ readonly code: unknown; readonly stdout: string; readonly stderr: string }>;
  }

  function start(name: string): Life {
    const cwd = join(folder, name);
    mkdirSync(cwd, { recursive: true });
    writeFileSync(join(cwd, 'heat.mjs'), quickStart);
    const { CKPT_DIR: _, CKPT_RESTART: __, ...env } = process.env;
    const child = spawn(nodePath, ['heat.mjs'], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    return { child, ended: once(child, 'close').then(([code]) => ({ code, stdout, stderr })) };
  }

  it('goes on after a kill and ends with the result of an undisturbed run', async () => {
    const undisturbed = start('undisturbed');
    const killed = start('killed');
    const images = join(folder, 'killed/ckpt/images');
    await vi.waitFor(() => expect(readdirSync(images).length).toBeGreaterThan(0), { timeout: 60_000, interval: 20 });
    killed.child.kill('SIGKILL');
    expect(await killed.ended).toMatchObject({ code: null, stdout: 'beginning\n' });

    const survived = await start('killed').ended;
    const expected = await undisturbed.ended;
    expect(expected).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^beginning\nafter 20000 steps: \d/) });
    expect(survived).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^going on from step [1-9]\d*\nafter/) });
    const result = (text: string): string => text.split('\n')[1] ?? '';
    expect(result(survived.stdout)).toBe(result(expected.stdout));
    expect(readme.text).toContain(`\n${result(expected.stdout)}\n`);
  }, 240_000);
});

describe('the README and the guides', () => {
  it('show code that a strict compiler accepts', () => {
    const code = blocks.filter(({ language }) => language === 'ts' || language === 'js');
    expect(code.length).toBeGreaterThan(10);
    expect(typeErrors(code)).toEqual([]);
  }, 120_000);

  it('show only commands and flags of ckpt that there are', async () => {
    const shown = documents.flatMap(ckptLines);
    expect(shown.length).toBeGreaterThan(10);
    for (const line of shown) {
      const [command = '', ...rest] = line.replace(/^npx /, '').slice('ckpt '.length).split(' -- ')[0]?.trim().split(/\s+/) ?? [];
      const { terminal, written } = captureTerminal();
      expect([line, await runCli([command, '--help'], terminal, () => new AbortController().signal)]).toEqual([line, 0]);
      for (const flag of rest.filter((word) => word.startsWith('--')))
        expect(`${line}\n${written.out}`).toMatch(new RegExp(`\n  ${flag}\\b`));
    }
  });

  it('name every option of openCheckpointer that there is, and no other', () => {
    const known = /options are ([\w, ]+)/.exec(messageOf(() => resolveOptions({ nonsense: 1 } as object, {})))?.[1]?.split(', ') ?? [];
    // For tests of the package itself.
    expect(firstColumn(readme, 'Options').sort()).toEqual(known.filter((name) => name !== 'ports').sort());
  });

  it('state the exit codes of ckpt', () => {
    const stated = /Exit codes: ([^.]+)\./.exec(readme.text)?.[1] ?? '';
    expect(Array.from(stated.matchAll(/\d+/g), Number)).toEqual(Object.values(EXIT));
  });

  it('link to files that there are', () => {
    for (const document of documents) {
      for (const target of links(document)) {
        const [path = ''] = target.split('#');
        expect([target, existsSync(join(ROOT, dirname(document.path), path))]).toEqual([target, true]);
      }
    }
  });
});

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
  return '';
}
