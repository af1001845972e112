/** The built command with real programs: asking, looking, restarting. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodePath } from '../fixtures/node.js';

const cli = fileURLToPath(new URL('../../packages/sdk/dist/cli.js', import.meta.url));
const loop = fileURLToPath(new URL('../fixtures/loop.mjs', import.meta.url));
const counter = fileURLToPath(new URL('../fixtures/counter.mjs', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** The next line of stdout that is JSON with this key. */
  readonly says: (key: string) => Promise<Record<string, unknown>>;
}

let folder: string;
let dir: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'ckpt-cli-e2e-')));
  dir = join(folder, 'store');
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
});

function start(args: readonly string[], env: Record<string, string> = {}): Started {
  const { CKPT_DIR: _, CKPT_RESTART: __, NO_COLOR: ___, ...inherited } = process.env;
  const child = spawn(nodePath, [...args], {
    cwd: folder,
    env: { ...inherited, CKPT_DIR: dir, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const written = { out: '', err: '' };
  const lines: Record<string, unknown>[] = [];
  let heard: () => void = () => {};
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (written.out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (written.err += text));
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (!line.startsWith('{') || !line.endsWith('}')) return;
      // The fixture programs write one object a line.
      lines.push(JSON.parse(line) as Record<string, unknown>);
      heard();
    });
  }
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, ...written }) as Ended);
  const says = async (key: string): Promise<Record<string, unknown>> => {
    for (;;) {
      const said = lines.shift();
      if (said !== undefined && key in said) return said;
      if (said !== undefined) continue;
      const more = new Promise<'more'>((resolve) => (heard = () => resolve('more')));
      const end = await Promise.race([more, ended]);
      if (end !== 'more' && lines.length === 0) throw new Error(`it ended without saying ${key}: ${end.err}`);
    }
  };
  return { child, ended, says };
}

async function ckpt(...args: string[]): Promise<Ended> {
  return start([cli, ...args]).ended;
}

/** A loop that runs and is ready. */
async function running(env: Record<string, string> = {}): Promise<Started> {
  const program = start([loop, 'a b', '--x'], env);
  await program.says('started');
  return program;
}

