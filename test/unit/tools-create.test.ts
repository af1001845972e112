/** Asking a running program for a checkpoint: through request files, by signal, and never the wrong process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, unlinkSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointError } from '../../packages/sdk/src/base/errors.js';
import { loadPorts } from '../../packages/sdk/src/base/system-ports.js';
import type { RequestOutcome } from '../../packages/sdk/src/checkpoint/request.js';
import { createCheckpoint } from '../../packages/sdk/src/images.js';
import type { OwnerIdentity } from '../../packages/sdk/src/store/contract.js';
import { currentOwner } from '../../packages/sdk/src/store/owner.js';
import { answerText } from '../../packages/sdk/src/triggers/request-answer.js';
import { type FoundRequest, RequestFiles } from '../../packages/sdk/src/triggers/request-files.js';
import { type MadeEpoch, makeStore } from '../fixtures/store-maker.js';

const IMAGE = {
  id: 'a'.repeat(32),
  name: 'n',
  names: ['n'],
  generation: 1,
  epoch: 1,
  path: '/i',
  createdAt: 5,
  parent: undefined,
  finished: false,
};
const OUTCOME: RequestOutcome = {
  ok: true,
  result: {
    image: IMAGE,
    reason: 'request-file',
    times: { quiesceMs: 1, freezeMs: 2, captureMs: 1, persistMs: 3, totalMs: 6 },
    bytes: { state: 10, dirty: 10, uncopied: 0, stored: 20 },
  },
};

let dir: string;
const cleanUps: (() => Promise<unknown> | undefined)[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ckpt-create-'));
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  rmSync(dir, { recursive: true, force: true });
});

async function readyProgram(how = { signals: [] as string[], requests: true }, owner?: OwnerIdentity): Promise<MadeEpoch> {
  const epoch = await (await makeStore(dir, owner)).begin();
  await epoch.incarnation.ready(how);
  return epoch;
}

/** Answers requests as a program does, with the code of the program's side. */
async function answering(answer: (request: FoundRequest) => RequestOutcome): Promise<FoundRequest[]> {
  const seen: FoundRequest[] = [];
  const { fileSystem, clock } = await loadPorts(undefined);
  const files: RequestFiles = new RequestFiles({
    directory: join(dir, 'requests'),
    fileSystem,
    clock,
    pollMs: 20,
    watch: false,
    warn: () => {},
    onRequest: (request) => {
      seen.push(request);
      void files.settle(request, answerText(answer(request)));
    },
  });
  await files.start();
  // Timers of a program never keep it alive; here they must fire.
  const alive = setInterval(() => void files.look(), 20);
  cleanUps.push(() => {
    clearInterval(alive);
    return files.close();
  });
  return seen;
}

function leftOver(): string[] {
  return [...readdirSync(join(dir, 'requests')), ...readdirSync(join(dir, 'tmp'))];
}

