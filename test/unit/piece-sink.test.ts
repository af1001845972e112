import { constants, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FileSystem } from '../../packages/sdk/src/base/ports.js';
import { systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import { createDurable } from '../../packages/sdk/src/store/durable.js';
import { pattern } from '../fixtures/memory-image.js';

const O_DIRECT = constants.O_DIRECT ?? 0;

function place(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ckpt-pieces-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'file');
}

/** The real file system, where direct writing goes as `direct` says; counts direct writes. */
function fileSystem(direct: (write: () => Promise<number>) => Promise<number>, refuseOpen = false): FileSystem & { direct: number } {
  const counted = {
    ...systemFileSystem,
    direct: 0,
    open: async (path: string, flags: number, mode?: number) => {
      const isDirect = O_DIRECT !== 0 && (flags & O_DIRECT) !== 0;
      if (isDirect && refuseOpen) throw Object.assign(new Error('EINVAL'), { code: 'EINVAL' });
      const file = await systemFileSystem.open(path, isDirect ? flags & ~O_DIRECT : flags, mode);
      if (!isDirect) return file;
      const write: typeof file.write = (source, offset, length, position) => {
        counted.direct++;
        return direct(() => file.write(source, offset, length, position));
      };
      return { ...file, write };
    },
  };
  return counted;
}

const BYTES = pattern(11 * 2 ** 20 + 777, 4);

async function write(fs: FileSystem, path: string): Promise<number> {
  const { size } = await createDurable(fs, path, async (sink) => {
    for (let at = 0; at < BYTES.length; at += 700_001) {
      const chunk = BYTES.slice(at, at + 700_001);
      await sink.write(chunk);
      chunk.fill(0); // it may be used again at once
    }
  });
  return size;
}

describe('a large file', () => {
  it('is written in pieces past the page cache, whole and in order', async () => {
    const path = place();
    expect(await write(systemFileSystem, path)).toBe(BYTES.length);
    expect(Buffer.compare(readFileSync(path), BYTES)).toBe(0);
  });

  it.runIf(O_DIRECT !== 0)(
    'is the same where the file system refuses direct writing, at the open or at a write, or writes short',
    async () => {
      const refusing = fileSystem((go) => go(), true);
      const failing = fileSystem(async () => {
        throw Object.assign(new Error('EINVAL'), { code: 'EINVAL' });
      });
      let short: FileSystem & { direct: number };
      const shortening = (): FileSystem & { direct: number } => {
        short = fileSystem((go) => go().then((written) => Math.min(written, 12_345)));
        return short;
      };
      for (const fs of [refusing, failing, shortening()]) {
        const path = place();
        expect(await write(fs, path)).toBe(BYTES.length);
        expect(Buffer.compare(readFileSync(path), BYTES)).toBe(0);
      }
      expect([refusing.direct, failing.direct > 0]).toEqual([0, true]);
    },
  );

  it.runIf(O_DIRECT !== 0)('F3: is given up when a direct write fails, and nothing is left of it', async () => {
    const fs = fileSystem(async () => {
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    });
    const path = place();
    await expect(write(fs, path)).rejects.toMatchObject({ code: 'ERR_CKPT_IO' });
    expect(fs.direct).toBeGreaterThan(0);
    expect(() => readFileSync(path)).toThrow('ENOENT');
  });
});
