/** Real processes on one store: killed, stopped, restarted, in other pid namespaces. */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { loadPorts } from '../../packages/sdk/src/base/system-ports.js';
import type { EpochRecord, Store } from '../../packages/sdk/src/store/contract.js';
import { openDirectoryStore } from '../../packages/sdk/src/store/directory.js';
import { epochPath, layout } from '../../packages/sdk/src/store/layout.js';
import { isAlive } from '../../packages/sdk/src/store/owner.js';
import { APP, asSource, claimOptions, commit, damagesOf, silent } from '../fixtures/store-lives.js';
import { buildForChild, type Said, type StoreProcess, startStoreProcess } from '../fixtures/store-process.js';
import { needRoot, needTool } from '../fixtures/tools.js';

const FAULTY_PORTS = pathToFileURL(join(import.meta.dirname, '../faults/ports.mjs')).href;
let built: Awaited<ReturnType<typeof buildForChild>>;

beforeAll(async () => {
  built = await buildForChild();
});
afterAll(() => built.remove());

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ckpt-processes-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

function start(root: string, env: Record<string, string> = {}, wrap: readonly string[] = []): StoreProcess {
  const started = startStoreProcess(built.folder, root, env, wrap);
  onTestFinished(() => void started.process.kill('SIGKILL'));
  return started;
}

const hold = { CKPT_TEST_HOLD: '1', CKPT_TEST_IMAGES: '1' };
const claimed = (line: Said): boolean => line.claimed !== undefined;

async function storeAt(root: string, options?: Parameters<typeof openDirectoryStore>[2]): Promise<Store> {
  return openDirectoryStore(root, await loadPorts(undefined), options);
}

function readClaimFile(root: string, epoch: number): EpochRecord {
  return JSON.parse(readFileSync(epochPath(layout(root), epoch, 'claim'), 'utf8'));
}

function rewriteClaim(root: string, epoch: number, change: (record: EpochRecord) => EpochRecord): void {
  writeFileSync(epochPath(layout(root), epoch, 'claim'), JSON.stringify(change(readClaimFile(root, epoch))));
}

