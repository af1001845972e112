/** The example with typed arrays and pictures: killed and started again it writes the same frames and ends with the same bits. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { nodePath } from '../fixtures/node.js';
import { seeded } from '../fixtures/seeded.js';

const PROGRAM = fileURLToPath(new URL('../../packages/examples/gray-scott/gray-scott.js', import.meta.url));
const SIZE = '96';
const STEPS = '800';
const FRAMES = 9;

interface Life {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** One life; killed so many ms after its first image, unless it ends before. */
async function live(folder: string, killAfterMs?: number): Promise<Life> {
  const { CKPT_RESTART: _, CKPT_DIR: __, ...inherited } = process.env;
  const env = { ...inherited, CKPT_GRAY_SCOTT_EVERY: '20ms' };
  const child = spawn(nodePath, [PROGRAM, folder, SIZE, STEPS], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const closed = once(child, 'close');
  if (killAfterMs !== undefined) {
    const images = join(folder, 'ckpt/images');
    let over = false;
    void closed.then(() => {
      over = true;
    });
    while (!over && (!existsSync(images) || readdirSync(images).length === 0)) await pause(5);
    await Promise.race([pause(killAfterMs), closed]);
    child.kill('SIGKILL');
  }
  const [code] = await closed;
  return { code: code === null ? null : Number(code), out, err };
}

/** What a run has left: the hash of each frame, and the result. */
function left(folder: string): Record<string, string> {
  const frames = readdirSync(join(folder, 'frames')).sort();
  const hashes = frames.map((name) => [
    name,
    createHash('sha256')
      .update(readFileSync(join(folder, 'frames', name)))
      .digest('hex'),
  ]);
  return { ...Object.fromEntries(hashes), result: readFileSync(join(folder, 'result.txt'), 'utf8') };
}

test('killed again and again while it writes frames, it leaves the same frames and result as if undisturbed, and says what images cost', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ckpt-gray-scott-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const alone = await live(join(folder, 'alone'));
  expect(alone).toMatchObject({ code: 0, err: '' });
  expect(alone.out).toMatch(/^beginning\n\d+ images in [\d.]+ s: stood [\d.]+ ms for them, [\d.]+ % of the time/);
  const expected = left(join(folder, 'alone'));
  expect(Object.keys(expected)).toHaveLength(FRAMES + 1);
  // Something happens: no two frames are the same.
  expect(new Set(Object.values(expected)).size).toBe(FRAMES + 1);

  const random = seeded(5);
  let kills = 0;
  let life: Life = { code: null, out: '', err: '' };
  for (let lives = 0; lives < 7 && life.code === null; lives++) {
    life = await live(join(folder, 'killed'), lives < 6 ? 50 + random.next() * 300 : undefined);
    if (life.code === null) kills++;
    expect(life.err.replaceAll(/^ckpt: .*\n/gm, '')).toBe('');
  }
  expect(life.code).toBe(0);
  expect(life.out).toContain('going on from step');
  expect(kills).toBeGreaterThan(1);
  expect(left(join(folder, 'killed'))).toEqual(expected);
}, 240_000);