describe('ckpt with a running program', () => {
  it('create --wait returns a durable image that list, stat and verify know', async () => {
    const { child } = await running();
    const created = await ckpt('create', '--name', 'first', '--wait', '--json');
    expect(created).toMatchObject({ code: 0, err: '' });
    const { image, pid, times } = JSON.parse(created.out);
    expect([pid, image.name]).toEqual([child.pid, 'first']);
    expect(times.totalMs).toBeGreaterThan(0);
    expect(existsSync(image.path)).toBe(true);

    expect(JSON.parse((await ckpt('list', '--json')).out)).toMatchObject({
      images: [{ id: image.id, names: ['first'], reason: 'request-file', lineage: true }],
    });
    expect(JSON.parse((await ckpt('stat', 'first', '--json')).out)).toMatchObject({
      id: image.id,
      provenance: { pid: child.pid, ppid: process.pid, cwd: folder },
      sections: [{ name: 'loop' }],
    });
    const stat = await ckpt('stat');
    expect(stat.out).toContain(`pid ${child.pid}, ppid ${process.pid}`);
    expect(stat.out).toContain("'a b' --x");
    expect(await ckpt('verify')).toMatchObject({ code: 0, out: expect.stringMatching(/^ok/) });
    expect(readdirSync(join(dir, 'requests'))).toEqual([]);
  });

  it('create without --wait returns at once, and the image comes', async () => {
    const program = await running();
    expect(await ckpt('create', '--name', 'soon')).toMatchObject({ code: 0, out: '' });
    expect(await program.says('committed')).toMatchObject({ name: 'soon' });
  });

  it('create --exit ends the program with 85; restart goes on in its directory with its arguments', async () => {
    const program = await running();
    expect(await ckpt('create', '--exit', '--wait', '--name', 'stop')).toMatchObject({ code: 0 });
    expect((await program.ended).code).toBe(85);
    const again = start([cli, 'restart'], { PWD: '/' });
    expect(await again.says('started')).toMatchObject({ started: { restarted: true, name: 'stop' }, argv: ['a b', '--x'], cwd: folder });
    again.child.kill('SIGTERM');
    expect(await again.ended).toMatchObject({ code: 143 });
  });

  it('create asks by the recorded signal where request files are off', async () => {
    const program = await running({ LOOP_OPTIONS: '{"requests":false}' });
    const created = await ckpt('create', '--wait', '--json');
    expect(created).toMatchObject({ code: 0 });
    expect(JSON.parse(created.out)).toMatchObject({ via: 'signal', image: { generation: 1 } });
    expect(await program.says('committed')).toMatchObject({ reason: 'signal' });
  });

  it('create exits 14 for a program that does not answer, and leaves no request behind', async () => {
    await running({ LOOP_BLOCK: '1' });
    expect(await ckpt('create', '--wait', '--timeout', '700ms')).toMatchObject({
      code: 14,
      out: '',
      err: expect.stringContaining('ERR_CKPT_NO_ANSWER'),
    });
    expect(readdirSync(join(dir, 'requests'))).toEqual([]);
  });

  it('create exits 14 once the program was killed', async () => {
    const program = await running();
    await ckpt('create', '--wait');
    program.child.kill('SIGKILL');
    await program.ended;
    expect(await ckpt('create', '--wait')).toMatchObject({ code: 14, err: expect.stringContaining('ERR_CKPT_NOT_RUNNING') });
  });

  it('create notices that the program dies while it waits', async () => {
    const program = await running({ LOOP_BLOCK: '1' });
    const created = ckpt('create', '--wait');
    const request = join(dir, 'requests', 'checkpoint');
    await expect.poll(() => existsSync(request), { timeout: 10_000 }).toBe(true);
    program.child.kill('SIGKILL');
    expect(await created).toMatchObject({ code: 14, err: expect.stringContaining('ERR_CKPT_NOT_RUNNING') });
  });

  it('Ctrl-C while create waits takes the request back', async () => {
    await running({ LOOP_BLOCK: '1' });
    const created = start([cli, 'create', '--wait']);
    const request = join(dir, 'requests', 'checkpoint');
    await expect.poll(() => existsSync(request), { timeout: 10_000 }).toBe(true);
    created.child.kill('SIGINT');
    expect(await created.ended).toMatchObject({ code: 1, err: expect.stringContaining('ERR_CKPT_ABORTED') });
    expect(existsSync(request)).toBe(false);
  });

  it('restart --take-over ends the program that runs and goes on from its image', async () => {
    const program = await running();
    await ckpt('create', '--wait', '--name', 'here');
    const again = start([cli, 'restart', '--take-over']);
    expect(await again.says('started')).toMatchObject({ started: { restarted: true, name: 'here' } });
    expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
    again.child.kill('SIGTERM');
    expect((await again.ended).code).toBe(143);
  });

  it('remove refuses nothing that is free and exits 3 when only some were there', async () => {
    await running();
    await ckpt('create', '--wait', '--name', 'a');
    await ckpt('create', '--wait', '--name', 'b');
    expect(await ckpt('remove', 'a', 'nosuch')).toMatchObject({ code: 3, out: expect.stringContaining('removed') });
    expect(JSON.parse((await ckpt('list', '--json')).out).images).toMatchObject([{ names: ['b'] }]);
  });
});

