/** Files that nobody declared: the report on them, rules, what `ckpt stat` and the dry run show, and moved runs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { restartImage, statImage } from '../../packages/sdk/src/images.js';
import { nodePath } from '../fixtures/node.js';
import { Laboratory } from '../fixtures/sdk-program.js';

const REGISTER = join(import.meta.dirname, '../../packages/sdk/dist/register.js');
const CLI = join(import.meta.dirname, '../../packages/sdk/dist/cli.js');

async function ckpt(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(nodePath, [CLI, ...args], { env: { ...process.env, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const [code] = await once(child, 'close');
  return { code: Number(code), out, err };
}

describe('files that nobody declared', () => {
  let lab: Laboratory;
  let folder: string;
  beforeEach((context: TestContext) => {
    if (process.platform !== 'linux') context.skip('needs /proc');
    lab = new Laboratory();
    folder = realpathSync(lab.folder);
  });

  const OPEN = `
    const warned = [];
    const logger = { warn: (message) => warned.push(message), error: (message) => warned.push(message) };
    const fd = fs.openSync('library.log', 'a');
    fs.writeSync(fd, 'twelve bytes');
    const ckpt = await open({ logger, openFiles: process.env.OPEN_FILES });
    const state = ckpt.state('state', () => ({ n: 0 }));
    await ckpt.start();`;

  it('F44: are told once, with path and position, and stand in the image with their flags, appending or not', async () => {
    const { told } = await lab.run(`${OPEN}
      await ckpt.checkpoint(); await ckpt.checkpoint();
      say('told', { warned });
      await ckpt.close();`);
    const path = join(folder, 'library.log');
    expect(told?.['warned']).toEqual([expect.stringContaining(`${path}, open for writing at 12`)]);
    const { openFiles } = (await statImage(lab.store)).provenance;
    expect(openFiles).toContainEqual(expect.objectContaining({ target: path, position: 12 }));
    const { out } = await ckpt('--dir', lab.store, 'stat');
    expect(out).toMatch(/^ *\d+ +wa +12 +- +\S*library\.log$/m);
  });

  it('are told with the place that opened them when the program is started with the register hook', async () => {
    const { told } = await lab.run(
      `${OPEN}
      const stream = fs.createWriteStream('stream.log');
      await new Promise((resolve) => stream.on('open', resolve));
      const handle = await fs.promises.open('handle.log', 'w');
      const { open: named } = await import('node:fs');
      await new Promise((resolve) => named('callback.log', 'w', resolve));
      await ckpt.checkpoint();
      say('told', { warned });
      await handle.close();
      await ckpt.close();`,
      { flags: ['--import', REGISTER] },
    );
    const warned = told?.['warned'] as string[];
    for (const file of ['library.log', 'handle.log', 'callback.log'])
      expect(warned.find((message) => message.includes(file))).toMatch(/opened at .*program-1\.mjs:\d+:\d+/);
    expect(warned.some((message) => message.includes('stream.log'))).toBe(true);
  });

  it("refuse the checkpoint with openFiles: 'error'; the program goes on, and its next one succeeds once they are closed", async () => {
    const { told } = await lab.run(
      `${OPEN}
      const first = await codeOf(() => ckpt.checkpoint());
      fs.closeSync(fd);
      say('told', { first, second: await codeOf(() => ckpt.checkpoint()) });
      await ckpt.close();`,
      { env: { OPEN_FILES: 'error' } },
    );
    expect(told).toMatchObject({ first: 'ERR_CKPT_FILE', second: 'ok' });
    expect(lab.images()).toHaveLength(1);
    expect(lab.leftovers()).toEqual([]);
  });

  it('say nothing about a program that has nothing else open, forked or not', async () => {
    const source = `
      const ckpt = await openCheckpointer({ app: { name: 'plain' } });
      const state = ckpt.state('state', () => ({ n: 0 }));
      const out = ckpt.file('out', 'out.txt');
      await ckpt.start();
      out.write('x');
      await ckpt.checkpoint();
      await ckpt.finish();
      process.disconnect?.();`;
    expect(await lab.start(source).ended).toMatchObject({ code: 0, stderr: '' });
    const child = spawn(nodePath, ['program-1.mjs'], {
      cwd: lab.folder,
      env: { ...process.env, CKPT_DIR: join(lab.folder, 'other') },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [code] = await once(child, 'close');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  const LOGGING = `
    const log = fs.openSync('library.log', 'a');
    const ckpt = await open({ files: [{ pattern: '*.log', policy: 'append' }] });
    const state = ckpt.state('state', () => ({ n: 0 }));
    await ckpt.start();
    while (state.n < 40) {
      fs.writeSync(log, \`step \${state.n}\\n\`);
      if (state.n === Number(process.env.KILLED_AT)) process.kill(process.pid, 'SIGKILL');
      state.n++;
      if (state.n === Number(process.env.IMAGE_AT)) await ckpt.checkpoint();
      await ckpt.safepoint();
    }
    await ckpt.finish();`;
  const LOGGED = Array.from({ length: 40 }, (_, n) => `step ${n}\n`).join('');

  it('F39: a file under a rule is cut back to its size at the capture', async () => {
    expect(await lab.start(LOGGING, { env: { IMAGE_AT: '10', KILLED_AT: '25' } }).ended).toMatchObject({ signal: 'SIGKILL' });
    expect(await lab.start(LOGGING, { env: { IMAGE_AT: '30', KILLED_AT: '35' } }).ended).toMatchObject({ signal: 'SIGKILL' });
    await lab.run(LOGGING);
    expect(readFileSync(join(lab.folder, 'library.log'), 'utf8')).toBe(LOGGED);
  });

  it('F41: a file under a rule that was rotated after the image is refused, and nothing is changed', async () => {
    expect(await lab.start(LOGGING, { env: { IMAGE_AT: '10', KILLED_AT: '25' } }).ended).toMatchObject({ signal: 'SIGKILL' });
    const log = join(lab.folder, 'library.log');
    renameSync(log, `${log}.1`);
    writeFileSync(log, readFileSync(`${log}.1`));
    const { code, stderr } = await lab.start(LOGGING).ended;
    expect(code).not.toBe(0);
    expect(stderr).toContain('ERR_CKPT_FILE_CHANGED');
    expect(stderr).toContain('library.log.1');
    expect(readFileSync(log)).toEqual(readFileSync(`${log}.1`));
  });

  it('F42, F77: a file outside the roots that is declared after start() is left alone until it is declared again, then put back', async () => {
    const source = `
      fs.mkdirSync('inside', { recursive: true });
      fs.mkdirSync('outside', { recursive: true });
      const ckpt = await open({ roots: ['inside'] });
      const state = ckpt.state('state', () => ({ n: 0 }));
      const { restarted } = await ckpt.start();
      const content = () => fs.readFileSync('outside/late.txt', 'utf8');
      const found = restarted ? content() : '';
      const late = process.env.WITHOUT ? undefined : ckpt.file('late', 'outside/late.txt');
      await late?.flush();
      say('told', { restarted, found, putBack: restarted ? content() : '' });
      if (restarted) process.exit(0);
      late.write('kept');
      await ckpt.checkpoint();
      late.write(' and lost');
      await late.flush();
      process.kill(process.pid, 'SIGKILL');`;
    await lab.start(source).ended;
    const without = await lab.run(source, { env: { WITHOUT: '1' } });
    expect(without['told']).toMatchObject({ restarted: true, found: 'kept and lost', putBack: 'kept and lost' });
    const { told } = await lab.run(source);
    expect(told).toMatchObject({ restarted: true, found: 'kept and lost', putBack: 'kept' });
  });

  const TWO_FILES = `
    const ckpt = await open();
    const state = ckpt.state('state', () => ({ n: 0 }));
    const one = ckpt.file('one', 'out/one.txt');
    const other = process.env.ONE_ONLY ? undefined : ckpt.file('other', process.env.OTHER ?? fs.realpathSync('.') + '/out/other.txt');
    await ckpt.start();
    for (const file of [one, other]) file?.write('kept');
    await ckpt.checkpoint();
    for (const file of [one, other]) file?.write(' and lost');
    await one.flush();
    await other?.flush();
    process.kill(process.pid, 'SIGKILL');`;

  it('the dry run and stat show each tracked file, and the dry run changes nothing', async () => {
    mkdirSync(join(lab.folder, 'out'));
    await lab.start(TWO_FILES).ended;
    const path = join(folder, 'out/one.txt');
    const plan = await restartImage(lab.store, { dryRun: true });
    expect(plan.files).toMatchObject([
      { name: 'one', path, policy: 'append', found: true, beyond: 9, prefix: 'matches', put: { do: 'cut', from: 13, to: 4 } },
      { name: 'other', found: true, beyond: 9 },
    ]);
    expect(readFileSync(path, 'utf8')).toBe('kept and lost');
    expect((await ckpt('--dir', lab.store, 'restart', '--dry-run')).out).toMatch(/one +append +yes +9 B +matches +cut from 13 to 4 bytes/);
    expect((await ckpt('--dir', lab.store, 'stat')).out).toMatch(/^one +a +append +4 +4 +\S+one\.txt$/m);
    writeFileSync(path, 'KEPT and lost');
    const refused = await ckpt('--dir', lab.store, 'restart', '--dry-run');
    expect(refused).toMatchObject({ code: 1, out: expect.stringContaining('ERR_CKPT_FILE_CHANGED') });
    expect(readFileSync(path, 'utf8')).toBe('KEPT and lost');
  });

  it('a run that was moved goes on with --root, and puts back files that its program no longer declares', async () => {
    const [old, moved] = [join(folder, 'old'), join(folder, 'moved')];
    mkdirSync(join(old, 'out'), { recursive: true });
    lab.start('').kill('SIGKILL');
    symlinkSync(join(folder, 'node_modules'), join(old, 'node_modules'));
    const prelude = readFileSync(join(lab.folder, 'program-1.mjs'), 'utf8');
    writeFileSync(join(old, 'program.mjs'), `${prelude}${TWO_FILES}`);
    const environment = { ...process.env, CKPT_DIR: join(old, 'store') };
    await once(spawn(nodePath, ['program.mjs'], { cwd: old, env: environment, stdio: 'ignore' }), 'close');
    renameSync(old, moved);
    mkdirSync(join(old, 'out'), { recursive: true });
    writeFileSync(join(old, 'out/other.txt'), 'kept by another');

    const roots = [{ from: old, to: moved }];
    const plan = await restartImage(join(moved, 'store'), { dryRun: true, roots });
    expect(plan.files.map(({ path }) => path)).toEqual([join(moved, 'out/one.txt'), join(moved, 'out/other.txt')]);
    expect(plan.environment['CKPT_ROOTS']).toBe(JSON.stringify(roots));

    process.env['ONE_ONLY'] = '1';
    onTestFinished(() => void delete process.env['ONE_ONLY']);
    expect(await restartImage(join(moved, 'store'), { roots, stdio: 'ignore' })).toMatchObject({ exitCode: 137 });
    expect(readFileSync(join(moved, 'out/other.txt'), 'utf8')).toBe('kept');
    expect(readFileSync(join(old, 'out/other.txt'), 'utf8')).toBe('kept by another');
    expect(existsSync(join(old, 'store'))).toBe(false);

    // What that life has put back it knows by its new place: nothing has to be said again.
    writeFileSync(join(moved, 'out/other.txt'), 'kept and lost again');
    expect(await restartImage(join(moved, 'store'), { stdio: 'ignore' })).toMatchObject({ exitCode: 137 });
    expect(readFileSync(join(moved, 'out/other.txt'), 'utf8')).toBe('kept');
  });
});
