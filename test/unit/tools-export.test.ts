/** Exporting images: real stores, real files. */
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import { contentsOf } from '../../packages/sdk/src/files/content-sections.js';
import type { FileOptions } from '../../packages/sdk/src/files/contract.js';
import type { ImageContents, ImageRef } from '../../packages/sdk/src/image/contract.js';
import { readImage } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { exportImage } from '../../packages/sdk/src/tools/export-image.js';
import { openImageFile } from '../../packages/sdk/src/tools/image-file.js';
import { captured, checkpoint, enterFolder, folder, leaveFolder, life, MIB, path, type Stored } from '../fixtures/contents-life.js';
import { noBases } from '../fixtures/memory-image.js';

let dir: string;
let output: string;
beforeEach(() => {
  enterFolder();
  dir = join(folder, 'ckpt');
  output = join(folder, 'one.ckpt');
});
afterEach(leaveFolder);

async function readOutput(file = output): Promise<ImageContents> {
  const source = await openImageFile(file, systemFileSystem);
  try {
    expect(await verifyImage(source, noBases)).toEqual([]);
    return await readImage(source, noBases);
  } finally {
    await source.close();
  }
}

async function textOf(image: ImageContents, name = 'out'): Promise<string | undefined> {
  const source = contentsOf(image, `file:${name}`);
  if (source === undefined) return undefined;
  const bytes = Buffer.alloc(source.size);
  await source.read(bytes, 0);
  return bytes.toString('latin1');
}

/** An image that lies in three files. */
async function incremental(): Promise<{ image: Stored; first: ImageRef }> {
  const of = await life();
  writeFileSync(path, randomBytes(3 * MIB));
  const first = await checkpoint(of, [captured(1)], { bulk: 5000 });
  appendFileSync(path, randomBytes(MIB));
  await checkpoint(of, [captured(1)]);
  appendFileSync(path, 'end');
  return { image: await checkpoint(of, [captured(1)], { bulk: 8192 }), first };
}

/** An image that records the file and holds nothing of it. */
async function recorded(options: FileOptions = {}): Promise<Stored> {
  return checkpoint(await life(), [captured(1, { policy: 'append', ...options })]);
}

describe('an exported image', () => {
  it('is the image with everything in it, and the store is as it was', async () => {
    const { image } = await incremental();
    const before = readdirSync(dir, { recursive: true });
    const exported = await exportImage(dir, image.id, { output });
    expect(exported).toMatchObject({
      id: image.id,
      generation: image.generation,
      epoch: image.epoch,
      output,
      size: statSync(output).size,
      files: [],
    });
    expect(readdirSync(dir, { recursive: true })).toEqual(before);
    expect(readdirSync(folder).sort()).toEqual(['ckpt', 'one.ckpt', 'out.bin']);
    const copy = await readOutput();
    expect(await textOf(copy)).toBe(readFileSync(path, 'latin1'));
    expect(copy.manifest.image).toMatchObject({ id: image.id, generation: image.generation, epoch: image.epoch });
    expect(copy.manifest.bases).toEqual([]);
    expect(copy.buffers).toHaveLength(1);
    expect(copy.manifest.files).toMatchObject([{ name: 'out', policy: 'contents', contents: 'file:out' }]);
  });

  it('is the newest of the lineage when none is named', async () => {
    const { image } = await incremental();
    expect((await exportImage(dir, undefined, { output })).id).toBe(image.id);
    expect((await exportImage(dir, 'latest', { output, replace: true })).id).toBe(image.id);
    await expect(exportImage(dir, 'nothing', { output: join(folder, 'two') })).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_FOUND' });
    await expect(exportImage(join(folder, 'none'), undefined, { output: join(folder, 'two') })).rejects.toMatchObject({
      code: 'ERR_CKPT_NO_IMAGE',
    });
  });

  it('takes the place of another file only when that is asked for', async () => {
    await incremental();
    writeFileSync(output, 'precious');
    await expect(exportImage(dir, undefined, { output })).rejects.toMatchObject({ code: 'ERR_CKPT_EXISTS' });
    expect(readFileSync(output, 'utf8')).toBe('precious');
    await exportImage(dir, undefined, { output, replace: true });
    expect((await readOutput()).manifest.bases).toEqual([]);
    expect(statSync(output).mode & 0o777).toBe(0o600);
  });

  it('F23, F26: is not made of a damaged image, nor of one whose base is gone, and nothing is left of the attempt', async () => {
    const { image, first } = await incremental();
    const file = (ref: ImageRef): string =>
      join(dir, 'images', readdirSync(join(dir, 'images')).find((name) => name.includes(ref.id)) ?? '');
    const intact = readFileSync(file(first));
    const flipped = Buffer.from(intact);
    flipped[MIB] = (flipped[MIB] ?? 0) ^ 1;
    writeFileSync(file(first), flipped);
    await expect(exportImage(dir, image.id, { output })).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
    rmSync(file(first));
    await expect(exportImage(dir, image.id, { output })).rejects.toMatchObject({ code: 'ERR_CKPT_BASE_MISSING' });
    expect(readdirSync(folder).sort()).toEqual(['ckpt', 'out.bin']);
  });

  it('is not made when the caller ends it, and nothing is left of the attempt', async () => {
    await incremental();
    const signal = AbortSignal.abort();
    await expect(exportImage(dir, undefined, { output, signal })).rejects.toMatchObject({ code: 'ERR_CKPT_ABORTED' });
    expect(existsSync(output)).toBe(false);
    expect(readdirSync(folder).sort()).toEqual(['ckpt', 'out.bin']);
  });

  it('refuses options that it does not know, and says which', async () => {
    await expect(exportImage(dir, undefined, { output: '' })).rejects.toThrow(/options\.output/);
    await expect(exportImage(dir, undefined, JSON.parse(`{"output":"x","withFile":true}`))).rejects.toThrow(TypeError);
  });
});

