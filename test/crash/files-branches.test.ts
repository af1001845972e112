/**
 * Restarts from an older image and then from a newer one: the older cuts the files, the newer finds them as they were at it,
 * open or closed, or is refused.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

/** Writes a line a step into out.txt up to step 10 and closes it; images are named at the steps of `names`. */
function program({
  flags = 'a',
  names = { 5: 'older', 15: 'newer' },
  kill = 17,
  reopens = false,
}: {
  flags?: string;
  names?: Readonly<Record<number, string>>;
  kill?: number;
  reopens?: boolean;
} = {}): string {
  return `
    const ckpt = await open({ every: false });
    const state = ckpt.state('state', () => ({ step: 0 }));
    let out = state.step < 10 || ${!reopens} ? ckpt.file('out', 'out.txt', { flags: '${flags}' }) : undefined;
    const { restarted } = await ckpt.start();
    const names = ${JSON.stringify(names)};
    const kill = Number(process.env.KILL_AT ?? ${kill});
    while (state.step < 20) {
      if (state.step < 10) out.write('line ' + state.step + '\\n');
      state.step++;
      if (state.step === 10) {
        await out.close();
        if (${reopens}) {
          out = ckpt.file('out', 'out.txt', { flags: 'a' });
          out.write('again\\n');
          await out.close();
        }
        out = undefined;
      }
      if (names[state.step] !== undefined) await ckpt.checkpoint(names[state.step], { replace: true });
      if (state.step === kill) {
        await out?.flush();
        process.kill(process.pid, 'SIGKILL');
      }
      await ckpt.safepoint();
    }
    await ckpt.finish();
  `;
}

const KILLED = { signal: 'SIGKILL' };
const from = (image: string, killAt = 0): { env: NodeJS.ProcessEnv } => ({ env: { CKPT_RESTART: image, KILL_AT: String(killAt) } });

function lines(to: number): string {
  return Array.from({ length: to }, (_, n) => `line ${n}\n`).join('');
}

function tails(laboratory: Laboratory): string[] {
  return readdirSync(join(laboratory.store, 'tails')).filter((file) => file.startsWith('tail-'));
}

describe('a restart from an older image, killed, and then one from a newer image', () => {
  it.each([
    ['wx', false],
    ['a', true],
  ] as const)(
    'F40: that was made when the file was closed finds what was cut from it (%s, opened once more: %s)',
    async (flags, reopens) => {
      const laboratory = new Laboratory();
      const source = program({ flags, reopens });
      expect(await laboratory.start(source).ended).toMatchObject(KILLED);
      const whole = readFileSync(join(laboratory.folder, 'out.txt'), 'utf8');
      expect(whole).toBe(`${lines(10)}${reopens ? 'again\n' : ''}`);
      expect(await laboratory.start(source, from('older', 7)).ended).toMatchObject(KILLED);
      expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe(lines(7));
      await laboratory.run(source, from('newer'));
      expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe(whole);
    },
  );

  it('F40: that was made when the file was open at a greater offset finds what was cut from it, however often', async () => {
    const laboratory = new Laboratory();
    const source = program({ names: { 3: 'oldest', 5: 'older', 8: 'newer' }, kill: 9 });
    expect(await laboratory.start(source).ended).toMatchObject(KILLED);
    for (const image of ['older', 'oldest']) expect(await laboratory.start(source, from(image, 6)).ended).toMatchObject(KILLED);
    expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe(lines(6));
    await laboratory.run(source, from('newer'));
    expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe(lines(10));
  });

  it('F40: is refused where what was cut is gone, and says so; the file stays, and the older image goes on', async () => {
    const laboratory = new Laboratory();
    const source = program();
    expect(await laboratory.start(source).ended).toMatchObject(KILLED);
    expect(await laboratory.start(source, from('older', 7)).ended).toMatchObject(KILLED);
    for (const file of tails(laboratory)) rmSync(join(laboratory.store, 'tails', file));
    const { code, stderr } = await laboratory.start(source, from('newer')).ended;
    expect(code).toBe(1);
    expect(stderr).toContain('ERR_CKPT_FILE_MISSING');
    expect(stderr).toContain(join(laboratory.store, 'tails', 'tail-2-'));
    expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe(lines(7));
    await laboratory.run(source, from('older'));
    expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe(lines(10));
  });
});
