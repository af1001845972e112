/** Looking inside images: real stores and golden images. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readImage } from '../../packages/sdk/src/tools/read-image.js';
import { makeStore } from '../fixtures/store-maker.js';

const golden = (name: string): string => join(import.meta.dirname, '../compat/golden', name);

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ckpt-read-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('readImage', () => {
  it('opens an image of a store by its name and gives the value of a section', async () => {
    const { id } = await (await (await makeStore(dir)).begin()).image({ names: ['here'] });
    const image = await readImage('here', { dir });
    try {
      expect(image).toMatchObject({ id, names: ['here'], sections: [{ name: 'sim', kind: 'state', encoding: 'tree-1', bulk: 8192 }] });
      expect(await image.section('sim')).toEqual({});
      await expect(image.section('none')).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_FOUND' });
    } finally {
      await image.close();
    }
  });

  it('opens a file outside of any store and decodes every section of it', async () => {
    const image = await readImage(golden('values.ckpt'), { dir });
    try {
      expect(image.sections.length).toBeGreaterThan(0);
      for (const { name, member } of image.sections) await image.section(name, member);
    } finally {
      await image.close();
    }
  });

  it('F23: refuses a flipped bit in the section that is asked for, and reads the others', async () => {
    const made = await (await makeStore(dir)).begin();
    const { id, path } = await made.image({ sections: ['sim', 'other'] });
    const bytes = readFileSync(path);
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const image = await readImage(id, { dir });
    try {
      expect(await image.section('other')).toEqual({});
      await expect(image.section('sim')).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
    } finally {
      await image.close();
    }
  });

  it('F24, F26: refuses a cut image at once, and a file whose base is not in it when that is needed', async () => {
    const cut = join(dir, 'cut.ckpt');
    writeFileSync(cut, readFileSync(golden('values.ckpt')).subarray(0, -9));
    await expect(readImage(cut)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_CKPT_IMAGE_(INCOMPLETE|CORRUPT)$/) });
    const image = await readImage(golden('incremental.ckpt'));
    const [first] = image.sections;
    const all = image.sections.map(({ name, member }) => image.section(name, member));
    expect((await Promise.allSettled(all)).filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { code: 'ERR_CKPT_BASE_MISSING' } },
    ]);
    expect(first).toBeDefined();
    await image.close();
  });
});
