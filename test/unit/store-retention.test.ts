import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { newId } from '../../packages/sdk/src/base/ids.js';
import type { FileSystem } from '../../packages/sdk/src/base/ports.js';
import { systemClock, systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import type { BaseRecord, ImageRef, Manifest, WrittenImage } from '../../packages/sdk/src/image/contract.js';
import { hash, hex } from '../../packages/sdk/src/image/integrity.js';
import { encodeManifest } from '../../packages/sdk/src/image/manifest-write.js';
import { readManifest } from '../../packages/sdk/src/image/reader.js';
import type { ImageWriter, Incarnation, Store } from '../../packages/sdk/src/store/contract.js';
import { openDirectoryStore } from '../../packages/sdk/src/store/directory.js';
import { currentOwner } from '../../packages/sdk/src/store/owner.js';
import type { Fault } from '../faults/fault-file-system.mjs';
import { type Recording, recordingFileSystem } from '../faults/recording-file-system.js';
import { assemble, head } from '../fixtures/memory-image.js';
import { asSource, begin, commit, deadOwner, refOf } from '../fixtures/store-lives.js';

const DEAD = deadOwner();
const code = (name: string): object => expect.objectContaining({ code: name });

interface Place {
  readonly root: string;
  readonly store: Store;
  readonly incarnation: Incarnation;
  readonly images: ImageRef[];
}

async function storeWith(count: number): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'ckpt-retention-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const root = join(folder, 'ckpt');
  const store = openDirectoryStore(root, recordingFileSystem().ports);
  const incarnation = await begin(store);
  const images: ImageRef[] = [];
  for (let generation = 1; generation <= count; generation++) images.push(await commit(incarnation, incarnation.run.id, generation));
  return { root, store, incarnation, images };
}

/** The same store as another thread sees it: it knows nothing of the images yet. */
function elsewhere(root: string, faults: readonly Fault[] = []): Recording & { store: Store } {
  const recording = recordingFileSystem(faults);
  return { ...recording, store: openDirectoryStore(root, recording.ports) };
}

function pathOf(root: string, image: ImageRef | undefined): string {
  const file = readdirSync(join(root, 'images')).find((name) => name.includes(image?.id ?? '-'));
  return join(root, 'images', file ?? '');
}

/** Commits an image whose manifest lists these bases, each as it is in the store. */
async function commitOnto(
  { store, incarnation: writer }: { readonly store: Store; readonly incarnation: ImageWriter & { readonly run: { readonly id: string } } },
  generation: number,
  bases: readonly ImageRef[],
): Promise<ImageRef> {
  const pinned = async (base: ImageRef): Promise<BaseRecord> => {
    const source = await store.openImage(base).catch(() => undefined);
    const known = source === undefined ? undefined : await readManifest(source, base);
    await source?.close();
    return { ...base, manifestHash: known?.manifestHash ?? '0'.repeat(64) };
  };
  const ref = refOf(writer, generation);
  const basis = head(ref.id, generation);
  const manifest: Manifest = {
    ...basis,
    image: { ...basis.image, ...ref, names: [] },
    run: { id: writer.run.id, app: { name: 'demo', version: '1' } },
    sections: [],
    buffers: [],
    bases: await Promise.all(bases.map(pinned)),
  };
  const bytes = assemble(manifest);
  const written: WrittenImage = { manifest, manifestHash: hex(hash(encodeManifest(manifest))), size: bytes.length };
  await writer.publish({
    ref,
    names: [],
    write: async (sink) => {
      await sink.write(bytes);
      return written;
    },
  });
  return ref;
}