describe('an exported image with files', () => {
  const roots = (): readonly string[] => [folder];

  it('holds what the image recorded of them, however much was written since', async () => {
    writeFileSync(path, 'one\ntwo\n');
    const image = await recorded();
    appendFileSync(path, 'three\n');
    const exported = await exportImage(dir, image.id, { output, withFiles: true, roots: roots() });
    expect(exported.files).toEqual([{ name: 'out', path, size: 8 }]);
    const copy = await readOutput();
    expect(await textOf(copy)).toBe('one\ntwo\n');
    expect(copy.manifest.files).toMatchObject([{ name: 'out', policy: 'append', contents: 'file:out', size: 8 }]);
  });

  it('keeps the content that the image holds already, and leaves out what is ignored or volatile and not there', async () => {
    const { image } = await incremental();
    const content = readFileSync(path, 'latin1');
    rmSync(path);
    await exportImage(dir, image.id, { output, withFiles: true, roots: roots() });
    expect(await textOf(await readOutput())).toBe(content);
    writeFileSync(path, 'x');
    rmSync(dir, { recursive: true });
    const volatile = await recorded({ policy: 'volatile' });
    rmSync(path);
    const exported = await exportImage(dir, volatile.id, { output, withFiles: true, roots: roots(), replace: true });
    expect(exported).toMatchObject({ files: [], leftOut: [{ name: 'out', path }] });
    expect((await readOutput()).manifest.files[0]).not.toHaveProperty('contents');
    writeFileSync(path, 'y and more');
    await exportImage(dir, volatile.id, { output, withFiles: true, roots: roots(), replace: true });
    expect(await textOf(await readOutput())).toBe('y');
  });

  it('F40, F41: is not made of files that differ from what was recorded', async () => {
    const attempt = (image: ImageRef): Promise<unknown> => exportImage(dir, image.id, { output, withFiles: true, roots: roots() });
    writeFileSync(path, 'one\ntwo\n');
    const image = await recorded();
    writeFileSync(path, 'one\nTWO\nthree');
    await expect(attempt(image)).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_CHANGED' });
    truncateSync(path, 7);
    await expect(attempt(image)).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_MISSING' });
    rmSync(path);
    await expect(attempt(image)).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_MISSING' });
    rmSync(dir, { recursive: true });
    writeFileSync(path, 'read only');
    const reader = await recorded({ flags: 'r', policy: 'unchanged' });
    appendFileSync(path, '!');
    await expect(attempt(reader)).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_CHANGED' });
    expect(readdirSync(folder).sort()).toEqual(['ckpt', 'out.bin']);
  });

  it('F42, F43: reads nothing outside the given folders, and nothing through a link', async () => {
    writeFileSync(path, 'secret');
    const image = await recorded();
    const inner = join(folder, 'inner');
    mkdirSync(inner);
    const attempt = (root: string): Promise<unknown> => exportImage(dir, image.id, { output, withFiles: true, roots: [root] });
    await expect(attempt(inner)).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_UNSAFE' });
    await expect(exportImage(dir, image.id, { output, withFiles: true })).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_UNSAFE' });
    writeFileSync(join(inner, 'other'), 'secret');
    rmSync(path);
    symlinkSync(join(inner, 'other'), path);
    await expect(attempt(folder)).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_UNSAFE' });
    expect(existsSync(output)).toBe(false);
  });
});
