/**
 * Operations that fail while a program is checkpointed: injected into a live program, and real ones. Each time the program
 * runs on, the error says what happened and where, the image before is untouched, nothing temporary is left, and the next
 * checkpoint works.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import type { TracedOperation } from '../faults/traced-operations.js';
import { CommandedProgram, type Outcome } from '../fixtures/commanded-program.js';
import { CounterPlace, undisturbedOutput } from '../fixtures/counter-program.js';
import { Laboratory } from '../fixtures/sdk-program.js';
import { inspectStore, storeLeftovers } from '../fixtures/store-audit.js';
import { needRoot, needTool } from '../fixtures/tools.js';

const CHECKPOINT = { do: 'checkpoint', name: 'one' };

function temporaryFiles(program: CommandedProgram): string[] {
  return readdirSync(join(program.store, 'tmp'));
}

/** The image is in the store, whole, and the lineage begins with it or with a newer one. */
async function assertRestorable(program: CommandedProgram, id: string, context: string): Promise<void> {
  const { images, lineage } = await inspectStore(program.store);
  const image = images.find((candidate) => candidate.id === id);
  expect(image?.damages, context).toEqual([]);
  expect(lineage[0]?.generation, context).toBeGreaterThanOrEqual(image?.generation ?? Number.NaN);
  expect(
    images.flatMap(({ damages }) => damages),
    context,
  ).toEqual([]);
}

async function goodCheckpoint(program: CommandedProgram, context = 'a checkpoint without faults'): Promise<NonNullable<Outcome['image']>> {
  const outcome = await program.tell(CHECKPOINT);
  if (outcome.image === undefined) throw new Error(`${context}: ${JSON.stringify(outcome)}`);
  return outcome.image;
}

/** The same, and what it deletes is deleted. Nothing else may be under way. */
async function retainedCheckpoint(program: CommandedProgram, context?: string): Promise<NonNullable<Outcome['image']>> {
  program.forgetOperations();
  const image = await goodCheckpoint(program, context);
  await program.retained();
  return image;
}

