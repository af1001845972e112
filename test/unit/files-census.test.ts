/** The census of what lies under the rules for libraries: which one counts, where its files lie now, what is planned by it. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cleanCensuses, countingCensus, takeCensus, withdrawCensus } from '../../packages/sdk/src/files/census.js';
import { planLibrary } from '../../packages/sdk/src/files/plan-library.js';
import type { FileRule } from '../../packages/sdk/src/files/rules.js';
import { FilesPlace, type Life, type LifeWish } from '../fixtures/files-place.js';

const RULES: readonly FileRule[] = [
  { pattern: '*.tmp', policy: 'ignore' },
  { pattern: '*', policy: 'append' },
];

let place: FilesPlace;
beforeEach(() => {
  place = new FilesPlace();
});
afterEach(() => place.remove());

/** A life that counts these files. */
async function counted(files: readonly string[], wish: LifeWish = {}): Promise<Life> {
  const life = await place.life(wish);
  const paths = files.map(place.path);
  await takeCensus(paths, new Set([place.path('declared')]), { rules: RULES, workingDirectory: place.folder }, life.context);
  return life;
}

const censuses = (): string[] => place.journal().filter((file) => file.startsWith('census-'));
const count = (life: Life, folder = place.folder): ReturnType<typeof countingCensus> => countingCensus(life.context, folder, []);

describe('the census that counts', () => {
  it('is the oldest for a fresh start, and for an image that of the life that made it', async () => {
    const first = await counted([]);
    const second = await counted([]);
    const image = second.capture(3);
    await counted([], { source: first.capture(1) });
    expect((await count(await place.life()))?.epoch).toBe(first.epoch);
    expect((await count(await place.life({ source: image })))?.epoch).toBe(second.epoch);
    expect(await count(await place.life({ source: { ...image, epoch: 99 } }))).toBeUndefined();
  });

  it('F72: is none of a life whose start failed', async () => {
    await withdrawCensus((await counted([])).context);
    expect(await count(await place.life())).toBeUndefined();
  });

  it('stays while a start can come from an image of its life', async () => {
    const image = (await counted([])).capture(1);
    for (let n = 0; n < 3; n++) await counted([], { source: image });
    const last = await counted([], { source: image });
    await cleanCensuses(last.context, [3]);
    expect(censuses()).toEqual(['census-1', 'census-3', `census-${last.epoch}`]);
  });

  it('knows where its files lie when the run was moved, what it does not cover, and of which it knows nothing', async () => {
    for (const file of ['a.log', 'two.log']) place.write(file, 'text');
    const { context } = await counted(['a.log', 'gone.log']);
    writeFileSync(join(place.folder, '..', 'outside'), '');
    const moved = join(place.folder, '../moved');
    renameSync(place.folder, moved);
    const census = await countingCensus({ ...context, epoch: context.epoch + 1 }, moved, []);
    expect([...(census?.files ?? [])]).toMatchObject([
      [join(moved, 'a.log'), { size: 4 }],
      [join(moved, 'gone.log'), undefined],
      [join(moved, 'declared'), undefined],
    ]);
    expect(['a.log', 'x.tmp', 'deep/a.log'].map((file) => census?.covers(join(moved, file)))).toEqual([true, false, false]);
    renameSync(moved, place.folder);
  });
});

describe('by the census', () => {
  const FILES = ['grown', 'same', 'new', 'empty', 'declared', 'x.tmp', 'tracked'];

  async function planned(wish: LifeWish): Promise<unknown[]> {
    for (const file of ['grown', 'same', 'replaced']) place.write(file, 'before');
    const first = await counted(['grown', 'same', 'replaced']);
    await first.append(place.declare('tracked'), 'by a handle');
    place.write('grown', 'before and after');
    place.write('new', 'new');
    for (const file of ['empty', 'declared', 'x.tmp']) place.write(file, file === 'empty' ? '' : 'any');
    renameSync(place.path('replaced'), place.path('x.tmp'));
    place.write('replaced', 'before');
    const life = await place.life(wish);
    const census = await count(life);
    const plans = census && (await planLibrary([...FILES, 'replaced'].map(place.path), new Set(), census, life.context));
    return (plans ?? []).map(({ name, put, refused }) => [
      name.slice(name.lastIndexOf('/') + 1),
      put.do === 'cut' ? put.to : refused?.code,
    ]);
  }

  it('files are cut to what they were; those of nobody, or of a handle, are left alone', async () => {
    expect(await planned({})).toEqual([
      ['grown', 6],
      ['new', 0],
      ['replaced', 'ERR_CKPT_FILE_CHANGED'],
    ]);
  });

  it('F75: in a copied store inodes say nothing, and a new file is refused because it may be anybody’s', async () => {
    expect(await planned({ copied: true })).toEqual([
      ['grown', 6],
      ['new', 'ERR_CKPT_FILE_CHANGED'],
    ]);
  });
});