describe('a process that owns a store', () => {
  it('F10: killed before and after each of its changes to the disk, it leaves the old image or the new one', async () => {
    const base = await folder();
    const trace = join(base, 'trace');
    await start(join(base, 'traced'), { CKPT_TEST_PORTS: FAULTY_PORTS, CKPT_FAULT_TRACE: trace, CKPT_TEST_IMAGES: '2' }).ended;
    const lines = readFileSync(trace, 'utf8').trim().split('\n');
    // Reads change nothing, and most of what opens is read; every third of the rest is enough beside the loop in one process.
    const changes = lines.flatMap((line, index) => (/ (write|fsync|link|unlink|mkdir|fsync-directory) /.test(line) ? [index + 1] : []));
    const chosen = changes.filter((_, index) => index % 3 === 0);
    expect(chosen.length).toBeGreaterThan(15);
    for (const [index, nth] of chosen.entries()) {
      const root = join(base, String(nth));
      const log = `${root}.log`;
      const fault = JSON.stringify({ nth, action: index % 2 === 0 ? 'kill-before' : 'kill-after' });
      const child = start(root, { CKPT_TEST_PORTS: FAULTY_PORTS, CKPT_FAULT: fault, CKPT_FAULT_LOG: log, CKPT_TEST_IMAGES: '2' });
      expect(await child.ended).toBe('SIGKILL');
      const what = readFileSync(log, 'utf8');
      const acknowledged = child.said.flatMap((line) => line.acknowledged ?? []);
      const store = await storeAt(root);
      await store.open(APP, silent);
      const next = await store.claim(claimOptions());
      const { candidates } = await store.lineage();
      for (const image of acknowledged)
        expect(
          candidates.map(({ id }) => id),
          what,
        ).toContain(image.id);
      for (const candidate of candidates) expect(await damagesOf(store, candidate), what).toBe(0);
      expect(readdirSync(join(root, 'tmp')), what).toEqual([]);
      await next.release();
    }
  }, 120_000);

  it('F49: is not joined by a second one, in whatever process', async () => {
    const root = join(await folder(), 'ckpt');
    const owner = start(root, hold);
    const { pid } = await owner.until(claimed);
    const second = start(root);
    expect(await second.until((line) => line.error !== undefined)).toMatchObject({ error: 'ERR_CKPT_LOCKED' });
    const store = await storeAt(root);
    expect(await store.owner()).toMatchObject({ alive: true, record: { owner: { pid } } });
    await expect(store.claim(claimOptions({ waitMs: 250 }))).rejects.toMatchObject({ code: 'ERR_CKPT_LOCKED' });
  });

  it('F51: that was killed is followed at once', async () => {
    const root = join(await folder(), 'ckpt');
    const owner = start(root, hold);
    await owner.until(claimed);
    owner.process.kill('SIGKILL');
    await owner.ended;
    const store = await storeAt(root);
    expect((await store.owner())?.alive).toBe(false);
    expect((await store.claim(claimOptions())).epoch).toBe(2);
  });

  it('is waited for while it lives, and its successor goes on when it ends', async () => {
    const root = join(await folder(), 'ckpt');
    const owner = start(root, hold);
    const { pid } = await owner.until(claimed);
    const waited: number[] = [];
    const onWaiting = (record: EpochRecord): void => {
      waited.push(record.owner.pid);
      owner.process.kill('SIGKILL');
    };
    expect((await (await storeAt(root)).claim(claimOptions({ waitMs: 30_000, onWaiting }))).epoch).toBe(2);
    expect(waited).toEqual([pid]);
  });

  it('F50: that was stopped counts as alive, is ended by a take-over, and only then succeeded', async () => {
    const root = join(await folder(), 'ckpt');
    const owner = start(root, hold);
    const { pid = 0 } = await owner.until(claimed);
    process.kill(pid, 'SIGSTOP');
    const store = await storeAt(root);
    await expect(store.claim(claimOptions())).rejects.toMatchObject({ code: 'ERR_CKPT_LOCKED' });
    expect((await store.claim(claimOptions({ takeOver: true }))).epoch).toBe(2);
    expect(await owner.ended).toBe('SIGKILL');
  });

  it('F50: that wakes after its store was claimed by another is fenced, and its image is never chosen', async () => {
    const root = join(await folder(), 'ckpt');
    const log = join(root, '..', 'log');
    // Stopped right before the link of its second image: everything is written, nothing is published.
    const fault = JSON.stringify({ op: 'link', path: '/images/', nth: 2, action: 'stop-before' });
    const owner = start(root, {
      ...hold,
      CKPT_TEST_BOOT: 'another',
      CKPT_TEST_PORTS: FAULTY_PORTS,
      CKPT_FAULT: fault,
      CKPT_FAULT_LOG: log,
    });
    const { acknowledged: first } = await owner.until((line) => line.acknowledged !== undefined);
    const { pid = 0 } = await owner.until(claimed);
    if (first === undefined) throw new Error('nothing was acknowledged');
    owner.process.stdin?.write('\n');
    await stopped(pid);
    expect(readFileSync(log, 'utf8')).toContain('link');
    // Of another host, by its record, and its heartbeat stands still.
    const store = await storeAt(root, { heartbeatSilenceMs: 300 });
    const next = await store.claim(claimOptions({ waitMs: 30_000 }));
    await next.seal(asSource(first));
    process.kill(pid, 'SIGCONT');
    expect(await owner.until((line) => line.error !== undefined)).toMatchObject({ error: 'ERR_CKPT_FENCED' });
    const newest = await commit(next, next.run.id, 2);
    expect((await store.lineage()).candidates.map(({ id }) => id)).toEqual([newest.id, first.id]);
  });

  it('F48: a recorded pid that belongs to another program is neither waited for nor signalled', async () => {
    const root = join(await folder(), 'ckpt');
    await start(root, { CKPT_TEST_IMAGES: '1' }).ended;
    const other = spawn('sleep', ['60']);
    onTestFinished(() => void other.kill('SIGKILL'));
    rewriteClaim(root, 1, (record) => ({ ...record, owner: { ...record.owner, pid: other.pid ?? 0 } }));
    const store = await storeAt(root);
    expect((await store.claim(claimOptions({ takeOver: true }))).epoch).toBe(2);
    expect(other.exitCode).toBeNull();
    expect(other.signalCode).toBeNull();
    expect(existsSync(`/proc/${other.pid}`)).toBe(true);
  });

  it('F48, F64: a recorded child whose pid belongs to another program is neither waited for nor signalled', async () => {
    const root = join(await folder(), 'ckpt');
    const store = await storeAt(root);
    await store.open(APP, silent);
    const life = await store.claim(claimOptions());
    const [other, child] = [spawn('sleep', ['60']), spawn('sleep', ['60'])];
    onTestFinished(() => void [other, child].map((one) => one.kill('SIGKILL')));
    await life.child(child.pid ?? 0);
    await life.release();
    await expect(store.claim(claimOptions())).rejects.toMatchObject({
      code: 'ERR_CKPT_LOCKED',
      context: { owner: { owner: { pid: child.pid } } },
    });
    const [record = ''] = readdirSync(join(root, 'epochs')).filter((name) => name.includes('.child-'));
    const path = join(root, 'epochs', record);
    const { owner } = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ owner: { ...owner, pid: other.pid, startTime: '1' } }));
    expect((await store.claim(claimOptions({ takeOver: true }))).epoch).toBe(2);
    expect(other.signalCode).toBeNull();
    expect(existsSync(`/proc/${other.pid}`)).toBe(true);
    expect(existsSync(path)).toBe(false);
  });

  it('F48: a take-over never ends the process that asks for it', async () => {
    const root = join(await folder(), 'ckpt');
    const store = await storeAt(root);
    await store.open(APP, silent);
    await store.claim(claimOptions());
    await expect(store.claim(claimOptions({ takeOver: true }))).rejects.toMatchObject({ code: 'ERR_CKPT_LOCKED' });
  });

  it('F51: of another boot or host is followed once its heartbeat has stood still, and not before', async () => {
    const root = join(await folder(), 'ckpt');
    const owner = start(root, { ...hold, CKPT_TEST_BOOT: 'before the reboot' });
    await owner.until(claimed);
    const store = await storeAt(root, { heartbeatSilenceMs: 400 });
    await expect(store.claim(claimOptions({ waitMs: 1_500 }))).rejects.toMatchObject({ code: 'ERR_CKPT_LOCKED' });
    await expect(store.claim(claimOptions({ waitMs: 1_500, takeOver: true }))).rejects.toMatchObject({ code: 'ERR_CKPT_LOCKED' });
    owner.process.kill('SIGKILL');
    await owner.ended;
    expect((await store.claim(claimOptions({ waitMs: 30_000 }))).epoch).toBe(2);
  });

  it('a zombie is dead: its store is free although its pid is still in use', async (context) => {
    context.skip(process.platform !== 'linux', 'zombies are looked at through /proc');
    needTool(context, 'sh');
    const root = join(await folder(), 'ckpt');
    // The shell starts the child in the background, becomes `sleep` and never waits for it.
    const owner = start(root, hold, ['sh', '-c', '"$@" & exec sleep 60', 'sh']);
    const { pid = 0 } = await owner.until(claimed);
    process.kill(pid, 'SIGKILL');
    await state(pid, 'Z');
    const store = await storeAt(root);
    expect((await store.claim(claimOptions())).epoch).toBe(2);
  });
});

