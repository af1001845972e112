/**
 * What every store must do, whatever it keeps its images in. A third party's store runs it with its own `makeStores`.
 *
 * Invariants
 * 1. Only the Store contract is used; what lies below it is the implementation's own.
 * 2. Every test has a place of its own.
 */
import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { newId } from '../../packages/sdk/src/base/ids.js';
import type { Store } from '../../packages/sdk/src/store/contract.js';
import { APP, asSource, begin, claimOptions, commit, damagesOf, FRESH, refOf, silent, writing } from '../fixtures/store-lives.js';

/** One empty place, seen by several processes. */
export interface Stores {
  /** A store whose claims belong to a process that lives. */
  live(): Store;
  /** A store whose claims belong to a process that is dead as soon as they are looked at. */
  dead(): Store;
}

export function storeConformance(title: string, makeStores: () => Promise<Stores>): void {
  describe(title, () => {
    opening(makeStores);
    committing(makeStores);
    owning(makeStores);
    descending(makeStores);
    naming(makeStores);
    retaining(makeStores);
  });
}

type Make = () => Promise<Stores>;

const code = (name: string): object => expect.objectContaining({ code: name });
const ids = (list: readonly { id: string }[]): string[] => list.map(({ id }) => id);

function opening(make: Make): void {
  it('begins empty, with one run that every later open finds again', async () => {
    const stores = await make();
    const store = stores.live();
    const run = await store.open(APP, silent);
    expect(await stores.live().open(APP, silent)).toEqual(run);
    expect(await stores.live().inspect()).toEqual(run);
    expect(await store.images()).toEqual([]);
    expect(await store.lineage()).toEqual({ newestSeal: undefined, candidates: [], acknowledged: false, lost: [], images: [] });
    expect(await store.highestGeneration()).toBe(0);
    expect(await store.owner()).toBeUndefined();
  });

  it('says that there is no store where nobody has opened one, and creates none', async () => {
    const stores = await make();
    await expect(stores.live().inspect()).rejects.toEqual(code('ERR_CKPT_NO_IMAGE'));
    await expect(stores.live().inspect()).rejects.toEqual(code('ERR_CKPT_NO_IMAGE'));
  });

  it('F36: refuses another program', async () => {
    const stores = await make();
    await stores.live().open(APP, silent);
    await expect(stores.live().open({ name: 'other' }, silent)).rejects.toEqual(code('ERR_CKPT_WRONG_APP'));
  });
}

function committing(make: Make): void {
  it('finds an acknowledged image by lineage, listing, id and beginning of its id, and reads it back whole', async () => {
    const store = (await make()).live();
    const incarnation = await begin(store);
    const image = await commit(incarnation, incarnation.run.id, 1);
    const { candidates, acknowledged } = await store.lineage();
    expect(candidates).toMatchObject([{ ...image, names: [] }]);
    expect(acknowledged).toBe(true);
    expect(ids(await store.images())).toEqual([image.id]);
    expect((await store.resolve(image.id)).id).toBe(image.id);
    expect((await store.resolve(image.id.slice(0, 8))).id).toBe(image.id);
    expect(await damagesOf(store, image)).toBe(0);
    expect(await store.highestGeneration()).toBe(1);
  });

  it('publishes through a writer made in another place from the epoch alone', async () => {
    const stores = await make();
    const incarnation = await begin(stores.live());
    const image = await commit(stores.live().writer(incarnation.epoch), incarnation.run.id, 1);
    expect(ids((await stores.live().lineage()).candidates)).toEqual([image.id]);
  });

  it('refuses an epoch that is not sealed, and a generation that is not new', async () => {
    const store = (await make()).live();
    await store.open(APP, silent);
    const incarnation = await store.claim(claimOptions());
    await expect(commit(incarnation, incarnation.run.id, 1)).rejects.toEqual(code('ERR_CKPT_PHASE'));
    await incarnation.seal(FRESH);
    await expect(incarnation.seal(FRESH)).rejects.toEqual(code('ERR_CKPT_PHASE'));
    await commit(incarnation, incarnation.run.id, 2);
    await expect(commit(incarnation, incarnation.run.id, 2)).rejects.toThrow(TypeError);
    await expect(commit(incarnation, incarnation.run.id, 1)).rejects.toThrow(TypeError);
  });

  it('leaves nothing of an image whose writing fails, and takes the next one', async () => {
    const store = (await make()).live();
    const incarnation = await begin(store);
    const ref = refOf(incarnation, 1);
    const write = async (sink: { write(chunk: Uint8Array): Promise<void> }): Promise<never> => {
      await sink.write(new Uint8Array(10));
      throw new Error('boom');
    };
    await expect(incarnation.publish({ ref, names: [], write })).rejects.toThrow('boom');
    expect(await store.images()).toEqual([]);
    const next = await commit(incarnation, incarnation.run.id, 1);
    expect(ids((await store.lineage()).candidates)).toEqual([next.id]);
  });

  it('does not publish bytes that are no image', async () => {
    const store = (await make()).live();
    const incarnation = await begin(store);
    const ref = refOf(incarnation, 1);
    const publishing = incarnation.publish({
      ref,
      names: [],
      write: async (sink) => {
        const written = await writing(ref, incarnation.run.id)({ write: async () => {} });
        await sink.write(new Uint8Array(written.size));
        return written;
      },
    });
    await expect(publishing).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_CKPT_IMAGE_/) });
    expect(await store.images()).toEqual([]);
  });
}

