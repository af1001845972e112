import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { debuggerWanted } from '../../packages/sdk/src/triggers/early-signals.js';
import { buildEntries } from '../fixtures/build-entry.js';
import { nodePath } from '../fixtures/node.js';
import { TalkingProgram } from '../fixtures/talking-program.js';

const ENTRIES = { register: 'register', signals: 'triggers/signals', 'early-signals': 'triggers/early-signals' };
const FIXTURES = join(import.meta.dirname, '../fixtures');
const PROGRAM = join(FIXTURES, 'late-opener.mjs');
const HOLD_UP = ['--require', join(FIXTURES, 'wait-for-inspector.cjs')];
/** Programs that run at the same time would fight for the inspector's usual port. */
const ANY_PORT = '--inspect-port=0';

let folder: string;
let build: string;
let register: readonly string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ckpt-register-'));
  build = join(folder, 'one');
  register = ['--import', join(build, 'register.mjs')];
  await buildEntries(build, ENTRIES);
});

afterAll(() => rm(folder, { recursive: true }));

function start(flags: readonly string[], more: { readonly signals?: string; readonly env?: NodeJS.ProcessEnv } = {}): TalkingProgram {
  const program = new TalkingProgram(nodePath, [ANY_PORT, ...flags, PROGRAM, more.signals ?? build], { ...process.env, ...more.env });
  onTestFinished(() => program.end());
  return program;
}

test('without register an early SIGUSR1 is lost and opens the inspector', async () => {
  const program = start(HOLD_UP);
  await program.hear('preloaded');
  program.child.kill('SIGUSR1');
  expect(await program.hear('held')).toMatchObject({ inspector: true });
  await program.hear('up');
  await program.tell('open');
  expect(await program.report()).toMatchObject({ asked: 0, inspector: true });
});

test('F60: SIGUSR1 after register and before the checkpointer listens is remembered, as one request', async () => {
  const program = start(register);
  await program.hear('up');
  for (let at = 0; at < 5; at++) program.child.kill('SIGUSR1');
  expect(await program.report()).toMatchObject({ asked: 0, inspector: false });
  await program.tell('open');
  expect(await program.report()).toMatchObject({ asked: 1, inspector: false });
  await program.tell('open');
  expect(await program.report()).toMatchObject({ asked: 1 });
});

test('F60: SIGUSR1 before register has run is remembered too, and the inspector that it opened is closed', async () => {
  const program = start([...HOLD_UP, ...register]);
  await program.hear('preloaded');
  program.child.kill('SIGUSR1');
  expect(await program.hear('held')).toMatchObject({ inspector: true });
  await program.hear('up');
  await program.tell('open');
  expect(await program.report()).toMatchObject({ asked: 1, inspector: false });
});

test('F60: SIGUSR1 at any moment of the start either ends the program before Node is up or is remembered', async () => {
  let remembered = 0;
  for (let at = 0; at < 12; at++) {
    const program = start(register);
    await delay(at * 7);
    program.child.kill('SIGUSR1');
    const came = await Promise.race([program.hear('up'), program.ended]).catch(() => undefined);
    if (came === undefined || !('word' in came)) {
      expect((await program.ended).signal).not.toBeNull();
      continue;
    }
    await program.tell('open');
    // The inspector of an early signal may open late; it is found and closed for a while.
    for (let report = await program.report(); report['asked'] === 0 || report['inspector'] === true; ) report = await program.report();
    remembered++;
  }
  expect(remembered).toBeGreaterThan(0);
}, 60_000);

test('F60: the request is taken over although register and the program come from two copies of the package', async () => {
  const other = join(folder, 'two');
  await buildEntries(other, ENTRIES);
  const program = start([...register, '--import', join(other, 'register.mjs')], { signals: other });
  await program.hear('up');
  program.child.kill('SIGUSR1');
  await program.report();
  await program.tell('open');
  expect(await program.report()).toMatchObject({ asked: 1, inspector: false });
});

test('F60: SIGUSR1 while a checkpointer is being opened is remembered, without register and for a second one too', async () => {
  const program = start([]);
  await program.hear('up');
  for (let opened = 1; opened <= 2; opened++) {
    await program.tell('remember');
    program.child.kill('SIGUSR1');
    expect(await program.report()).toMatchObject({ asked: opened - 1, inspector: false });
    await program.tell('open');
    expect(await program.report()).toMatchObject({ asked: opened });
    await program.tell('close');
    program.child.kill('SIGUSR1');
    expect(await program.report()).toMatchObject({ asked: opened, inspector: false });
  }
});

test('a remembered SIGUSR1 of a program that does not listen to it is said to be ignored', async () => {
  const program = start(register);
  await program.hear('up');
  program.child.kill('SIGUSR1');
  await program.report();
  program.child.stdin.write('open-without\n');
  await program.hear('log');
  expect(await program.report()).toMatchObject({ asked: 0, inspector: false });
});

test.each([
  ['a flag', ['--inspect=127.0.0.1:0'], {}],
  ['NODE_OPTIONS', [], { NODE_OPTIONS: '--inspect=127.0.0.1:0' }],
])('an inspector asked for by %s is neither closed nor taken for a request', async (_by, flags, env) => {
  const program = start([...flags, ...register], { env });
  await program.hear('up');
  await program.tell('open');
  expect(await program.report()).toMatchObject({ asked: 0, inspector: true });
});

test('register alone does not keep a program alive', async () => {
  const program = new TalkingProgram(nodePath, [...register, '--eval', '0']);
  expect(await program.ended).toEqual({ code: 0, signal: null });
  expect(program.stderr).toBe('');
});

test('register can be required as well', async () => {
  const program = new TalkingProgram(nodePath, ['--no-warnings', '--eval', `require(${JSON.stringify(join(build, 'register.mjs'))})`]);
  expect(await program.ended).toEqual({ code: 0, signal: null });
});

test('where --disable-sigusr1 blocks the signal, SIGUSR1 is said not to be answered', async () => {
  const known = execFileSync(nodePath, ['-p', 'process.allowedNodeEnvironmentFlags.has("--disable-sigusr1")'], { encoding: 'utf8' });
  if (known.trim() !== 'true') return; // Node 20 has no such flag
  const program = start(['--disable-sigusr1', ...register]);
  await program.hear('up');
  program.child.stdin.write('open\n');
  await program.hear('log');
  expect(await program.report()).toMatchObject({ names: [] });
});

test.each([
  [['--inspect'], {}, true],
  [['--inspect-brk=9000'], {}, true],
  [['--inspect_wait'], {}, true],
  [['--inspect-port=0'], {}, false],
  [['--inspect-publish-uid=http'], {}, false],
  [[], { NODE_OPTIONS: '--max-old-space-size=100 "--inspect-brk"' }, true],
  [[], { NODE_OPTIONS: '--inspect-port=0 --enable-source-maps' }, false],
  [[], { VSCODE_INSPECTOR_OPTIONS: '{}' }, true],
  [[], {}, false],
])('flags %j with environment %j want a debugger: %s', (flags, env, wanted) => {
  expect(debuggerWanted(flags, env)).toBe(wanted);
});