describe('createCheckpoint through request files', () => {
  it('with wait resolves with the answer of the program and leaves nothing behind', async () => {
    await readyProgram();
    const seen = await answering(() => OUTCOME);
    const created = await createCheckpoint(dir, { name: 'n', wait: true });
    expect(created).toEqual({
      via: 'request-file',
      pid: process.pid,
      image: IMAGE,
      times: OUTCOME.ok && OUTCOME.result.times,
      bytes: OUTCOME.ok && OUTCOME.result.bytes,
    });
    expect(seen).toMatchObject([{ kind: 'checkpoint', name: 'n' }]);
    expect(leftOver()).toEqual([]);
  });

  it('asks for the exit through the other file', async () => {
    await readyProgram();
    const seen = await answering(() => OUTCOME);
    await createCheckpoint(dir, { exit: true, wait: true });
    expect(seen).toMatchObject([{ kind: 'checkpoint-and-exit' }]);
  });

  it('without wait resolves once the request stands, and asks for no answer', async () => {
    await readyProgram();
    expect(await createCheckpoint(dir, { name: 'later' })).toMatchObject({ via: 'request-file', image: undefined });
    expect(JSON.parse(readFileSync(join(dir, 'requests', 'checkpoint'), 'utf8'))).toEqual({ name: 'later' });
    expect(leftOver()).toEqual(['checkpoint']);
  });

  it('waits for a request placed before, never overwriting it', async () => {
    await readyProgram();
    const pending = join(dir, 'requests', 'checkpoint');
    writeFileSync(pending, 'earlier\n');
    const tried = new Promise<void>((resolve) => {
      const watcher = watch(join(dir, 'tmp'), () => resolve());
      cleanUps.push(async () => watcher.close());
    });
    const created = createCheckpoint(dir, { name: 'later' });
    await tried;
    expect(readFileSync(pending, 'utf8')).toBe('earlier\n');
    unlinkSync(pending);
    await created;
    expect(JSON.parse(readFileSync(pending, 'utf8'))).toEqual({ name: 'later' });
  });

  it('gives up on a request that stays pending, and leaves it alone', async () => {
    await readyProgram();
    writeFileSync(join(dir, 'requests', 'checkpoint'), 'earlier\n');
    await expect(createCheckpoint(dir, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'ERR_CKPT_NO_ANSWER' });
    expect(leftOver()).toEqual(['checkpoint']);
  });

  it('fails when no answer comes in time, and takes its request back', async () => {
    await readyProgram();
    await expect(createCheckpoint(dir, { wait: true, timeoutMs: 100 })).rejects.toMatchObject({ code: 'ERR_CKPT_NO_ANSWER' });
    expect(leftOver()).toEqual([]);
  });

  it('can be aborted, and takes its request back', async () => {
    await readyProgram();
    const abort = new AbortController();
    const watcher = watch(join(dir, 'requests'), () => abort.abort(new Error('enough')));
    cleanUps.push(async () => watcher.close());
    await expect(createCheckpoint(dir, { wait: true, signal: abort.signal })).rejects.toMatchObject({ code: 'ERR_CKPT_ABORTED' });
    expect(leftOver()).toEqual([]);
  });

  it('hands on the failure of the program with its own code', async () => {
    await readyProgram();
    await answering(() => ({ ok: false, error: new CheckpointError('ERR_CKPT_NO_SPACE', 'disk full', { cause: new Error('ENOSPC') }) }));
    await expect(createCheckpoint(dir, { wait: true })).rejects.toMatchObject({
      code: 'ERR_CKPT_NO_SPACE',
      message: expect.stringContaining('disk full'),
    });
    expect(leftOver()).toEqual([]);
  });

  it.each([
    ['another shape', '{"ok":true,"result":{"image":{"id":7}}}', 'ERR_CKPT_REQUEST'],
    ['a code that is none', '{"ok":false,"error":{"code":"ERR_OTHER","message":"m"}}', 'ERR_CKPT_REQUEST'],
    ['half an answer', '{"ok":true,"resu', 'ERR_CKPT_NO_ANSWER'],
    ['an endless answer', `"${'x'.repeat(2_000_000)}"`, 'ERR_CKPT_STORE_UNSAFE'],
  ])('does not trust %s', async (_, answer, code) => {
    await readyProgram();
    const request = join(dir, 'requests', 'checkpoint');
    const watcher = watch(join(dir, 'requests'), (__, file) => {
      if (file !== 'checkpoint' || !existsSync(request)) return;
      watcher.close();
      writeFileSync(join(dir, 'requests', `${JSON.parse(readFileSync(request, 'utf8')).nonce}.result`), answer);
    });
    cleanUps.push(async () => watcher.close());
    await expect(createCheckpoint(dir, { wait: true, timeoutMs: 400 })).rejects.toMatchObject({ code });
    expect(leftOver()).toEqual([]);
  });

  it('does not follow a link in place of the requests folder', async () => {
    await readyProgram();
    rmSync(join(dir, 'requests'), { recursive: true });
    symlinkSync(tmpdir(), join(dir, 'requests'));
    await expect(createCheckpoint(dir)).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_UNSAFE' });
  });

  it.each([
    ['a name that cannot be one', { name: '../x' }],
    ['a misspelt option', { waite: true }],
    ['a duration as text', { timeoutMs: '5s' }],
  ])('refuses %s with a TypeError', async (_, options) => {
    // The types forbid what is tried here.
    await expect(createCheckpoint(dir, options as object)).rejects.toThrow(TypeError);
  });
});

