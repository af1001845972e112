/** Heat on a plate over several workers: killed and started again it ends with the bits of one worker alone. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodePath } from '../fixtures/node.js';
import { seeded } from '../fixtures/seeded.js';

const PROGRAM = fileURLToPath(new URL('../../packages/examples/heat/heat.js', import.meta.url));

describe('the plate', () => {
  let root: string;
  let alone: Buffer;

  /** One life; killed so many ms after its first words, unless it ends before. */
  async function live(
    folder: string,
    workers: number,
    how: string,
    killAfterMs?: number,
  ): Promise<{ code: number | null; out: string; err: string }> {
    const { CKPT_RESTART: _, CKPT_DIR: __, ...inherited } = process.env;
    const env = { ...inherited, CKPT_HEAT_EVERY: '20ms', CKPT_HEAT_STEPS: '300' };
    const child = spawn(nodePath, [PROGRAM, join(root, folder), String(workers), how], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    const closed = once(child, 'close');
    if (killAfterMs !== undefined) {
      await Promise.race([once(child.stdout, 'data'), closed]);
      await Promise.race([after(killAfterMs), closed]);
      child.kill('SIGKILL');
    }
    const [code] = await closed;
    return { code: code === null ? null : Number(code), out, err };
  }

  const plate = (folder: string): Buffer => readFileSync(join(root, folder, 'plate.bin'));

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'ckpt-heat-'));
    expect(await live('alone', 1, 'channels')).toMatchObject({ code: 0, err: '' });
    alone = plate('alone');
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
});