describe('an operation of a checkpoint that fails', () => {
  let program: CommandedProgram;
  let operations: TracedOperation[];
  /** Index of the first operation after the acknowledgement. */
  let retention: number;

  beforeAll(async () => {
    program = new CommandedProgram();
    await program.ready();
    // From the third on, each moves the name and deletes one image.
    for (const _ of [1, 2]) await goodCheckpoint(program);
    operations = await operationsOfEachCheckpoint();
    // The last look at the fence follows; like that of a heartbeat, it may fail or not.
    retention = operations.findIndex(({ op, path }) => op === 'fsync-directory' && path === '/names/one') + 1;
    expect(retention).toBeGreaterThan(20);
  });
  afterAll(() => program.remove());

  /** Two in a row that are alike: a look of a heartbeat that came in between is in one of them at most. */
  async function operationsOfEachCheckpoint(): Promise<TracedOperation[]> {
    let before = '';
    for (let attempt = 0; attempt < 20; attempt += 1) {
      await retainedCheckpoint(program);
      const found = program.operations();
      const steps = JSON.stringify(found.map(({ op, folder }) => [op, folder]));
      if (steps === before) return found;
      before = steps;
    }
    throw new Error('no two checkpoints in a row did the same');
  }

  /** May fail without harm: clean-up that the next start repeats, closing what was read, the look of a heartbeat. */
  const isHarmless = ({ op, folder }: TracedOperation, at: number): boolean =>
    at >= retention || op === 'unlink' || op === 'close' || (op === 'lstat' && folder === '/epochs/');

  async function fail(at: number, action: string, times = 1): Promise<Outcome> {
    const operation = operations[at];
    if (operation === undefined) throw new Error('no such operation');
    const { op, folder, aim, path } = operation;
    await program.tell({ do: 'change' });
    const before = await retainedCheckpoint(program);
    program.forgetOperations();
    program.arm({ thread: 'helper', op, ...aim, times, action });
    const outcome = await program.tell(CHECKPOINT);
    if (outcome.ok) await program.retained();
    const context = `${action} ${at}: ${op} ${path}: ${JSON.stringify(outcome)}`;
    expect(program.fired().length, context).toBe(times);
    program.arm();
    await assertRestorable(program, before.id, context);
    expect(temporaryFiles(program).length, context).toBe(
      op === 'unlink' && folder === '/tmp/' && action.startsWith('errno:E') && times === 1 ? 1 : 0,
    );
    for (const file of temporaryFiles(program)) rmSync(join(program.store, 'tmp', file));
    const after = await retainedCheckpoint(program, context);
    expect(after.generation, context).toBeGreaterThan(before.generation);
    return outcome;
  }

  function expectFailure(outcome: Outcome, at: number, code: string, cause: string): void {
    const context = `${at}: ${JSON.stringify(operations[at])}: ${JSON.stringify(outcome)}`;
    const operation = operations[at];
    if (outcome.ok && operation !== undefined && isHarmless(operation, at)) return;
    const linked = operations.findIndex(({ op, folder }) => op === 'link' && folder === '/images/');
    expect(outcome, context).toMatchObject({
      ok: false,
      code,
      cause,
      phase: expect.stringMatching(at < linked ? /persist|commit/ : /^commit$/),
    });
    expect(outcome.message, context).toContain(cause);
  }

  const all = (): number[] => operations.map((_, at) => at);
  const those = (...ops: readonly string[]): number[] => all().filter((at) => ops.includes(operations[at]?.op ?? ''));

  it('F3, F4, F5: EIO at each operation is ERR_CKPT_IO, at the fsync of a directory ERR_CKPT_UNCERTAIN', async () => {
    for (const at of all()) {
      const code = operations[at]?.op === 'fsync-directory' ? 'ERR_CKPT_UNCERTAIN' : 'ERR_CKPT_IO';
      expectFailure(await fail(at, 'errno:EIO'), at, code, 'EIO');
    }
  }, 180_000);

  it('F2: ENOSPC and EDQUOT at each operation that needs space are ERR_CKPT_NO_SPACE', async () => {
    for (const at of those('open', 'write', 'fsync', 'mkdir', 'link')) {
      const errno = at % 2 === 0 ? 'ENOSPC' : 'EDQUOT';
      expectFailure(await fail(at, `errno:${errno}`), at, 'ERR_CKPT_NO_SPACE', errno);
    }
  });

  it('F6: EPERM and EXDEV at a link are ERR_CKPT_STORE_UNSUPPORTED, and nothing is copied into place', async () => {
    for (const at of those('link')) {
      for (const errno of ['EPERM', 'EXDEV']) expectFailure(await fail(at, `errno:${errno}`), at, 'ERR_CKPT_STORE_UNSUPPORTED', errno);
    }
  });

  it('F8: EMFILE at each operation that opens something is ERR_CKPT_IO', async () => {
    for (const at of those('open', 'readdir')) expectFailure(await fail(at, 'errno:EMFILE'), at, 'ERR_CKPT_IO', 'EMFILE');
  });

  it('F7: EINTR and EAGAIN, three times at each operation, disturb nothing', async () => {
    for (const at of all()) {
      const [errno, times] = at % 2 === 0 ? ['EINTR', 3] : ['EAGAIN', 3];
      // A close is not repeated: after an interrupted one the descriptor is gone or not, and cannot be asked.
      const outcome = await fail(
        at,
        operations[at]?.op === 'close' ? 'errno:EINTR' : `errno:${errno}`,
        operations[at]?.op === 'close' ? 1 : Number(times),
      );
      expect(outcome.ok, `${at}: ${JSON.stringify(operations[at])} ${JSON.stringify(outcome)}`).toBe(true);
    }
  }, 180_000);

  it('F1: writes and reads that move half of what they are asked to go on with the rest', async () => {
    program.arm(
      { thread: 'helper', op: 'write', times: 1_000, action: 'short' },
      { thread: 'helper', op: 'read', times: 1_000, action: 'short' },
    );
    const image = await retainedCheckpoint(program);
    expect(program.fired().some((line) => line.startsWith('helper write'))).toBe(true);
    expect(program.fired().some((line) => line.startsWith('helper read'))).toBe(true);
    program.arm();
    await assertRestorable(program, image.id, 'short writes');
  });

  it('F14: after all that, the next start goes on from the last image, and nothing is left lying about', async () => {
    const { count } = await program.tell({ do: 'change' });
    await goodCheckpoint(program);
    await program.program.end();
    await program.again();
    expect(await program.ready()).toEqual({ restarted: true, count });
    await program.tell({ do: 'finish' });
    await program.program.ended;
    expect(storeLeftovers(program.store)).toEqual([]);
  });
});

