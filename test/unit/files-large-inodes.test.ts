/** Real files on a file system that numbers them beyond 2^53, as overlays and networks do. */
import { appendFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import type { FileStat, FileSystem, OpenFile } from '../../packages/sdk/src/base/ports.js';
import { systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import { parseFileRecord } from '../../packages/sdk/src/files/record.js';
import type { ImageRef } from '../../packages/sdk/src/image/contract.js';
import { FilesPlace } from '../fixtures/files-place.js';

const SOURCE: ImageRef = { id: 'a'.repeat(32), epoch: 1, generation: 1 };

/** The same bits, further up. */
const numbered = (stat: FileStat): FileStat => Object.assign(stat, { ino: stat.ino * 2 ** 45 });
const opened = (file: OpenFile): OpenFile =>
  new Proxy(file, {
    get(target, key) {
      if (key === 'stat') return async () => numbered(await target.stat());
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
const fileSystem: FileSystem = {
  ...systemFileSystem,
  lstat: async (path) => numbered(await systemFileSystem.lstat(path)),
  open: async (...args) => opened(await systemFileSystem.open(...args)),
};

it('F39, F65: files whose inodes are beyond 2^53 are recorded, cut, put back and opened again', async () => {
  const at = new FilesPlace();
  onTestFinished(() => at.remove());
  at.write('out', 'recorded\n');
  const declaration = at.declare('out');
  const { identity, ...rest } = await at.record(declaration);
  const record = parseFileRecord({ ...rest, identity: { ...identity, ino: identity.ino * 2 ** 45 } }, 'one');
  expect(Number.isSafeInteger(record.identity.ino)).toBe(false);
  appendFileSync(at.path('out'), 'and more\n');
  const first = await at.life({ source: SOURCE, fileSystem });
  await (await first.start([record], [declaration])).done();
  expect(at.text('out')).toBe('recorded\n');
  await first.append(declaration, 'again\n', record);
  // From here on the journal is read.
  const second = await at.life({ source: SOURCE, fileSystem });
  await (await second.start([record], [declaration])).done();
  expect({ text: at.text('out'), tails: Object.values(at.tails()).sort() }).toEqual({
    text: 'recorded\n',
    tails: ['again\n', 'and more\n'],
  });
});
