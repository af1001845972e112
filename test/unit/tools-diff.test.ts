/** diffImages on a store: how images are named, and what is refused. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diffImages } from '../../packages/sdk/src/tools/diff-images.js';
import { makeStore } from '../fixtures/store-maker.js';

const golden = (name: string): string => join(import.meta.dirname, '../compat/golden', name);

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ckpt-diff-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('diffImages', () => {
  it('compares images of a store by name and id, and files', async () => {
    const made = await (await makeStore(dir)).begin();
    const first = await made.image({ names: ['first'], sections: ['sim', 'old'] });
    const second = await made.image({ sections: ['sim', 'new'] });
    const { a, b, differences } = await diffImages('first', second.id, { dir });
    expect([a.id, b.id]).toEqual([first.id, second.id]);
    expect(differences.map(({ mark, path }) => `${mark} ${path}`)).toEqual(['- old', '+ new']);
    expect(await diffImages(first.path, 'first', { dir })).toMatchObject({ same: true, differences: [], bytes: { read: 0 } });
  });

  it('needs the base of an image only for what differs', async () => {
    expect((await diffImages(golden('incremental.ckpt'), golden('incremental.ckpt'))).same).toBe(true);
    await expect(diffImages(golden('incremental.ckpt'), golden('values.ckpt'))).resolves.toMatchObject({ same: false });
  });

  it.each<[string, readonly unknown[]]>([
    ['no second image', ['x']],
    ['a limit below zero', ['x', 'y', { limit: -1 }]],
    ['an option that there is not', ['x', 'y', { limits: 1 }]],
  ])('refuses %s at the call', async (_, args) => {
    await expect(Reflect.apply(diffImages, undefined, args)).rejects.toThrow(TypeError);
  });

  it('says that an image is not there', async () => {
    await (await (await makeStore(dir)).begin()).image({ names: ['first'] });
    await expect(diffImages('first', 'second', { dir })).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_FOUND' });
  });
});
