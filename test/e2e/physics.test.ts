/** Physics engines in the middle of a simulation: killed and started again they end with the same bits. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodePath } from '../fixtures/node.js';
import { seeded } from '../fixtures/seeded.js';

const KILLS = 3;

describe('a physics engine', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ckpt-physics-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** One life; killed so many ms after its first words, when there is an image by then, unless it ends before. */
  async function live(engine: string, killAfterMs?: number): Promise<{ code: number | null; out: string; err: string }> {
    const program = fileURLToPath(new URL(`../../packages/examples/physics/${engine}.js`, import.meta.url));
    const { CKPT_RESTART: _, CKPT_DIR: __, ...inherited } = process.env;
    const env = { ...inherited, CKPT_PHYSICS_EVERY: '40ms' };
    const child = spawn(nodePath, [program, folder], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    const closed = once(child, 'close');
    if (killAfterMs !== undefined) {
      await Promise.race([once(child.stdout, 'data'), closed]);
      await Promise.race([pause(killAfterMs).then(hasImage), closed]);
      child.kill('SIGKILL');
    }
    const [code] = await closed;
    return { code: code === null ? null : Number(code), out, err };
  }

  async function hasImage(): Promise<void> {
    const images = join(folder, 'ckpt/images');
    while (existsSync(folder) && (!existsSync(images) || readdirSync(images).length === 0)) await pause(10);
  }

  it.each(['cannon', 'matter'])('F16: %s goes on with the same bits, its graph of objects and classes as it was', async (engine) => {
    const undisturbed = await live(engine);
    expect(undisturbed).toMatchObject({ code: 0, err: '', out: 'beginning\n' });
    const result = join(folder, 'result.txt');
    const expected = readFileSync(result, 'utf8');
    rmSync(folder, { recursive: true });

    const random = seeded(11);
    let survived = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const { code, err } = await live(engine, 150 + random.next() * 250);
      expect(err).toBe('');
      if (code === null) survived++;
    }
    expect(survived).toBeGreaterThan(1);
    const last = await live(engine);
    expect(last).toMatchObject({ code: 0, err: '', out: expect.stringContaining('going on from step') });
    expect(readFileSync(result, 'utf8')).toBe(expected);
  });
});