function owning(make: Make): void {
  it('F49: refuses a second live incarnation, and says who owns the store', async () => {
    const stores = await make();
    const first = await begin(stores.live());
    await expect(stores.live().claim(claimOptions())).rejects.toMatchObject({
      code: 'ERR_CKPT_LOCKED',
      context: { owner: { incarnation: first.record.incarnation } },
    });
    expect(await stores.live().owner()).toMatchObject({ alive: true, released: false, ready: undefined, record: first.record });
  });

  it('lets the next one in after a release, and after a death without one', async () => {
    const stores = await make();
    const first = await begin(stores.live());
    await first.ready({ signals: ['SIGUSR1'], requests: true });
    expect(await stores.live().owner()).toMatchObject({ ready: { signals: ['SIGUSR1'], requests: true } });
    await first.release();
    expect(await stores.live().owner()).toMatchObject({ released: true });
    const second = await begin(stores.dead());
    const third = await begin(stores.live());
    expect([first.epoch, second.epoch, third.epoch]).toEqual([1, 2, 3]);
    expect(third.previousSignOfLife).toBeGreaterThanOrEqual(second.record.claimedAt);
    expect(first.previousSignOfLife).toBeUndefined();
  });

  it('gives an epoch to one of several that claim at once', async () => {
    const stores = await make();
    await stores.live().open(APP, silent);
    const tries = await Promise.allSettled(Array.from({ length: 5 }, () => stores.live().claim(claimOptions())));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const failures = tries.filter((result) => result.status === 'rejected');
    for (const { reason } of failures) expect(reason).toEqual(code('ERR_CKPT_LOCKED'));
  });

  it('F50: fences a life whose successor has claimed: its image is not acknowledged, not chosen, not named', async () => {
    const stores = await make();
    const old = await begin(stores.dead());
    const good = await commit(old, old.run.id, 1);
    const store = stores.live();
    const next = await begin(store, asSource(good));
    await expect(commit(old, old.run.id, 2, { names: ['late'] })).rejects.toEqual(code('ERR_CKPT_FENCED'));
    await expect(old.assertNewest()).rejects.toEqual(code('ERR_CKPT_FENCED'));
    await expect(old.seal(FRESH)).rejects.toEqual(code('ERR_CKPT_FENCED'));
    expect(ids((await store.lineage()).candidates)).toEqual([good.id]);
    await expect(store.resolve('late')).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
    await next.assertNewest();
  });

  it('F50: an old life that wakes between its image and its acknowledgement is fenced', async () => {
    const stores = await make();
    const old = await begin(stores.dead());
    const good = await commit(old, old.run.id, 1);
    const store = stores.live();
    const ref = refOf(old, 2);
    const publishing = old.publish({
      ref,
      names: ['late'],
      write: async (sink) => {
        const written = await writing(ref, old.run.id, { names: ['late'] })(sink);
        await begin(store, asSource(good));
        return written;
      },
    });
    await expect(publishing).rejects.toEqual(code('ERR_CKPT_FENCED'));
    await store.repairNames();
    expect(ids((await store.lineage()).candidates)).toEqual([good.id]);
    await expect(store.resolve('late')).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
  });
}