describe('a program that is checkpointed', () => {
  it('F4: with every fsync failing, writes no image, tries no file twice, and runs on to the right end', async () => {
    const place = new CounterPlace({ COUNTER_STEPS: 10, COUNTER_CHECKPOINT_EACH: 2, COUNTER_TOLERANT: 1 });
    onTestFinished(() => place.remove());
    const fault = { thread: 'helper', op: 'fsync', path: '/tmp/', times: 4, action: 'errno:EIO' };
    const ended = await place.runWithFault(fault, { CKPT_FAULT_TRACE: place.faultTrace });
    const failed = ended.lines.flatMap((line) => line.failed ?? []);
    expect(failed.map(({ code, phase, cause }) => ({ code, phase, cause }))).toEqual(
      Array(4).fill({ code: 'ERR_CKPT_IO', phase: 'persist', cause: 'EIO' }),
    );
    const fired = place.fired().map((line) => line.split(' ')[2]);
    expect(new Set(fired).size).toBe(4);
    const again = place.operations().filter((line) => fired.some((path) => line.startsWith(`helper fsync ${path}`)));
    expect(again).toEqual([]);
    expect({ code: ended.code, output: place.output() }).toEqual({ code: 0, output: await undisturbedOutput({ COUNTER_STEPS: 10 }) });
    expect(storeLeftovers(place.store)).toEqual([]);
  });

  it.each(['atCheckpoint', 'captured'])(
    'F12: process.exit() in the middle of a checkpoint (%s) leaves the image before, and nothing else',
    async (where) => {
      const program = { COUNTER_STEPS: 10, COUNTER_CHECKPOINT_EACH: 2 };
      const place = new CounterPlace(program);
      onTestFinished(() => place.remove());
      const first = await place.run({ COUNTER_EXIT_AT: where, COUNTER_EXIT_STEP: 6 });
      expect(first.code).toBe(7);
      const acknowledged = place.acknowledged();
      expect(acknowledged.map(({ step }) => step)).toEqual([2, 4]);
      const second = await place.run();
      // Whether a commit that had begun got to its end is not for us to say; that it is all or nothing is.
      expect(second.started?.generation).toBeGreaterThanOrEqual(acknowledged.at(-1)?.generation ?? Number.NaN);
      expect({ code: second.code, output: place.output() }).toEqual({ code: 0, output: await undisturbedOutput(program) });
      expect(storeLeftovers(place.store)).toEqual([]);
    },
  );

  it('F13: without memory for the copy of its state, it gets ERR_CKPT_MEMORY from the capture and runs on', async (context) => {
    needTool(context, 'prlimit');
    const program = await commanded();
    const before = await goodCheckpoint(program);
    expect(await program.tell({ do: 'grow', bytes: 2 ** 28 })).toMatchObject({ ok: true });
    const inUse = addressSpace(program.pid);
    execFileSync('prlimit', ['--pid', String(program.pid), `--as=${inUse + 2 ** 26}:`]);
    expect(await program.tell(CHECKPOINT)).toMatchObject({ ok: false, code: 'ERR_CKPT_MEMORY', phase: 'capture' });
    await assertRestorable(program, before.id, 'out of memory');
    expect(temporaryFiles(program)).toEqual([]);
    execFileSync('prlimit', ['--pid', String(program.pid), '--as=unlimited:']);
    const after = await goodCheckpoint(program);
    expect(after.generation).toBeGreaterThan(before.generation);
  });

  it('F13: that has no memory for the copies which its first capture will want starts all the same', async (context) => {
    needTool(context, 'prlimit');
    const said = await new Laboratory().run(`
import { execFileSync } from 'node:child_process';
const warnings = [];
const ckpt = await open({ dir: 'store', logger: { warn: (line) => warnings.push(String(line)), error() {} } });
ckpt.state('s', () => ({ field: new Float64Array(2 ** 25) }));
const inUse = 1024 * Number(/VmSize:\\s+(\\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]);
execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + (inUse + 2 ** 27) + ':']);
await ckpt.start();
await new Promise((resolve) => setTimeout(resolve, 500));
execFileSync('prlimit', ['--pid', String(process.pid), '--as=unlimited:']);
const { image } = await ckpt.checkpoint();
say('end', { warnings, generation: image.generation });
await ckpt.close();
`);
    expect(said['end']).toMatchObject({ warnings: [], generation: 1 });
  });

  it('F13: that dies of a full heap in the capture leaves the image before', async () => {
    const program = { COUNTER_STEPS: 10, COUNTER_CHECKPOINT_EACH: 2 };
    const place = new CounterPlace(program);
    onTestFinished(() => place.remove());
    const first = await place.run({ COUNTER_EXIT_AT: 'heap', COUNTER_EXIT_STEP: 6, NODE_OPTIONS: '--max-old-space-size=60' });
    expect(first.code).not.toBe(0);
    expect(first.signal ?? first.code).not.toBe(1);
    const acknowledged = place.acknowledged();
    expect(acknowledged.at(-1)?.step).toBe(4);
    const second = await place.run();
    expect(second.started?.generation).toBe(acknowledged.at(-1)?.generation);
    expect({ code: second.code, output: place.output() }).toEqual({ code: 0, output: await undisturbedOutput(program) });
    expect(storeLeftovers(place.store)).toEqual([]);
  });

  it('F15: whose store is deleted gets ERR_CKPT_STORE_GONE, runs on, and makes no store in its place', async () => {
    const program = await commanded();
    await goodCheckpoint(program);
    // A heartbeat may come in between: what it has written is not looked for again by retries of rmSync itself.
    for (let tries = 0; existsSync(program.store); tries++) {
      try {
        rmSync(program.store, { recursive: true });
      } catch (error) {
        if (tries === 50) throw error;
      }
    }
    expect(await program.tell(CHECKPOINT)).toMatchObject({ ok: false, code: 'ERR_CKPT_STORE_GONE', phase: 'commit' });
    expect(await program.tell({ do: 'change' })).toMatchObject({ ok: true, count: 1 });
    expect(existsSync(program.store)).toBe(false);
    // The folder alone, made anew, is not the store either.
    mkdirSync(program.store);
    expect(await program.tell(CHECKPOINT)).toMatchObject({ ok: false, code: 'ERR_CKPT_STORE_GONE' });
    expect(readdirSync(program.store)).toEqual([]);
  });

  it('F2: on a file system that is really full gets ERR_CKPT_NO_SPACE, and goes on once there is space', async (context) => {
    const store = join(tmpfs(context, 'size=1m'), 'store');
    const program = await commanded({ store });
    const before = await goodCheckpoint(program);
    await program.tell({ do: 'grow', bytes: 2 ** 21 });
    expect(await program.tell(CHECKPOINT)).toMatchObject({ ok: false, code: 'ERR_CKPT_NO_SPACE', phase: 'persist', cause: 'ENOSPC' });
    await assertRestorable(program, before.id, 'a full disk');
    expect(temporaryFiles(program)).toEqual([]);
    await program.tell({ do: 'grow', bytes: 2 ** 13 });
    const after = await goodCheckpoint(program);
    expect(after.generation).toBeGreaterThan(before.generation);
  });

  it('F9: on a file system that cannot be written is refused at open, before it has made any state', async (context) => {
    const folder = tmpfs(context, 'size=1m');
    mkdirSync(join(folder, 'store'));
    execFileSync('mount', ['-o', 'remount,ro', folder]);
    const place = new CounterPlace({ COUNTER_STEPS: 3 });
    onTestFinished(() => place.remove());
    const ended = await place.run({ CKPT_DIR: join(folder, 'store') });
    expect({ code: ended.code, refused: ended.refused }).toMatchObject({
      code: 1,
      refused: { code: 'ERR_CKPT_STORE_UNUSABLE', phase: 'open', cause: 'EROFS' },
    });
    expect(place.traced()).toEqual([]);
  });

  it('F4: is told of a real fsync that fails, by the system call itself', async (context) => {
    needTool(context, 'strace');
    const probe = await commanded();
    const before = probe.operations().filter(({ op }) => op.startsWith('fsync')).length;
    const each = await fsyncsOfACheckpoint(probe);
    const inject = `inject=fsync:error=EIO:when=${before + each + 1}`;
    const log = join(mkdtempSync(join(tmpdir(), 'ckpt-strace-')), 'log');
    onTestFinished(() => rmSync(log, { force: true }));
    // The first checkpoint works, the fsync of the second one's image fails. Files are synced by one thread of the pool.
    const program = await commanded({
      command: ['strace', '-f', '-qq', '-o', log, '-e', 'trace=fsync', '-e', inject],
      env: { UV_THREADPOOL_SIZE: '1', COMMANDED_PORTS: undefined },
    });
    const good = await goodCheckpoint(program);
    expect(await program.tell(CHECKPOINT)).toMatchObject({ ok: false, code: 'ERR_CKPT_IO', phase: 'persist', cause: 'EIO' });
    await assertRestorable(program, good.id, 'a failed fsync');
    expect(temporaryFiles(program)).toEqual([]);
    await goodCheckpoint(program);
  });
});

async function commanded(options: ConstructorParameters<typeof CommandedProgram>[0] = {}): Promise<CommandedProgram> {
  const program = new CommandedProgram(options);
  onTestFinished(() => program.remove());
  await program.ready();
  return program;
}

async function fsyncsOfACheckpoint(program: CommandedProgram): Promise<number> {
  program.forgetOperations();
  await goodCheckpoint(program);
  // Nothing is deleted yet, so that an answer is the end of it.
  return program.operations().filter(({ op }) => op.startsWith('fsync')).length;
}

/** Bytes of address space of a process. */
function addressSpace(pid: number): number {
  const kilobytes = /^VmSize:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

/** A small file system of its own, gone after the test. */
function tmpfs(context: TestContext, options: string): string {
  needRoot(context);
  needTool(context, 'mount', 'umount');
  const folder = mkdtempSync(join(tmpdir(), 'ckpt-tmpfs-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'ckpt-test', folder]);
  onTestFinished(() => {
    execFileSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}
