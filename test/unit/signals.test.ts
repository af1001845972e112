import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { listenToSignals, type SignalAction } from '../../packages/sdk/src/triggers/signals.js';
import { buildEntries } from '../fixtures/build-entry.js';
import { nodePath } from '../fixtures/node.js';
import { TalkingProgram } from '../fixtures/talking-program.js';

const PROGRAM = join(import.meta.dirname, '../fixtures/signal-program.mjs');
const programs: TalkingProgram[] = [];
let build: string;

beforeAll(async () => {
  build = await mkdtemp(join(tmpdir(), 'ckpt-signals-'));
  await buildEntries(build, { signals: 'triggers/signals' });
});

afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.end()));
});

afterAll(() => rm(build, { recursive: true }));

async function start(actions: Readonly<Record<string, SignalAction>>, outcome: 'ok' | 'fails' | 'never' = 'ok'): Promise<TalkingProgram> {
  const program = new TalkingProgram(nodePath, [PROGRAM, build, JSON.stringify(actions), outcome]);
  programs.push(program);
  await program.hear('ready');
  return program;
}

test('a signal asks for a checkpoint', async () => {
  const program = await start({ SIGUSR1: 'checkpoint', SIGUSR2: 'checkpoint' });
  program.child.kill('SIGUSR2');
  expect(await program.hear('asked')).toMatchObject({ reason: 'signal', exit: false });
  program.child.kill('SIGUSR1');
  expect(await program.hear('asked')).toMatchObject({ reason: 'signal', exit: false });
  expect(await program.report()).toMatchObject({ names: ['SIGUSR1', 'SIGUSR2'], inspector: false });
});

test('F57: a storm of 50 signals becomes one checkpoint that runs and one that waits', async () => {
  const program = await start({ SIGUSR1: 'checkpoint' });
  await program.tell('storm');
  await program.hear('asked');
  await program.hear('asked');
  const report = await settledReport(program);
  expect(report['asked']).toBe(2);
  expect(report['images']).toBe(2);
});

test('a signal that comes after a request was made is answered by a later request', async () => {
  const program = await start({ SIGUSR1: 'checkpoint' }, 'never');
  for (let at = 0; at < 5; at++) {
    program.child.kill('SIGUSR1');
    await program.hear('asked');
  }
});

test('checkpoint-and-exit is asked for with exit, once while it is under way', async () => {
  const program = await start({ SIGTERM: 'checkpoint-and-exit', SIGINT: 'checkpoint-and-exit' }, 'never');
  program.child.kill('SIGTERM');
  expect(await program.hear('asked')).toMatchObject({ reason: 'signal', exit: true });
  program.child.kill('SIGTERM');
  await program.hear('log');
  program.child.kill('SIGINT');
  await program.hear('log');
  expect(await program.report()).toMatchObject({ asked: 1 });
});

test('a failed checkpoint-and-exit lets the program go on, and the second such signal ends it with code 1', async () => {
  const program = await start({ SIGTERM: 'checkpoint-and-exit', SIGINT: 'checkpoint-and-exit' }, 'fails');
  program.child.kill('SIGTERM');
  await program.hear('log');
  expect(await program.report()).toMatchObject({ asked: 1 });
  program.child.kill('SIGINT');
  expect(await program.ended).toEqual({ code: 1, signal: null });
});

describe('after close', () => {
  test('a late SIGUSR1 or SIGUSR2 neither kills the program, nor opens a debugger, nor asks', async () => {
    const program = await start({ SIGUSR1: 'checkpoint', SIGUSR2: 'checkpoint' });
    await program.tell('close');
    await program.tell('close');
    for (let at = 0; at < 3; at++) {
      program.child.kill('SIGUSR1');
      program.child.kill('SIGUSR2');
      expect(await program.report()).toMatchObject({ asked: 0, inspector: false });
    }
    expect(program.stderr).toBe('');
    program.child.stdin.end('end\n');
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s ends the program as it ends any other', async (signal) => {
    const program = await start({ SIGUSR1: 'checkpoint', [signal]: 'checkpoint-and-exit' });
    await program.tell('close');
    program.child.kill(signal);
    expect(await program.ended).toEqual({ code: null, signal });
  });
});

test.each(['SIGKILL', 'SIGSTOP', 'SIGSEGV', 'SIGNOTHING', 'toString', 'usr1'])('%s is refused as a signal to listen to', (name) => {
  expect(() =>
    listenToSignals(
      { [name]: 'checkpoint' },
      () => {},
      () => {},
    ),
  ).toThrow(TypeError);
});

test('an unknown action is refused, and nothing is listened to', () => {
  const before = process.listenerCount('SIGUSR2');
  // What an untyped caller may pass.
  const actions = { SIGUSR2: 'checkpoint', SIGTERM: 'explode' } as unknown as Record<string, SignalAction>;
  expect(() =>
    listenToSignals(
      actions,
      () => {},
      () => {},
    ),
  ).toThrow(TypeError);
  expect(process.listenerCount('SIGUSR2')).toBe(before);
});

/** The report once as many images were made as requests were made. */
async function settledReport(program: TalkingProgram): Promise<Awaited<ReturnType<TalkingProgram['report']>>> {
  for (;;) {
    const report = await program.report();
    if (report['asked'] === report['images']) return report;
  }
}