describe('a container', () => {
  const NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];

  function needNamespaces(context: TestContext): void {
    needRoot(context);
    needTool(context, 'unshare');
  }

  it('F79: restarted with pid 1 again is not taken for the old one, and not locked for ever', async (context) => {
    needNamespaces(context);
    const root = join(await folder(), 'ckpt');
    const first = start(root, hold, NAMESPACE);
    await first.until(claimed);
    first.process.kill('SIGKILL');
    await first.ended;
    expect(readClaimFile(root, 1).owner.pid).toBe(1);
    const again = start(root, { ...hold, CKPT_TEST_SILENCE: '500', CKPT_TEST_WAIT: '30000' }, NAMESPACE);
    expect(await again.until(claimed)).toMatchObject({ claimed: 2, pid: 1 });
  });

  it('F79: does not take a live owner in another container with its own pid for dead', async (context) => {
    needNamespaces(context);
    const root = join(await folder(), 'ckpt');
    const first = start(root, hold, NAMESPACE);
    await first.until(claimed);
    const second = start(root, { CKPT_TEST_SILENCE: '500', CKPT_TEST_WAIT: '2000' }, NAMESPACE);
    expect(await second.until((line) => line.error !== undefined)).toMatchObject({ error: 'ERR_CKPT_LOCKED' });
    expect(isAlive(readClaimFile(root, 1).owner)).toBe(false);
    expect((await (await storeAt(root)).owner())?.alive).toBe(true);
  });
});

describe('a copy of a store', () => {
  it('F75: works while the original runs, warns, and touches nothing of the original', async () => {
    const base = await folder();
    const owner = start(join(base, 'original'), hold);
    const { pid = 0 } = await owner.until(claimed);
    cpSync(join(base, 'original'), join(base, 'copy'), { recursive: true });
    const warnings: string[] = [];
    const store = await storeAt(join(base, 'copy'));
    expect((await store.owner())?.alive).toBe(false);
    const next = await store.claim(claimOptions({ takeOver: true, warn: (message) => warnings.push(message) }));
    expect(warnings).toEqual([expect.stringContaining('copy')]);
    expect(next.epoch).toBe(2);
    owner.process.stdin?.write('\n');
    await owner.until((line) => line.acknowledged?.generation === 2);
    expect(existsSync(`/proc/${pid}`) || process.platform !== 'linux').toBe(true);
  });

  it('F73: whose images are not there is not begun anew, and its retention deletes nothing', async () => {
    const root = join(await folder(), 'ckpt');
    await start(root, { CKPT_TEST_IMAGES: '2' }).ended;
    for (const file of readdirSync(join(root, 'images'))) rmSync(join(root, 'images', file));
    const store = await storeAt(root);
    const warnings: string[] = [];
    await store.open(APP, (message) => warnings.push(message));
    const next = await store.claim(claimOptions());
    expect(await store.lineage()).toMatchObject({ acknowledged: true, candidates: [] });
    expect(await store.prune({ keep: 1 }, next.epoch)).toEqual([]);
    expect(warnings).toHaveLength(1);
    expect(readdirSync(join(root, 'names'))).toEqual(['g1', 'g2']);
  });
});

/** Looks until the kernel says that the process is in that state. */
async function state(pid: number, wanted: string): Promise<void> {
  for (;;) {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    if (text.slice(text.lastIndexOf(')') + 2).startsWith(wanted)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const stopped = (pid: number): Promise<void> => state(pid, 'T');
