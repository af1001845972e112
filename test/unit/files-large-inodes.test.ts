/** Real files on a file system that numbers them beyond 2^53, as overlays and networks do. */
import { appendFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import type { FileStat, FileSystem, OpenFile } from '../../packages/sdk/src/base/ports.js';
import { systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import { parseFileRecord } from '../../packages/sdk/src/files/record.js';
import type { ImageRef } from '../../packages/sdk/src/image/contract.js';
import { FilesPlace } from '../fixtures/files-place.js';

const SOURCE: ImageRef = { id: 'a'.repeat(32), epoch: 1, generation: 1 };

/** As of an overlay, which marks its own by the highest bits: files made one after the other get the same double. */
const large = (ino: number): number => 2 ** 63 + ino;
const numbered = (stat: FileStat): FileStat => Object.assign(stat, { ino: large(stat.ino) });
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
  const files = ['one', 'two'].map((name) => at.declare(name));
  for (const { name } of files) at.write(name, 'recorded\n');
  const records = await Promise.all(
    files.map(async (declaration) => {
      const { identity, ...rest } = await at.record(declaration);
      return parseFileRecord({ ...rest, identity: { ...identity, ino: large(identity.ino) } }, 'the image');
    }),
  );
  expect(records.map(({ identity }) => Number.isSafeInteger(identity.ino))).toEqual([false, false]);
  for (const { path } of files) appendFileSync(path, 'and more\n');
  const first = await at.life({ source: SOURCE, fileSystem });
  await (await first.start(records, files)).done();
  expect(files.map(({ name }) => at.text(name))).toEqual(['recorded\n', 'recorded\n']);
  for (const [index, file] of files.entries()) await first.append(file, 'again\n', records[index]);
  // From here on the journal is read.
  const second = await at.life({ source: SOURCE, fileSystem });
  await (await second.start(records, files)).done();
  expect({ texts: files.map(({ name }) => at.text(name)), tails: Object.values(at.tails()).sort() }).toEqual({
    texts: ['recorded\n', 'recorded\n'],
    tails: ['again\n', 'again\n', 'and more\n', 'and more\n'],
  });
});