describe('ckpt restart', () => {
  const STEPS = { COUNTER_STEPS: '2000', COUNTER_CHECKPOINT_EACH: '500', COUNTER_NAMES: '700:seven' };

  async function uninterrupted(): Promise<string> {
    const out = join(folder, 'expected.txt');
    const program = start([counter], { ...STEPS, COUNTER_OUT: out, CKPT_DIR: join(folder, 'other') });
    expect((await program.ended).code).toBe(0);
    return readFileSync(out, 'utf8');
  }

  /** Killed after its named image. */
  async function killed(): Promise<Record<string, string>> {
    const env = { ...STEPS, COUNTER_OUT: join(folder, 'out.txt') };
    const log = join(folder, 'log.txt');
    const program = start([counter], { ...env, COUNTER_LOG: log, COUNTER_WORK: '1' });
    await expect.poll(() => existsSync(log) && readFileSync(log, 'utf8').includes('seven'), { timeout: 30_000, interval: 5 }).toBe(true);
    program.child.kill('SIGKILL');
    await program.ended;
    return env;
  }

  it('of a killed program ends with the output of an uninterrupted run, and with its exit code', async () => {
    const expected = await uninterrupted();
    const env = await killed();
    expect(await start([cli, 'restart', 'seven'], env).ended).toMatchObject({ code: 0 });
    expect(readFileSync(join(folder, 'out.txt'), 'utf8')).toBe(expected);
    expect(await start([cli, 'restart'], env).ended).toMatchObject({ code: 0, out: expect.stringContaining('"finished":true') });
  });

  it('fails before anything is started when the name is wrong, and when the image is damaged the program refuses', async () => {
    const env = await killed();
    const wrong = await start([cli, 'restart', 'nosuch'], env).ended;
    expect(wrong).toMatchObject({ code: 10, out: '' });
    const { path } = JSON.parse((await ckpt('stat', 'seven', '--json')).out);
    const bytes = readFileSync(path);
    bytes[4_200] = (bytes[4_200] ?? 0) ^ 4;
    writeFileSync(path, bytes);
    expect(await ckpt('restart', 'seven', '--dry-run')).toMatchObject({ code: 12, out: '' });
    expect(await ckpt('verify', 'seven')).toMatchObject({ code: 12, out: expect.stringContaining('DAMAGED') });
    const refused = await start([cli, 'restart', 'seven'], env).ended;
    expect(refused.code).not.toBe(0);
    expect(refused.out).not.toContain('started');
  });

  it('of a copied store wants the command on the command line', async () => {
    const env = await killed();
    const copy = join(folder, 'copy');
    cpSync(dir, copy, { recursive: true });
    const refused = await start([cli, '--dir', copy, 'restart'], env).ended;
    expect(refused).toMatchObject({ code: 1, out: '', err: expect.stringContaining('ERR_CKPT_STORE_UNSAFE') });
    expect(await start([cli, '--dir', copy, 'restart', '--', nodePath, counter], env).ended).toMatchObject({
      code: 0,
      out: expect.stringContaining('"restarted":true'),
    });
  });

  it('passes SIGINT on and exits as the program does', async () => {
    const program = await running();
    await ckpt('create', '--exit', '--wait');
    await program.ended;
    const again = start([cli, 'restart']);
    await again.says('started');
    again.child.kill('SIGINT');
    expect(await again.ended).toMatchObject({ code: 130 });
  });

  it('passes SIGUSR1 on to a program that is ready, and never opens an inspector itself', async () => {
    const program = await running();
    await ckpt('create', '--exit', '--wait');
    await program.ended;
    const again = start([cli, 'restart']);
    await again.says('started');
    again.child.kill('SIGUSR1');
    expect(await again.says('committed')).toMatchObject({ reason: 'signal' });
    again.child.kill('SIGTERM');
    expect((await again.ended).err).not.toContain('Debugger');
  });

  it('says what cannot be started', async () => {
    const program = await running();
    await ckpt('create', '--exit', '--wait');
    await program.ended;
    expect(await ckpt('restart', '--', join(folder, 'nothing'))).toMatchObject({ code: 1, err: expect.stringContaining('ERR_CKPT_IO') });
  });
});

describe('ckpt as a command', () => {
  it('without arguments shows the help and exits 2', async () => {
    expect(await ckpt()).toMatchObject({ code: 2, out: '', err: expect.stringContaining('Usage: ckpt') });
  });

  it('in a folder without a store exits 10 and makes none', async () => {
    expect(await ckpt('list')).toMatchObject({ code: 10, out: '' });
    expect(existsSync(dir)).toBe(false);
  });

  it('ends quietly when nobody reads its output', async () => {
    await running();
    await ckpt('create', '--wait');
    const listed = start([cli, 'stat', '--json']);
    listed.child.stdout?.destroy();
    expect((await listed.ended).err).toBe('');
  });
});