describe('createCheckpoint without a program', () => {
  it('says so when the store was never claimed, was let go, or is not ready', async () => {
    const made = await makeStore(dir);
    await expect(createCheckpoint(dir)).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_RUNNING' });
    const { incarnation } = await made.begin();
    await expect(createCheckpoint(dir)).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_RUNNING' });
    await incarnation.ready({ signals: [], requests: true });
    await incarnation.release();
    await expect(createCheckpoint(dir)).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_RUNNING' });
    expect(leftOver()).toEqual([]);
  });

  it('notices that the program lets go while it waits', async () => {
    const { incarnation } = await readyProgram();
    const watcher = watch(join(dir, 'requests'), () => {
      watcher.close();
      void incarnation.release();
    });
    cleanUps.push(async () => watcher.close());
    await expect(createCheckpoint(dir, { wait: true })).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_RUNNING' });
    expect(leftOver()).toEqual([]);
  });
});

describe.skipIf(process.platform === 'win32')('createCheckpoint by signal', () => {
  /** A process that counts its SIGUSR1 and tells the count when asked. */
  async function bystander(): Promise<{ child: ChildProcess; signals: () => Promise<unknown>; identity: OwnerIdentity }> {
    const script = `let n = 0; process.on('SIGUSR1', () => process.send({ signalled: ++n })); process.on('message', () => process.send({ count: n })); process.send({ up: true });`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    cleanUps.push(async () => {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    });
    await once(child, 'message');
    const startTime = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19] ?? '';
    const identity = { ...currentOwner(await loadPorts(undefined)), pid: child.pid ?? 0, startTime };
    const signals = async (): Promise<unknown> => {
      child.send('count');
      const [answer] = await once(child, 'message');
      return answer;
    };
    return { child, signals, identity };
  }

  it('F48: never signals a process that merely has the recorded pid', async () => {
    const { signals, identity } = await bystander();
    await readyProgram({ signals: ['SIGUSR1'], requests: false }, { ...identity, startTime: '1' });
    await expect(createCheckpoint(dir, { wait: true })).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_RUNNING' });
    expect(await signals()).toEqual({ count: 0 });
  });

  it.each([
    ['boot', { boot: 'another' }],
    ['pid namespace', { pidNamespace: 'pid:[1]' }],
  ])('F48: never signals across another %s, even while a heartbeat says that the owner lives', async (_, other) => {
    const { signals, identity } = await bystander();
    const { incarnation } = await readyProgram({ signals: ['SIGUSR1'], requests: false }, { ...identity, ...other });
    await incarnation.beat();
    await expect(createCheckpoint(dir, { wait: true })).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_RUNNING' });
    expect(await signals()).toEqual({ count: 0 });
  });

  it('signals the recorded process and waits for the image that follows', async () => {
    const { child, identity } = await bystander();
    const program = await readyProgram({ signals: ['SIGUSR1'], requests: false }, identity);
    await program.image();
    const created = createCheckpoint(dir, { wait: true });
    expect((await once(child, 'message'))[0]).toEqual({ signalled: 1 });
    const { id } = await program.image();
    expect(await created).toMatchObject({ via: 'signal', pid: child.pid, image: { id } });
  });

  it('does not take an image for the answer that was captured before the signal', async () => {
    const { child, identity } = await bystander();
    const program = await readyProgram({ signals: ['SIGUSR1'], requests: false }, identity);
    const created = createCheckpoint(dir, { wait: true, timeoutMs: 700 });
    const refused = expect(created).rejects.toMatchObject({ code: 'ERR_CKPT_NO_ANSWER' });
    await once(child, 'message');
    await program.image({ createdAt: Date.now() - 60_000 });
    await refused;
  });

  it('without wait resolves once the signal is sent', async () => {
    const { child, identity } = await bystander();
    await readyProgram({ signals: ['SIGUSR1'], requests: false }, identity);
    const told = once(child, 'message');
    expect(await createCheckpoint(dir)).toMatchObject({ via: 'signal', image: undefined });
    expect((await told)[0]).toEqual({ signalled: 1 });
  });

  it('never signals a program that takes request files', async () => {
    const { signals, identity } = await bystander();
    await readyProgram({ signals: ['SIGUSR1'], requests: true }, identity);
    await createCheckpoint(dir);
    expect(await signals()).toEqual({ count: 0 });
    expect(leftOver()).toEqual(['checkpoint']);
  });

  it.each([{ name: 'x' }, { exit: true }])('refuses what a signal cannot carry: %o', async (options) => {
    const { signals, identity } = await bystander();
    await readyProgram({ signals: ['SIGUSR1'], requests: false }, identity);
    await expect(createCheckpoint(dir, options)).rejects.toMatchObject({ code: 'ERR_CKPT_REQUEST' });
    expect(await signals()).toEqual({ count: 0 });
  });
});