function descending(make: Make): void {
  it('F54: orders images by epoch and generation, whatever the clock says', async () => {
    const stores = await make();
    const first = await begin(stores.dead());
    const a = await commit(first, first.run.id, 1, { createdAt: 3_000 });
    const b = await commit(first, first.run.id, 2, { createdAt: 2_000 });
    const second = await begin(stores.live(), asSource(b));
    const c = await commit(second, first.run.id, 3, { createdAt: 1_000 });
    expect(ids((await stores.live().lineage()).candidates)).toEqual([c.id, b.id, a.id]);
    expect(ids(await stores.live().images())).toEqual([a.id, b.id, c.id]);
  });

  it('F62: stays on the lineage of an older image that a life was started from, also before its first own image', async () => {
    const stores = await make();
    const first = await begin(stores.dead());
    const a = await commit(first, first.run.id, 1);
    const b = await commit(first, first.run.id, 2);
    const second = await begin(stores.dead(), asSource(a));
    expect(ids((await stores.live().lineage()).candidates)).toEqual([a.id]);
    const c = await commit(second, first.run.id, 3);
    await begin(stores.dead(), asSource(c));
    expect(ids((await stores.live().lineage()).candidates)).toEqual([c.id, a.id]);
    expect((await stores.live().resolve(b.id)).id).toBe(b.id);
  });

  it('ends the lineage at a fresh start', async () => {
    const stores = await make();
    const first = await begin(stores.dead());
    await commit(first, first.run.id, 1);
    await begin(stores.dead());
    expect(await stores.live().lineage()).toMatchObject({ candidates: [], acknowledged: false, lost: [] });
  });

  it('F72: a claim without a seal and a voided seal change nothing about what the next start takes', async () => {
    const stores = await make();
    const first = await begin(stores.dead());
    const a = await commit(first, first.run.id, 1);
    const b = await commit(first, first.run.id, 2);
    const failed = await begin(stores.dead(), asSource(a));
    await failed.void();
    await stores.dead().claim(claimOptions());
    expect(ids((await stores.live().lineage()).candidates)).toEqual([b.id, a.id]);
  });

  it('F73: remembers that images were acknowledged when none is there', async () => {
    const stores = await make();
    const first = await begin(stores.dead());
    const image = await commit(first, first.run.id, 7);
    await first.release();
    await expect(stores.live().remove(image)).rejects.toMatchObject({ code: 'ERR_CKPT_PROTECTED' });
    for (const { path } of await stores.live().images()) rmSync(path);
    expect(await stores.live().lineage()).toMatchObject({ candidates: [], acknowledged: true });
    await begin(stores.dead(), asSource(image));
    expect(await stores.live().lineage()).toMatchObject({ candidates: [], acknowledged: true });
    expect(await stores.live().highestGeneration()).toBe(7);
  });

  it('F38: blames an image once per epoch, and counts it as blamed from the second on', async () => {
    const stores = await make();
    const first = await begin(stores.live());
    const image = await commit(first, first.run.id, 1);
    const store = stores.live();
    expect(await store.blame(image, 1, 'threw')).toBe(1);
    expect(await store.blame(image, 1, 'threw')).toBe(1);
    expect(await store.blamed()).toEqual(new Set());
    expect(await store.blame(image, 2, 'threw')).toBe(2);
    expect(await store.blamed()).toEqual(new Set([image.id]));
  });
}

