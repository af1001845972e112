import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { PromptFileSystem } from '../../packages/sdk/src/base/prompt-file-system.js';
import { loadPorts } from '../../packages/sdk/src/base/system-ports.js';
import { openDirectoryStore } from '../../packages/sdk/src/store/directory.js';
import { deadOwner } from '../fixtures/store-lives.js';
import { storeConformance } from './store.js';

const DEAD = deadOwner();

for (const prompt of [false, true]) {
  storeConformance(prompt ? 'the directory store, as it writes small images' : 'the directory store', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ckpt-store-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const system = await loadPorts(undefined);
    const fileSystem = new PromptFileSystem(false, { begin() {}, end() {} });
    fileSystem.prompt = prompt;
    const ports = prompt ? { ...system, fileSystem } : system;
    const root = join(folder, 'ckpt');
    return { live: () => openDirectoryStore(root, ports), dead: () => openDirectoryStore(root, ports, { owner: DEAD }) };
  });
}
