/**
 * Restarts from an older image and then from a newer one: the older cuts the files, the newer finds them as they were at it,
 * open or closed, or is refused.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

/** Writes a line a step into out.txt up to step 10 and closes it; images are named at the steps of `names`. */
function program({ flags = 'a', names = { 5: 'older', 15: 'newer' }, kill = 17, keepTails = true, reopens = false } = {}): string {
  return `
    const ckpt = await open({ every: false, keepTails: ${keepTails} });
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
    ['a', false],
    ['w', false],
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
    for (const keepTails of [true, false]) {
      const laboratory = new Laboratory();
      const source = program({ keepTails });
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
    }
  });

  it('F40: is refused where what was cut is damaged', async () => {
    const laboratory = new Laboratory();
    const source = program();
    expect(await laboratory.start(source).ended).toMatchObject(KILLED);
    expect(await laboratory.start(source, from('older', 7)).ended).toMatchObject(KILLED);
    const [tail = ''] = tails(laboratory);
    const path = join(laboratory.store, 'tails', tail);
    writeFileSync(path, readFileSync(path, 'utf8').replace('line 8', 'line X'));
    const { code, stderr } = await laboratory.start(source, from('newer')).ended;
    expect([code, stderr.includes('ERR_CKPT_FILE_MISSING')]).toEqual([1, true]);
  });

  it('F40: needs no tail where the program has written the same again', async () => {
    const laboratory = new Laboratory();
    const source = program({ keepTails: false });
    expect(await laboratory.start(source).ended).toMatchObject(KILLED);
    expect(await laboratory.start(source, from('older', 12)).ended).toMatchObject(KILLED);
    await laboratory.run(source, from('newer'));
    expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe(lines(10));
  });

  it('F40: cuts off what the other branch appended to a file that was whole already at the older image', async () => {
    const laboratory = new Laboratory();
    const source = `
      const ckpt = await open({ every: false });
      const state = ckpt.state('state', () => ({ step: 0 }));
      const out = state.step < 2 ? ckpt.file('out', 'out.txt') : undefined;
      const { restarted } = await ckpt.start();
      if (state.step === 0) {
        out.write('all\\n');
        state.step = 1;
        await ckpt.checkpoint('older');
      }
      if (state.step === 1) {
        if (restarted) {
          out.write('another branch\\n');
          await out.flush();
          process.kill(process.pid, 'SIGKILL');
        }
        await out.close();
        state.step = 2;
        await ckpt.checkpoint('newer');
        process.kill(process.pid, 'SIGKILL');
      }
      await ckpt.finish();
    `;
    expect(await laboratory.start(source).ended).toMatchObject(KILLED);
    expect(await laboratory.start(source, from('older')).ended).toMatchObject(KILLED);
    expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe('all\nanother branch\n');
    await laboratory.run(source, from('newer'));
    expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe('all\n');
  });

  it('leaves a closed file alone that only the program itself has moved away', async () => {
    const laboratory = new Laboratory();
    const source = program();
    expect(await laboratory.start(source).ended).toMatchObject(KILLED);
    const moved = `${source.replace("ckpt.file('out', 'out.txt', { flags: 'a' })", 'undefined')}`;
    rmSync(join(laboratory.folder, 'out.txt'));
    await laboratory.run(moved, from('newer'));
    expect(readdirSync(laboratory.folder)).not.toContain('out.txt');
  });
});
