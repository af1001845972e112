/**
 * Files that a program closes and opens again between its images, killed and started again: what it ends with is what an
 * undisturbed run ends with.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

const KILLED = { signal: 'SIGKILL' };

describe('an output that is written, closed and in no later image', () => {
  it.each([
    ['a', 'append'],
    ['w', 'append'],
    ['wx', 'append'],
    ['w', 'volatile'],
    ['wx', 'volatile'],
  ])('F69: is whole after a kill and a restart of a program that declares it at its top (%s, %s)', async (flags, policy) => {
    const laboratory = new Laboratory();
    const program = `
      const ckpt = await open({ every: false });
      const state = ckpt.state('state', () => ({ step: 0 }));
      const out = ckpt.file('out', 'out.txt', { flags: '${flags}', policy: '${policy}' });
      const { restarted } = await ckpt.start();
      while (state.step < 20) {
        if (state.step < 10) out.write('line ' + state.step + '\\n');
        state.step++;
        if (state.step === 10) await out.close();
        if (state.step === 15) await ckpt.checkpoint();
        if (state.step === 17 && !restarted) process.kill(process.pid, 'SIGKILL');
        await ckpt.safepoint();
      }
      await ckpt.finish();
    `;
    expect(await laboratory.start(program).ended).toMatchObject(KILLED);
    await laboratory.run(program);
    expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe(lines(0, 10));
  });
});

describe('a file that is emptied by opening it again with w', () => {
  it('F40: is put back to what the newest image recorded of it, also with keepTails: false', async () => {
    const laboratory = new Laboratory();
    const program = `
      const ckpt = await open({ every: false, keepTails: false });
      const state = ckpt.state('state', () => ({ step: 0 }));
      const { restarted } = await ckpt.start();
      let status;
      while (state.step < 21) {
        if (state.step % 7 === 0) {
          await status?.close();
          status = undefined;
        }
        status ??= ckpt.file('status', 'status.txt', { flags: 'w' });
        status.write('line ' + state.step + '\\n');
        state.step++;
        if (state.step === 12) await ckpt.checkpoint();
        if (state.step === 15 && !restarted) {
          await status.flush();
          process.kill(process.pid, 'SIGKILL');
        }
        if (state.step === 13 && restarted) {
          await status.flush();
          say('middle', { status: fs.readFileSync('status.txt', 'utf8') });
        }
        await ckpt.safepoint();
      }
      await ckpt.finish();
    `;
    expect(await laboratory.start(program).ended).toMatchObject(KILLED);
    expect(readFileSync(join(laboratory.folder, 'status.txt'), 'utf8')).toBe(lines(14, 15));
    const { middle } = await laboratory.run(program);
    expect(middle?.['status']).toBe(lines(7, 13));
    expect(readFileSync(join(laboratory.folder, 'status.txt'), 'utf8')).toBe(lines(14, 21));
  });
});

describe('what is kept of a file that is emptied again and again', () => {
  it('goes in the same life once no image needs it any more', async () => {
    const laboratory = new Laboratory();
    const { end } = await laboratory.run(`
      const ckpt = await open({ every: false, keep: 2 });
      const state = ckpt.state('state', () => ({ step: 0 }));
      await ckpt.start();
      let most = 0;
      for (; state.step < 12; state.step++) {
        const status = ckpt.file('status', 'status.txt', { flags: 'w' });
        status.write('line ' + state.step + '\\n');
        await status.flush();
        most = Math.max(most, fs.readdirSync(process.env.CKPT_DIR + '/tails').length);
        await ckpt.checkpoint();
        await status.close();
      }
      say('end', { most, left: fs.readdirSync(process.env.CKPT_DIR + '/tails').length });
      await ckpt.finish();
    `);
    expect(end?.['most']).toBeLessThanOrEqual(4);
    expect(end?.['left']).toBeGreaterThan(0);
  });
});

describe('a write stream', () => {
  it('F69: under back pressure loses nothing at a checkpoint, a kill, and finish()', async () => {
    const laboratory = new Laboratory();
    const program = `
      const ckpt = await open({ every: false });
      const state = ckpt.state('state', () => ({ step: 0 }));
      const out = ckpt.file('out', 'out.txt', { flags: 'w' });
      const { restarted } = await ckpt.start();
      const stream = out.createWriteStream();
      while (state.step < 200) {
        stream.write(String(state.step).padEnd(40_000, 'x') + '\\n');
        state.step++;
        if (state.step === 100) await ckpt.checkpoint();
        if (state.step === 150 && !restarted) process.kill(process.pid, 'SIGKILL');
      }
      await ckpt.finish();
    `;
    expect(await laboratory.start(program).ended).toMatchObject(KILLED);
    await laboratory.run(program);
    const written = readFileSync(join(laboratory.folder, 'out.txt'), 'utf8').split('\n');
    expect(written.map((line) => line.replace(/x+$/, ''))).toEqual([...Array.from({ length: 200 }, (_, n) => String(n)), '']);
  });
});

describe('a file that is changed in place', () => {
  it('F12: is not written by an exit while its content is copied into an image', async () => {
    const laboratory = new Laboratory();
    writeFileSync(join(laboratory.folder, 'db.bin'), Buffer.alloc(30_000_000));
    const program = `
      const ckpt = await open({ every: false });
      const state = ckpt.state('state', () => ({ step: 0 }));
      const db = ckpt.file('db', 'db.bin', { flags: 'r+' });
      const { restarted } = await ckpt.start();
      const END = 29_999_999;
      if (restarted) {
        db.position = END;
        say('restarted', { step: state.step, byte: (await db.read(1))[0] });
        await ckpt.close();
      } else {
        state.step = 1;
        db.position = END;
        db.write(new Uint8Array([1]));
        await db.flush();
        const captured = new Promise((resolve) => ckpt.on('captured', resolve));
        ckpt.checkpoint().catch(() => {});
        await captured;
        db.position = END;
        db.write(new Uint8Array([2]));
        // Whoever ends late gives the image time to be committed.
        process.on('exit', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500));
        process.exit(0);
      }
    `;
    await laboratory.run(program);
    const { restarted } = await laboratory.run(program);
    expect(restarted).toMatchObject({ step: 1, byte: 1 });
  });
});

function lines(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, n) => `line ${from + n}\n`).join('');
}