describe('retention', () => {
  it('F26: never deletes a base of an image that stays', async () => {
    const { store, incarnation, images } = await storeWith(3);
    const [base] = images;
    if (base === undefined) throw new Error('no base');
    await commitOnto({ store, incarnation }, 4, [base]);
    expect((await store.prune({ keep: 1 }, 1)).map(({ generation }) => generation)).toEqual([2, 3]);
    expect((await store.images()).map(({ generation }) => generation)).toEqual([1, 4]);
    await expect(store.remove(base)).rejects.toEqual(code('ERR_CKPT_PROTECTED'));
    await commit(incarnation, incarnation.run.id, 5);
    expect((await store.prune({ keep: 1 }, 1)).map(({ generation }) => generation)).toEqual([1, 4]);
  });

  it('F26: an image that lacks a base does not count as one that is kept', async () => {
    const { root, store, incarnation, images } = await storeWith(2);
    const [first, second] = images;
    if (first === undefined || second === undefined) throw new Error('no images');
    await commitOnto({ store, incarnation }, 3, [first]);
    rmSync(pathOf(root, first));
    expect(await store.prune({ keep: 1 }, 1)).toEqual([]);
    expect((await store.images()).map(({ generation }) => generation)).toEqual([2, 3]);
  });

  it('F68: an image whose base is not there is not acknowledged, and not left behind', async () => {
    const { root, store, incarnation, images } = await storeWith(1);
    const gone = { id: newId(), epoch: 1, generation: 1 };
    await expect(commitOnto({ store, incarnation }, 2, [gone])).rejects.toEqual(code('ERR_CKPT_BASE_MISSING'));
    expect(readdirSync(join(root, 'tmp'))).toEqual([]);
    expect((await store.images()).map(({ id }) => id)).toEqual(images.map(({ id }) => id));
  });

  it('keeps what is pinned, and refuses to remove it', async () => {
    const { root, store, images } = await storeWith(4);
    const [pinned] = images;
    if (pinned === undefined) throw new Error('no image');
    writeFileSync(join(root, 'pins', pinned.id), '');
    expect((await store.prune({ keep: 1 }, 1)).map(({ generation }) => generation)).toEqual([2, 3]);
    await expect(store.remove(pinned)).rejects.toEqual(code('ERR_CKPT_PROTECTED'));
  });

  it.each(['EIO', 'EACCES'])('F53: one manifest that cannot be read (%s): nothing is deleted, and it is said', async (errno) => {
    const { root, images } = await storeWith(4);
    const warnings: string[] = [];
    const other = elsewhere(root, [{ op: 'open', path: images[1]?.id ?? '', action: `errno:${errno}` }]);
    expect(await other.store.prune({ keep: 1 }, 1, (message) => warnings.push(message))).toEqual([]);
    expect(other.fired).toHaveLength(1);
    expect(warnings).toHaveLength(1);
    expect(readdirSync(join(root, 'images'))).toHaveLength(4);
    expect(await other.store.prune({ keep: 1 }, 1)).toHaveLength(3);
  });

  it('F53: one damaged image: nothing is deleted until it is removed by its id', async () => {
    const { root, images } = await storeWith(4);
    const path = pathOf(root, images[2]);
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const { store } = elsewhere(root);
    expect(await store.prune({ keep: 1 }, 1)).toEqual([]);
    expect(await store.images()).toHaveLength(4);
    await store.remove(await store.resolve(images[2]?.id ?? ''));
    expect(await store.prune({ keep: 1 }, 1)).toHaveLength(2);
  });

  it('F53: an empty listing: nothing is deleted, names included', async () => {
    const { root, store, incarnation, images } = await storeWith(2);
    await commit(incarnation, incarnation.run.id, 3, { names: ['kept'] });
    for (const file of readdirSync(join(root, 'images'))) rmSync(join(root, 'images', file));
    const warnings: string[] = [];
    expect(await store.prune({ keep: 1 }, 1, (message) => warnings.push(message))).toEqual([]);
    expect(warnings).toHaveLength(1);
    expect(readdirSync(join(root, 'names', 'kept'))).toHaveLength(1);
    expect(images).toHaveLength(2);
  });

  it('deletes a late image of a fenced life, and finds it by its id until then', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ckpt-late-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const root = join(folder, 'ckpt');
    const old = await begin(openDirectoryStore(root, recordingFileSystem().ports, { owner: DEAD }));
    const good = await commit(old, old.run.id, 1);
    const { store } = elsewhere(root);
    const next = await begin(store, asSource(good));
    // As the life before would leave it when it is killed between its link and its look at the epochs.
    const late = await commit(next, old.run.id, 2);
    const [file = ''] = readdirSync(join(root, 'images')).filter((name) => name.includes(late.id));
    rmSync(join(root, 'images', file));
    const zombie = { ...late, epoch: 1 };
    const manifest = head(late.id, 2);
    const image = assemble({
      ...manifest,
      image: { ...manifest.image, ...zombie, names: ['taken'] },
      sections: [],
      buffers: [],
      bases: [],
    });
    writeFileSync(join(root, 'images', `000001-00000002-${late.id}.ckpt`), image);
    mkdirSync(join(root, 'names', 'taken'));
    writeFileSync(join(root, 'names', 'taken', '000001-00000002'), JSON.stringify({ image: late.id }));
    await store.repairNames();
    expect((await store.lineage()).candidates.map(({ id }) => id)).toEqual([good.id]);
    await expect(store.resolve('taken')).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
    expect(await store.resolve(late.id)).toMatchObject(zombie);
    await commit(next, old.run.id, 3);
    expect(await elsewhere(root).store.prune({ keep: 2 }, 2)).toMatchObject([{ id: late.id }]);
  });

  it('F52: two that prune at once lose nothing that one of them keeps', async () => {
    const { root, store, incarnation } = await storeWith(8);
    const tool = elsewhere(root).store;
    await Promise.all([store.prune({ keep: 3 }, 1), tool.prune({ keep: 3 }, 1), commit(incarnation, incarnation.run.id, 9)]);
    expect((await store.lineage()).candidates.map(({ generation }) => generation).slice(0, 3)).toEqual([9, 8, 7]);
  });
});

