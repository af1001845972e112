/**
 * The smallest program: killed after its first image and started again, it ends as if nothing had happened.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const nodePath = process.env['CKPT_TEST_NODE'] ?? process.execPath;
const program = fileURLToPath(new URL('../../packages/examples/autosave/autosave.js', import.meta.url));
const LIMIT = '2000000';
const RESULT = 'The longest Collatz chain below 2000000 starts at 1723519: 556 steps\n';

describe('autosave', () => {
  let folder: string;
  let child: ChildProcess | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ckpt-autosave-'));
  });
  afterEach(() => {
    child?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  function start(
    environment: Record<string, string>,
    limit = LIMIT,
  ): { child: ChildProcess; ended: Promise<{ code: unknown; stdout: string; stderr: string }> } {
    const { CKPT_DIR: _, ...inherited } = process.env;
    const spawned = spawn(nodePath, [program, limit], {
      cwd: folder,
      env: { ...inherited, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = spawned;
    let [stdout, stderr] = ['', ''];
    spawned.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    spawned.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    return { child: spawned, ended: once(spawned, 'close').then(([code]) => ({ code, stdout, stderr })) };
  }

  function images(): string[] {
    const place = join(folder, 'ckpt', 'images');
    return existsSync(place) ? readdirSync(place).filter((name) => name.endsWith('.ckpt')) : [];
  }

  it('is under fifteen lines long, at most six of them ours', () => {
    const lines = readFileSync(program, 'utf8').trimEnd().split('\n');
    expect(lines.length).toBeLessThan(15);
    expect(lines.filter((line) => /ckpt|openCheckpointer/.test(line)).length).toBeLessThanOrEqual(6);
  });

  it('goes on from its image after a kill, and from its end after the end', async () => {
    const first = start({});
    await vi.waitFor(() => expect(images().length).toBeGreaterThan(0), { timeout: 60_000, interval: 10 });
    first.child.kill('SIGKILL');
    expect(await first.ended).toMatchObject({ code: null, stdout: '' });

    // `latest` refuses to begin anew, so this run can only have gone on from the image.
    expect(await start({ CKPT_RESTART: 'latest' }).ended).toEqual({ code: 0, stdout: RESULT, stderr: '' });

    // With a limit of 10 only the state of the finished run can still know that number.
    const written = images();
    const third = await start({ CKPT_RESTART: 'latest' }, '10').ended;
    expect(third).toEqual({ code: 0, stdout: RESULT.replace(LIMIT, '10'), stderr: '' });
    expect(images()).toEqual(written);
  }, 120_000);
});