function naming(make: Make): void {
  it('F70: finds an image by its name, and lets the name move to a newer image', async () => {
    const stores = await make();
    const first = await begin(stores.dead());
    const a = await commit(first, first.run.id, 1, { names: ['y100', 'start'] });
    expect(await stores.live().resolve('y100')).toMatchObject({ id: a.id, names: ['start', 'y100'] });
    const second = await begin(stores.live(), asSource(a));
    const b = await commit(second, first.run.id, 2, { names: ['y100'] });
    expect((await stores.live().resolve('y100')).id).toBe(b.id);
    expect((await stores.live().resolve('start')).id).toBe(a.id);
    expect((await stores.live().images()).map(({ names }) => names)).toEqual([['start'], ['y100']]);
  });

  it('F71: makes a name that the manifest carries but a kill left out', async () => {
    const stores = await make();
    const first = await begin(stores.live());
    const ref = refOf(first, 1);
    // Published without the name that the manifest has: the state after a kill between commit and name entry.
    await first.publish({ ref, names: [], write: writing(ref, first.run.id, { names: ['kept'] }) });
    await expect(stores.live().resolve('kept')).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
    await stores.live().repairNames();
    expect((await stores.live().resolve('kept')).id).toBe(ref.id);
  });

  it('F71: a repaired older name does not move a name back', async () => {
    const stores = await make();
    const first = await begin(stores.live());
    const ref = refOf(first, 1);
    await first.publish({ ref, names: [], write: writing(ref, first.run.id, { names: ['kept'] }) });
    const newer = await commit(first, first.run.id, 2, { names: ['kept'] });
    await stores.live().repairNames();
    expect((await stores.live().resolve('kept')).id).toBe(newer.id);
  });

  it('says what it did not find, and never picks one of several', async () => {
    const stores = await make();
    const first = await begin(stores.live());
    const same = newId().slice(0, 20);
    for (const generation of [1, 2]) await commit(first, first.run.id, generation, { id: `${same}${'0'.repeat(11)}${generation}` });
    await expect(stores.live().resolve(same)).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
    await expect(stores.live().resolve('nobody')).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
    await expect(stores.live().resolve(newId())).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
    await expect(stores.live().openImage(refOf(first, 9))).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
  });
}

function retaining(make: Make): void {
  it('keeps as many images of the lineage as asked for, and the named ones', async () => {
    const stores = await make();
    const first = await begin(stores.live());
    const images = [];
    for (const generation of [1, 2, 3, 4, 5])
      images.push(await commit(first, first.run.id, generation, { names: generation === 2 ? ['keep-me'] : [] }));
    const gone = await stores.live().prune({ keep: 2 }, first.epoch);
    expect(gone.map(({ generation }) => generation)).toEqual([1, 3]);
    expect((await stores.live().images()).map(({ generation }) => generation)).toEqual([2, 4, 5]);
    expect(await stores.live().prune({ keep: 2 }, first.epoch)).toEqual([]);
  });

  it('deletes abandoned branches only once the lineage has enough, and never what the newest seal started from', async () => {
    const stores = await make();
    const first = await begin(stores.dead());
    const a = await commit(first, first.run.id, 1);
    const b = await commit(first, first.run.id, 2);
    const second = await begin(stores.live(), asSource(a));
    expect(await stores.live().prune({ keep: 2 }, second.epoch)).toEqual([]);
    await commit(second, first.run.id, 3);
    expect(ids(await stores.live().prune({ keep: 2 }, second.epoch))).toEqual([b.id]);
    await commit(second, first.run.id, 4);
    await commit(second, first.run.id, 5);
    expect(ids(await stores.live().prune({ keep: 2 }, second.epoch))).toHaveLength(1);
    expect(ids(await stores.live().images())).toContain(a.id);
  });

  it('F52: deletes nothing that is leased, nor for a fenced life', async () => {
    const stores = await make();
    const first = await begin(stores.dead());
    const images = [];
    for (const generation of [1, 2, 3]) images.push(await commit(first, first.run.id, generation));
    const [oldest, , newest] = images;
    if (oldest === undefined || newest === undefined) throw new Error('no images');
    const lease = await stores.live().lease(oldest, 'reading');
    expect(ids(await stores.live().prune({ keep: 1 }, first.epoch))).not.toContain(oldest.id);
    await expect(stores.live().remove(oldest)).rejects.toEqual(code('ERR_CKPT_PROTECTED'));
    await lease.release();
    await begin(stores.live(), asSource(newest));
    await expect(stores.live().prune({ keep: 1 }, first.epoch)).rejects.toEqual(code('ERR_CKPT_FENCED'));
    expect(ids(await stores.live().images())).toContain(oldest.id);
  });

  it('removes an image with its names, but not the one that a running program started from', async () => {
    const stores = await make();
    const first = await begin(stores.dead());
    const a = await commit(first, first.run.id, 1, { names: ['base'] });
    const b = await commit(first, first.run.id, 2, { names: ['gone'] });
    const second = await begin(stores.live(), asSource(a));
    const store = stores.live();
    await expect(store.remove(a)).rejects.toEqual(code('ERR_CKPT_PROTECTED'));
    await store.remove(b);
    await expect(store.resolve('gone')).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
    await expect(store.remove(b)).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
    await expect(store.lease(b, 'reading')).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
    await second.release();
  });
}