describe('a fenced life', () => {
  /** A life whose successor claims right after its name entry was linked. */
  async function fencedWhileNaming(then: (root: string) => void): Promise<{ root: string; store: Store }> {
    const folder = await mkdtemp(join(tmpdir(), 'ckpt-fenced-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const root = join(folder, 'ckpt');
    const { store } = elsewhere(root);
    let claimed = 0;
    const fileSystem: FileSystem = {
      ...systemFileSystem,
      link: async (existing, path) => {
        await systemFileSystem.link(existing, path);
        if (!path.includes('names')) return;
        claimed = (await begin(store)).epoch;
        then(root);
      },
    };
    const old = await begin(openDirectoryStore(root, { fileSystem, clock: systemClock }, { owner: DEAD }));
    await expect(commit(old, old.run.id, 1, { names: ['moved'] })).rejects.toEqual(code('ERR_CKPT_FENCED'));
    expect(claimed).toBe(2);
    return { root, store };
  }

  it('F71: leaves its name with an image that its successor has seen, and may have chosen by that name', async () => {
    const { store } = await fencedWhileNaming(() => {});
    expect(await store.resolve('moved')).toMatchObject({ epoch: 1, generation: 1 });
  });

  it('F71: takes back the name of an image that is gone', async () => {
    const { root, store } = await fencedWhileNaming((at) => rmSync(join(at, 'images', readdirSync(join(at, 'images'))[0] ?? '')));
    expect(readdirSync(join(root, 'names', 'moved'))).toEqual([]);
    await expect(store.resolve('moved')).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
  });
});

describe('a lease', () => {
  it('of a dead holder does not count and is removed at the next claim', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ckpt-lease-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const root = join(folder, 'ckpt');
    const dead = openDirectoryStore(root, recordingFileSystem().ports, { owner: DEAD });
    const old = await begin(dead);
    const image = await commit(old, old.run.id, 1);
    await dead.lease(image, 'restart');
    const stranger = openDirectoryStore(root, recordingFileSystem().ports, {
      owner: { ...currentOwner({ clock: systemClock }), boot: 'elsewhere' },
    });
    await stranger.lease(image, 'reading on another host');
    expect(readdirSync(join(root, 'leases'))).toHaveLength(2);
    const { store } = elsewhere(root);
    await begin(store, asSource(image));
    expect(readdirSync(join(root, 'leases'))).toHaveLength(1);
  });
});

describe('an image file', () => {
  it('of another name, kind or place is not an image, and is never deleted', async () => {
    const { root, store } = await storeWith(2);
    const foreign = join(root, 'images', 'notes.txt');
    writeFileSync(foreign, 'mine');
    chmodSync(foreign, 0o600);
    expect(await store.images()).toHaveLength(2);
    await store.prune({ keep: 1 }, 1);
    expect(readdirSync(join(root, 'images'))).toContain('notes.txt');
  });
});

describe('a name whose newest image is gone', () => {
  const twice = async (): Promise<Place & { newest: ImageRef }> => {
    const place = await storeWith(0);
    const first = await commit(place.incarnation, place.incarnation.run.id, 1, { names: ['gold'] });
    const newest = await commit(place.incarnation, place.incarnation.run.id, 2, { names: ['gold'] });
    return { ...place, images: [first, newest], newest };
  };

  it('is refused, does not fall back to an older image, and blinds no listing', async () => {
    const { root, store, newest } = await twice();
    rmSync(pathOf(root, newest));
    await expect(store.resolve('gold')).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
    expect((await store.images()).map(({ names }) => names)).toEqual([[]]);
  });

  it('goes to no older image when the image is removed, nor when the next start repairs names', async () => {
    const { root, store, newest } = await twice();
    await store.remove(newest);
    for (let start = 0; start < 2; start++) {
      await expect(store.resolve('gold')).rejects.toEqual(code('ERR_CKPT_NOT_FOUND'));
      expect((await store.images()).map(({ names }) => names)).toEqual([[]]);
      await store.repairNames();
    }
    expect(readdirSync(join(root, 'names', 'gold'))).toHaveLength(2);
  });
});
