/** Primes on the threads of a pool: killed at random and started again, each block is counted once. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import { nodePath } from '../fixtures/node.js';
import { seeded } from '../fixtures/seeded.js';

const PROGRAM = fileURLToPath(new URL('../../packages/examples/pool/pool.js', import.meta.url));

interface Life {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function images(folder: string): readonly string[] {
  const path = join(folder, 'ckpt/images');
  return existsSync(path) ? readdirSync(path) : [];
}

/** One life; killed so many ms after its first image, unless it ends before. */
async function live(folder: string, killAfterMs?: number): Promise<Life> {
  const { CKPT_RESTART: _, CKPT_DIR: __, ...inherited } = process.env;
  const env = { ...inherited, CKPT_POOL_EVERY: '10ms' };
  const child = spawn(nodePath, [PROGRAM, folder, '150'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const closed = once(child, 'close');
  if (killAfterMs !== undefined) {
    const before = new Set(images(folder));
    const another = vi.waitUntil(() => images(folder).some((name) => !before.has(name)), { timeout: 60_000, interval: 2 });
    await Promise.race([another, closed]);
    await Promise.race([after(killAfterMs), closed]);
    child.kill('SIGKILL');
  }
  const [code] = await closed;
  return { code: code === null ? null : Number(code), out, err };
}

it('F47: tasks that a pool has not done at the checkpoint are submitted again, and each is counted once', async () => {
  const root = mkdtempSync(join(tmpdir(), 'ckpt-pool-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const [alone, killed] = [join(root, 'alone'), join(root, 'killed')];
  expect(await live(alone)).toMatchObject({ code: 0, err: '' });
  const random = seeded(47);
  let again = 0;
  const submitted = ({ out }: Life): number => Number(/(\d+) submitted again/.exec(out)?.[1] ?? 0);
  for (let life = 0; life < 4; life++) {
    const ended = await live(killed, random.next() * 60);
    expect(ended.err).toBe('');
    again += submitted(ended);
  }
  const last = await live(killed);
  expect(last).toMatchObject({ code: 0, err: '' });
  expect(again + submitted(last)).toBeGreaterThan(0);
  const result = readFileSync(join(killed, 'primes.json'), 'utf8');
  expect(JSON.parse(result)).toMatchObject({ counted: 150, sum: 216_816 });
  expect(result).toBe(readFileSync(join(alone, 'primes.json'), 'utf8'));
}, 120_000);
