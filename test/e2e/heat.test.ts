/** Heat on a plate over several workers: killed and started again it ends with the bits of one worker alone. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { StartPlan } from '@ckpt/sdk';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { nodePath } from '../fixtures/node.js';
import { seeded } from '../fixtures/seeded.js';

const PROGRAM = fileURLToPath(new URL('../../packages/examples/heat/heat.js', import.meta.url));

describe('the plate', () => {
  let root: string;
  let alone: Buffer;
  const long = 2500;

  /** One life; killed so many ms after its first words, or once it has an image, unless it ends before. */
  async function live(
    folder: string,
    workers: number,
    how: string,
    killAfterMs?: number | 'image',
    steps = 300,
  ): Promise<{ code: number | null; out: string; err: string }> {
    const { CKPT_RESTART: _, CKPT_DIR: __, ...inherited } = process.env;
    const env = { ...inherited, CKPT_HEAT_EVERY: '20ms', CKPT_HEAT_STEPS: String(steps) };
    const child = spawn(nodePath, [PROGRAM, join(root, folder), String(workers), how], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    const closed = once(child, 'close');
    if (killAfterMs === 'image') {
      const images = join(root, folder, 'ckpt/images');
      await Promise.race([
        vi.waitUntil(() => existsSync(images) && readdirSync(images).length > 0, { timeout: 20_000, interval: 5 }),
        closed,
      ]);
      child.kill('SIGKILL');
    } else if (killAfterMs !== undefined) {
      await Promise.race([once(child.stdout, 'data'), closed]);
      await Promise.race([after(killAfterMs), closed]);
      child.kill('SIGKILL');
    }
    const [code] = await closed;
    return { code: code === null ? null : Number(code), out, err };
  }

  async function planRestart(folder: string, workers: number, how: string): Promise<StartPlan> {
    const plan = join(root, `${folder}.json`);
    const args = [PROGRAM, join(root, folder), String(workers), how];
    await promisify(execFile)(nodePath, args, { env: { ...process.env, CKPT_PLAN: plan } });
    return JSON.parse(readFileSync(plan, 'utf8'));
  }

  const plate = (folder: string): Buffer => readFileSync(join(root, folder, 'plate.bin'));

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'ckpt-heat-'));
    expect(await live('alone', 1, 'channels')).toMatchObject({ code: 0, err: '' });
    alone = plate('alone');
    expect(await live('alone-long', 1, 'channels', undefined, long)).toMatchObject({ code: 0, err: '' });
  }, 60_000);
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it.each([
    ['channels', 3],
    ['processes', 2],
    ['shared', 4],
  ])(
    'F47, F66: through %s, over %i workers, killed twice, ends with the bits of one worker alone',
    async (how, workers) => {
      const random = seeded(workers);
      let killed = 0;
      for (let life = 0; life < 2; life++) {
        const early = how === 'shared' ? 0.25 : 1; // it is over soonest
        const { code, err } = await live(how, workers, how, early * (60 + random.next() * 150));
        expect(err).toBe('');
        if (code === null) killed++;
      }
      expect(killed).toBeGreaterThan(0);
      expect(await live(how, workers, how)).toMatchObject({ code: 0, err: '' });
      expect(plate(how).equals(alone)).toBe(true);
    },
    60_000,
  );

  it.each([
    ['channels', 4, 2],
    ['processes', 1, 3],
    ['shared', 4, 3],
  ])(
    'through %s, begun over %i workers and gone on over %i, ends with the bits of one worker alone',
    async (how, before, now) => {
      const folder = `rescaled-${how}`;
      expect(await live(folder, before, how, 'image', long)).toMatchObject({ code: null, err: '' });
      const { members, refused } = await planRestart(folder, now, how);
      expect(refused).toBe(false);
      expect(members.map(({ name, outcome }) => [name, outcome])).toEqual(
        Array.from({ length: Math.max(before, now) }, (_, part) => [`strip-${part}`, 'rescale']),
      );
      await live(folder, now, how, 100, long); // with an image of the new set, or without
      expect(await live(folder, now, how, undefined, long)).toMatchObject({ code: 0, err: '' });
      expect(plate(folder).equals(plate('alone-long'))).toBe(true);
    },
    60_000,
  );
});
