/** stdout and stderr as tracked files: redirected with `>>`, killed, started again. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { statImage } from '../../packages/sdk/src/images.js';
import { nodePath } from '../fixtures/node.js';
import { Laboratory } from '../fixtures/sdk-program.js';

/** Prints its lines by console.log, makes an image at one of them, and is killed behind another. */
const PRINTER = `
import { openCheckpointer } from '@ckpt/sdk';
const [image, death] = [Number(process.env.IMAGE_AT), Number(process.env.KILLED_AT)];
const warned = [];
const logger = { warn: (message) => warned.push(message), error: (message) => warned.push(message) };
const ckpt = await openCheckpointer({ app: { name: 'printer' }, signals: {}, requests: false, stdio: process.env.STDIO ?? 'track', logger });
const state = ckpt.state('state', () => ({ line: 0 }));
console.log('The printer begins');
try {
  const { restarted } = await ckpt.start();
  if (!restarted) console.error('a fresh start');
} catch (error) {
  process.send?.({ code: error.code, message: error.message });
  process.exit(3);
}
while (state.line < 50) {
  console.log(\`line \${state.line} of fünfzig\`);
  if (state.line === death) process.kill(process.pid, 'SIGKILL');
  state.line++;
  if (state.line === image) await ckpt.checkpoint();
  await ckpt.safepoint();
}
process.send?.({ warned });
await ckpt.finish();
`;

interface Told {
  readonly code?: string;
  readonly message?: string;
  readonly warned?: readonly string[];
}

describe("stdio: 'track'", () => {
  let lab: Laboratory;
  let out: string;
  let err: string;
  beforeEach((context: TestContext) => {
    if (process.platform !== 'linux') context.skip('needs /proc');
    lab = new Laboratory();
    out = join(lab.folder, 'run.log');
    err = join(lab.folder, 'run.err');
    writeFileSync(join(lab.folder, 'printer.mjs'), PRINTER);
  });

  /** @param flag how the shell would open it: 'a' for `>>`, 'w' for `>` */
  async function run(
    env: Record<string, string>,
    { flag = 'a', stdout = out, stderr = err }: { flag?: string; stdout?: string | undefined; stderr?: string } = {},
  ): Promise<{ code: number | null; signal: string | null; told: Told }> {
    const files = [stdout, stderr].map((path) => (path === 'pipe' ? undefined : openSync(path, flag)));
    const { CKPT_RESTART: _, ...inherited } = process.env;
    const child = spawn(nodePath, ['printer.mjs'], {
      cwd: lab.folder,
      env: { ...inherited, CKPT_DIR: lab.store, ...env },
      stdio: ['ignore', files[0] ?? 'pipe', files[1] ?? 'pipe', 'ipc'],
    });
    let told: Told = {};
    child.on('message', (message) => {
      told = message as Told; // the printer sends nothing else
    });
    child.stdout?.resume();
    const [code, signal] = await once(child, 'close');
    for (const fd of files) if (fd !== undefined) closeSync(fd);
    return { code, signal, told };
  }

  const LINES = Array.from({ length: 50 }, (_, line) => `line ${line} of fünfzig\n`).join('');
  const WHOLE = `The printer begins\n${LINES}`;

  it('F39: what was printed after the image is cut, so that the file is that of an undisturbed run', async () => {
    writeFileSync(out, 'an older run\n');
    expect(await run({ IMAGE_AT: '20', KILLED_AT: '33' })).toMatchObject({ signal: 'SIGKILL' });
    expect(readFileSync(out, 'utf8')).toContain('line 33 ');
    expect(await run({})).toMatchObject({ code: 0 });
    expect(readFileSync(out, 'utf8')).toBe(`an older run\n${WHOLE}`);
    expect(readFileSync(err, 'utf8')).toBe('a fresh start\n');
    expect((await statImage(lab.store)).files).toMatchObject([
      { name: 'stdio:stdout', path: out, policy: 'append' },
      { name: 'stdio:stderr', path: err },
    ]);
  });

  it('F61: killed before the first image, twice, nothing is doubled', async () => {
    for (const death of ['5', '8']) expect(await run({ KILLED_AT: death })).toMatchObject({ signal: 'SIGKILL' });
    expect(await run({})).toMatchObject({ code: 0 });
    expect(readFileSync(out, 'utf8')).toBe(WHOLE);
  });

  it('both streams on one file are one file', async () => {
    const both = { stderr: out };
    expect(await run({ IMAGE_AT: '20', KILLED_AT: '33' }, both)).toMatchObject({ signal: 'SIGKILL' });
    expect(await run({}, both)).toMatchObject({ code: 0 });
    expect(readFileSync(out, 'utf8')).toBe(`The printer begins\na fresh start\n${LINES}`);
    expect((await statImage(lab.store)).files).toHaveLength(1);
  });

  it('F40: redirected with >, which empties the file, a restart is refused with what to do', async () => {
    expect(await run({ IMAGE_AT: '20', KILLED_AT: '33' })).toMatchObject({ signal: 'SIGKILL' });
    const { code, told } = await run({}, { flag: 'w' });
    expect(code).toBe(3);
    expect(told.code).toBe('ERR_CKPT_FILE');
    expect(told.message).toContain('>>');
  });

  it('says at the first image that a restart would empty the file', async () => {
    const { told } = await run({ IMAGE_AT: '20' }, { flag: 'w' });
    expect(told.warned?.filter((message) => message.includes('>>'))).toHaveLength(2);
  });

  it('F40: a file that is shorter than recorded is refused and stays as it is', async () => {
    expect(await run({ IMAGE_AT: '20', KILLED_AT: '33' })).toMatchObject({ signal: 'SIGKILL' });
    truncateSync(out, 40);
    const before = readFileSync(out, 'utf8');
    const { code, told } = await run({});
    expect([code, told.code]).toEqual([3, 'ERR_CKPT_FILE_MISSING']);
    expect(readFileSync(out, 'utf8')).toBe(`${before}The printer begins\n`);
  });

  it('a stream that is no file any more is refused; without tracking, the start takes no notice of it', async () => {
    expect(await run({ IMAGE_AT: '20', KILLED_AT: '33' })).toMatchObject({ signal: 'SIGKILL' });
    const printed = readFileSync(out, 'utf8');
    expect(await run({}, { stdout: 'pipe' })).toMatchObject({ code: 3, told: { code: 'ERR_CKPT_FILE' } });
    expect(await run({ STDIO: 'ignore' }, { stdout: 'pipe' })).toMatchObject({ code: 0 });
    expect(readFileSync(out, 'utf8')).toBe(printed);
  });
});
