/** Power loss at every moment of open, claim, seal and commit: all that was not fsynced may be gone, torn or reordered. */
import { mkdirSync, realpathSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ImageRef } from '../../packages/sdk/src/image/contract.js';
import { openDirectoryStore } from '../../packages/sdk/src/store/directory.js';
import type { Operation } from '../faults/fault-file-system.mjs';
import { type DiskState, PowerLoss } from '../faults/power-loss.js';
import { recordingFileSystem } from '../faults/recording-file-system.js';
import { APP, asSource, begin, commit, damagesOf, deadOwner, silent } from '../fixtures/store-lives.js';

const DEAD = deadOwner();
let folder = '';

beforeAll(async () => {
  folder = realpathSync(await mkdtemp(join(tmpdir(), 'ckpt-power-')));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Acknowledged extends ImageRef {
  readonly name: string | undefined;
  /** How many operations had been done by then. */
  readonly after: number;
}

/** Two lives with two images each, the second started from the first one's newest. */
async function record(): Promise<{ root: string; operations: readonly Operation[]; acknowledged: Acknowledged[] }> {
  const root = join(folder, 'recorded');
  mkdirSync(root, { mode: 0o700 });
  const { ports, operations } = recordingFileSystem();
  const acknowledged: Acknowledged[] = [];
  let source: ImageRef | undefined;
  let generation = 0;
  for (const name of ['first', 'second']) {
    const store = openDirectoryStore(root, ports, { owner: DEAD });
    const incarnation = await begin(store, source && asSource(source));
    for (const given of [undefined, name]) {
      generation += 1;
      const bytes = new Uint8Array(600).fill(generation);
      source = await commit(incarnation, incarnation.run.id, generation, { bytes, names: given === undefined ? [] : [given] });
      acknowledged.push({ ...source, name: given, after: operations.length });
    }
    await store.prune({ keep: 2 }, incarnation.epoch);
    await incarnation.release();
  }
  return { root, operations, acknowledged };
}

describe('power loss', () => {
  it('F11: whatever of the unsynced is lost, torn or reordered, the newest acknowledged image is there and whole', async () => {
    const { root, operations, acknowledged } = await record();
    const disk = new PowerLoss(root);
    const seen = new Set<string>();
    for (const [index, operation] of operations.entries()) {
      disk.apply(operation);
      const sure = acknowledged.filter(({ after }) => after <= index + 1);
      for (const state of disk.states()) {
        const key = `${sure.length}\n${state.key}`;
        if (seen.has(key)) continue;
        seen.add(key);
        await expectRestartable(
          state,
          sure,
          `operation ${index} (${operation.name} ${operation.path.slice(root.length)}), ${state.describe}`,
        );
      }
    }
    expect(seen.size).toBeGreaterThan(150);
  }, 240_000);

  async function expectRestartable(state: DiskState, sure: readonly Acknowledged[], what: string): Promise<void> {
    const root = await mkdtemp(join(folder, 'state-'));
    state.build(root);
    const store = openDirectoryStore(root, recordingFileSystem().ports);
    await store.open(APP, silent).catch((error: unknown) => expect.fail(`${what}: ${String(error)}`));
    await store.repairNames();
    const { candidates, acknowledged } = await store.lineage();
    let newest = 0;
    for (const candidate of candidates) {
      if ((await damagesOf(store, candidate)) > 0) continue;
      newest = candidate.generation;
      break;
    }
    const promised = sure.at(-1)?.generation ?? 0;
    expect(newest, what).toBeGreaterThanOrEqual(promised);
    if (acknowledged) expect(newest, what).toBeGreaterThan(0);
    for (const { name, id } of sure) if (name !== undefined) expect((await store.resolve(name)).id, what).toBe(id);
    await rm(root, { recursive: true });
  }
});
