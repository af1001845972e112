/** Contents of a gigabyte and more. */
import { appendFileSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contentsOf } from '../../packages/sdk/src/files/content-sections.js';
import { readImage } from '../../packages/sdk/src/image/reader.js';
import { captured, checkpoint, enterFolder, leaveFolder, life, MIB, path } from '../fixtures/contents-life.js';

const GIB = 1024 * MIB;

beforeEach(enterFolder);
afterEach(leaveFolder);

/** Bytes that no extent of zeros stands for, quickly made. */
async function fill(size: number): Promise<void> {
  const piece = Buffer.alloc(MIB);
  const file = await open(path, 'a');
  for (let at = 0; at < size; at += MIB) {
    piece.writeDoubleLE(at + 1, 8);
    await file.write(piece);
  }
  await file.close();
}

describe('the content of a file of more than a gigabyte', () => {
  it('comes back from its sections, whatever lies at their edge', { timeout: 300_000 }, async () => {
    writeFileSync(path, '');
    truncateSync(path, GIB + 10);
    const file = await open(path, 'r+');
    await file.write(Buffer.from('edge'), 0, 4, GIB - 2);
    await file.close();
    const of = await life();
    expect((await checkpoint(of, [captured(1)])).size).toBeLessThan(2 * MIB);
    appendFileSync(path, 'end');
    const next = await checkpoint(of, [captured(1)]);
    expect(next.size).toBeLessThan(12_000);
    const source = await of.store.openImage(next);
    const contents = await readImage(source, (base) => of.store.openImage(base), next);
    await source.close();
    const content = contentsOf(contents, 'file:out');
    const piece = Buffer.alloc(15);
    await content?.read(piece, GIB - 2);
    expect(piece.toString('latin1')).toBe(`edge${'\0'.repeat(8)}end`);
    await expect(content?.read(Buffer.alloc(2), GIB + 12)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_INCOMPLETE' });
  });

  it('costs what was appended, and little memory', { timeout: 300_000 }, async () => {
    writeFileSync(path, '');
    await fill(1.25 * GIB);
    const of = await life();
    const before = process.memoryUsage().rss;
    let most = 0;
    const look = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 20);
    expect((await checkpoint(of, [captured(1)])).size).toBeGreaterThan(1.25 * GIB);
    clearInterval(look);
    expect(most - before).toBeLessThan(256 * MIB);
    await fill(10 * MIB);
    expect((await checkpoint(of, [captured(1)])).size).toBeLessThan(10 * MIB + 150_000);
  });
});
