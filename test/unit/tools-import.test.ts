/** Importing images: real files, real stores. */
import {
  appendFileSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadPorts, systemClock, systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import type { ImageHead, ImageRef } from '../../packages/sdk/src/image/contract.js';
import type { AdoptRequest, Store } from '../../packages/sdk/src/store/contract.js';
import { openDirectoryStore } from '../../packages/sdk/src/store/directory.js';
import { exportImage } from '../../packages/sdk/src/tools/export-image.js';
import { importImage } from '../../packages/sdk/src/tools/import-image.js';
import { restartImage } from '../../packages/sdk/src/tools/restart-image.js';
import type { Operation } from '../faults/fault-file-system.mjs';
import { recordingFileSystem } from '../faults/recording-file-system.js';
import { assemble, head, imageOf, section } from '../fixtures/memory-image.js';
import { asSource, begin, claimOptions, commit, damagesOf, deadOwner, silent, writing } from '../fixtures/store-lives.js';
import { makeStore } from '../fixtures/store-maker.js';

let folder: string;
let dir: string;
let file: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'ckpt-import-')));
  dir = join(folder, 'elsewhere', 'ckpt');
  file = join(folder, 'one.ckpt');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function open(at = dir): Promise<Store> {
  return openDirectoryStore(at, await loadPorts(undefined));
}

interface Original {
  readonly store: Store;
  readonly run: { readonly id: string };
  readonly images: readonly (ImageRef & { readonly path: string })[];
}

/** Three images in two lives of a program that has ended; `one.ckpt` is the newest of them. */
async function original(at = join(folder, 'original')): Promise<Original> {
  const owner = deadOwner();
  const provenance = { host: owner.host, pid: owner.pid, startedAt: 1_760_000_000_000 };
  const { store, run, begin: start } = await makeStore(at, owner);
  const first = await start();
  const a = await first.image({ names: ['early'], provenance });
  const b = await first.image({ provenance });
  const second = await start(asSource(b));
  const c = await second.image({ names: ['best', 'late'], provenance });
  if (!existsSync(file)) await exportImage(at, c.id, { output: file });
  return { store, run, images: [a, b, c] };
}

/** Everything below a folder, with its bytes. */
function contentOf(at: string): Record<string, string> {
  const files = readdirSync(at, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => [join(entry.parentPath, entry.name), readFileSync(join(entry.parentPath, entry.name), 'base64')]),
  );
}

/** One image exported as a file of its own. */
async function exported({ images }: Original, index: number): Promise<string> {
  const output = join(folder, `image-${index}.ckpt`);
  await exportImage(join(folder, 'original'), images[index]?.id, { output });
  return output;
}

describe('an image imported into an empty directory', () => {
  it('is what the next start there continues from, under its names, in its run', async () => {
    const { run, images } = await original();
    const [, , newest] = images;
    const imported = await importImage(file, { dir });
    expect(imported).toMatchObject({
      id: newest?.id,
      generation: 3,
      epoch: 2,
      names: ['best', 'late'],
      store: dir,
      app: 'test-program',
      already: false,
    });
    const store = await open();
    expect((await store.inspect()).id).toBe(run.id);
    expect((await store.lineage()).candidates.map(({ id }) => id)).toEqual([newest?.id]);
    expect((await store.lineage()).acknowledged).toBe(true);
    expect((await store.resolve('best')).id).toBe(newest?.id);
    expect(await damagesOf(store, imported)).toBe(0);
    expect(await store.isCopiedSince(imported.epoch)).toBe(true);
    expect(await store.owner()).toMatchObject({ released: true, ready: undefined });
    expect(readdirSync(join(dir, 'tmp'))).toEqual([]);
  });

  it('is followed by a life of the next epoch, whose images have the next generation', async () => {
    await original();
    const imported = await importImage(file, { dir });
    const store = await open();
    const next = await begin2(store, imported);
    expect(next.incarnation.epoch).toBe(3);
    expect(await store.highestGeneration()).toBe(3);
    const image = await commit(next.incarnation, next.run, 4);
    expect((await store.lineage()).candidates.map(({ id }) => id)).toEqual([image.id, imported.id]);
    expect(await store.isCopiedSince(3)).toBe(false);
    expect(await store.prune({ keep: 1 }, 3)).toEqual([]);
    await commit(next.incarnation, next.run, 5);
    await store.prune({ keep: 1 }, 3);
    expect((await store.lineage()).acknowledged).toBe(true);
  });

  it('is refused as lost, never begun anew, when it is gone again', async () => {
    await original();
    const { path } = await importImage(file, { dir });
    rmSync(path);
    expect(await (await open()).lineage()).toMatchObject({ candidates: [], acknowledged: true });
  });

  it('wants the command of the program from the caller', async () => {
    await original();
    await importImage(file, { dir });
    await expect(restartImage(dir, { dryRun: true })).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_UNSAFE' });
    const plan = await restartImage(dir, { dryRun: true, command: [process.execPath, '--version'] });
    expect(plan).toMatchObject({ store: dir, command: { cwd: process.cwd(), argv: ['--version'] } });
  });
});

async function begin2(store: Store, image: ImageRef): Promise<{ incarnation: Awaited<ReturnType<Store['claim']>>; run: string }> {
  await store.open({ name: 'test-program' }, silent);
  const incarnation = await store.claim(claimOptions());
  await incarnation.seal(asSource(image));
  return { incarnation, run: incarnation.run.id };
}

describe('an image imported into the store of its run', () => {
  it('that has it already changes nothing', async () => {
    const { images } = await original();
    await importImage(file, { dir });
    for (const at of [dir, join(folder, 'original')]) {
      const before = contentOf(at);
      expect(await importImage(file, { dir: at })).toMatchObject({ id: images[2]?.id, already: true });
      expect(contentOf(at)).toEqual(before);
    }
  });

  it('comes back under its id and names after it was removed, and the lineage is as it was', async () => {
    const { store, images } = await original();
    const early = await exported({ store, images, run: { id: '' } }, 0);
    const [a] = images;
    if (a === undefined) throw new Error('no image');
    const before = (await store.lineage()).candidates.map(({ id }) => id);
    await store.remove(a);
    await importImage(early, { dir: join(folder, 'original') });
    expect((await store.lineage()).candidates.map(({ id }) => id)).toEqual(before);
    expect((await store.resolve('early')).id).toBe(a.id);
    // What started the program last is still what starts it.
    const plan = await restartImage(join(folder, 'original'), { dryRun: true });
    expect(plan).toMatchObject({ image: { id: images[2]?.id }, command: { argv: ['main.js'] } });
  });

  it('together with others is found along the lineage, whichever came first', async () => {
    const made = await original();
    const files = [await exported(made, 0), await exported(made, 1), file];
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 2, 0],
    ]) {
      rmSync(dir, { recursive: true, force: true });
      for (const index of order) await importImage(files[index] ?? '', { dir });
      const store = await open();
      expect((await store.lineage()).candidates.map(({ id }) => id)).toEqual(made.images.map(({ id }) => id).reverse());
      expect((await store.resolve('early')).id).toBe(made.images[0]?.id);
      expect((await store.resolve('best')).id).toBe(made.images[2]?.id);
    }
  });

  it('of a later epoch fences the lives that were there before', async () => {
    const { store } = await original();
    const old = join(folder, 'old');
    cpSync(join(folder, 'original'), old, { recursive: true });
    // The copy goes on, three lives further.
    for (let count = 0; count < 3; count++) {
      const life = await (await makeStore(old, deadOwner())).begin(
        asSource((await open(old).then((at) => at.images())).at(-1) ?? head().image),
      );
      await life.image();
    }
    const newest = (await (await open(old)).images()).at(-1);
    await exportImage(old, newest?.id, { output: join(folder, 'newest.ckpt') });
    const zombie = store.writer(2);
    await zombie.assertNewest();
    await importImage(join(folder, 'newest.ckpt'), { dir: join(folder, 'original') });
    await expect(zombie.assertNewest()).rejects.toMatchObject({ code: 'ERR_CKPT_FENCED' });
    expect((await store.lineage()).candidates[0]?.id).toBe(newest?.id);
    const next = await begin2(store, newest ?? head().image);
    expect(next.incarnation.epoch).toBe(6);
  });

  it('is refused while a program lives there, and nothing has changed', async () => {
    const { images } = await original();
    await importImage(file, { dir });
    const store = await open();
    await begin2(store, images[2] ?? head().image);
    const before = contentOf(dir);
    const other = await exported({ store, images, run: { id: '' } }, 1);
    await expect(importImage(other, { dir, waitMs: 0 })).rejects.toMatchObject({ code: 'ERR_CKPT_LOCKED' });
    expect(contentOf(dir)).toEqual(before);
  });

  // The first image of the other branch has the number of one that is here, the second does not.
  it.each([1, 2])('is refused when the run went on in two places, because branches do not mix (image %i)', async (count) => {
    const { store } = await original();
    const copy = join(folder, 'copy');
    cpSync(join(folder, 'original'), copy, { recursive: true });
    const goOn = async (at: string, images: number): Promise<ImageRef> => {
      const made = await makeStore(at, deadOwner());
      const next = await made.begin(asSource((await made.store.images()).at(-1) ?? head().image));
      for (let count = 1; count < images; count++) await next.image();
      return next.image();
    };
    await goOn(join(folder, 'original'), 1);
    const there = await goOn(copy, count);
    await exportImage(copy, there.id, { output: join(folder, 'branch.ckpt') });
    const before = contentOf(join(folder, 'original'));
    await expect(importImage(join(folder, 'branch.ckpt'), { dir: join(folder, 'original') })).rejects.toMatchObject({
      code: 'ERR_CKPT_WRONG_RUN',
    });
    expect(contentOf(join(folder, 'original'))).toEqual(before);
    expect((await store.images()).map(({ id }) => id)).not.toContain(there.id);
  });

  it('says so when the one that is there is damaged', async () => {
    await original();
    const { path } = await importImage(file, { dir });
    truncateSync(path, 500);
    await expect(importImage(file, { dir })).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_INCOMPLETE' });
    await (await open()).remove((await (await open()).images())[0] ?? head().image);
    expect(await importImage(file, { dir })).toMatchObject({ already: false });
  });
});

describe('a file that somebody hands over', () => {
  it('F23, F24, F25: is refused when any part of it is damaged, and nothing is made', async () => {
    await original();
    const intact = readFileSync(file);
    const damaged: Buffer[] = [Buffer.alloc(0), Buffer.alloc(intact.length), Buffer.concat([intact, Buffer.from('x')])];
    for (let part = 0; part < 60; part++) {
      const at = Math.floor((intact.length * part) / 60);
      const flipped = Buffer.from(intact);
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      damaged.push(flipped, intact.subarray(0, at));
    }
    for (const bytes of damaged) {
      writeFileSync(file, bytes);
      await expect(importImage(file, { dir })).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_CKPT_IMAGE_(CORRUPT|INCOMPLETE|VERSION|FEATURE|LIMIT)$/),
      });
      expect(existsSync(join(folder, 'elsewhere'))).toBe(false);
    }
    await expect(importImage(join(folder, 'none.ckpt'), { dir })).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_FOUND' });
    await expect(importImage(folder, { dir })).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_UNSAFE' });
  });

  it('F26: is refused when it needs another image', async () => {
    const bases = [{ id: 'b'.repeat(32), epoch: 1, generation: 1, manifestHash: '0'.repeat(64) }];
    writeFileSync(file, assemble({ ...head(), sections: [], buffers: [], bases }));
    await expect(importImage(file, { dir })).rejects.toMatchObject({ code: 'ERR_CKPT_BASE_MISSING' });
    expect(existsSync(dir)).toBe(false);
  });

  it('F36: is refused in the store of another run or program, and in a folder of other things', async () => {
    await original();
    const other = join(folder, 'other');
    await (await (await makeStore(other, deadOwner())).begin()).image();
    await expect(importImage(file, { dir: other })).rejects.toMatchObject({ code: 'ERR_CKPT_WRONG_RUN' });
    const foreign = join(folder, 'foreign');
    await commit(await begin(openDirectoryStore(foreign, await loadPorts(undefined), { owner: deadOwner() })), 'f'.repeat(32), 1);
    await expect(importImage(file, { dir: foreign })).rejects.toMatchObject({ code: 'ERR_CKPT_WRONG_APP' });
    const home = join(folder, 'home');
    mkdirSync(home);
    writeFileSync(join(home, 'thesis.tex'), '');
    await expect(importImage(file, { dir: home })).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_UNUSABLE' });
    expect(readdirSync(home)).toEqual(['thesis.tex']);
    expect(await (await open(other)).images()).toHaveLength(1);
  });

  it('F33: is refused when its numbers and names could not be a store’s', async () => {
    const base = head();
    const with_ = (image: Partial<ImageHead['image']>, more: Partial<ImageHead> = {}): ImageHead => ({
      ...base,
      ...more,
      image: { ...base.image, ...image },
    });
    const hostile: readonly ImageHead[] = [
      with_({ epoch: 0 }),
      with_({ generation: 0 }),
      with_({ epoch: Number.MAX_SAFE_INTEGER }),
      with_({ generation: 10 ** 15 }),
      with_({}, { run: { id: '../../etc', app: { name: 'demo', version: '1' } } }),
      with_({}, { run: { id: 'f'.repeat(32), app: { name: 'x'.repeat(100_000), version: '1' } } }),
      with_({ names: ['../../evil'] }),
      with_({ names: ['latest'] }),
    ];
    for (const made of hostile) {
      writeFileSync(file, await imageOf({ head: made, sections: [section('sim', [Uint8Array.of(0x80)])] }));
      await expect(importImage(file, { dir })).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_CKPT_IMAGE_(LIMIT|CORRUPT)$/) });
      expect(existsSync(join(folder, 'elsewhere'))).toBe(false);
    }
    // A life that started from itself, or from later than itself, starts from nothing here.
    writeFileSync(file, await imageOf({ head: with_({ parent: { id: 'a'.repeat(32), epoch: 9, generation: 90 } }) }));
    await importImage(file, { dir });
    expect((await (await open()).lineage()).newestSeal?.source).toEqual({ kind: 'fresh' });
  });

  it('refuses options that it does not know, and says which', async () => {
    await expect(importImage('')).rejects.toThrow(TypeError);
    await expect(importImage(file, JSON.parse('{"directory":"x"}'))).rejects.toThrow(/directory/);
  });
});

describe('a restart from an exported image', () => {
  it('shows its plan without making anything', async () => {
    const { images } = await original();
    const temporary = readdirSync(tmpdir()).filter((name) => name.startsWith('ckpt-dry-run'));
    const plan = await restartImage(dir, { image: file, dryRun: true, command: [process.execPath, 'main.js'] });
    expect(plan).toMatchObject({
      store: dir,
      image: { id: images[2]?.id, path: file },
      environment: { CKPT_DIR: dir, CKPT_RESTART: images[2]?.id },
      files: [],
    });
    expect(existsSync(join(folder, 'elsewhere'))).toBe(false);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('ckpt-dry-run'))).toEqual(temporary);
    await expect(restartImage(dir, { image: file, dryRun: true })).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_UNSAFE' });
    await expect(restartImage(dir, { image: join(folder, 'x'), command: ['x'] })).rejects.toMatchObject({ code: 'ERR_CKPT_NOT_FOUND' });
    appendFileSync(file, 'x');
    await expect(restartImage(dir, { image: file, command: [process.execPath] })).rejects.toMatchObject({
      code: 'ERR_CKPT_IMAGE_INCOMPLETE',
    });
    expect(existsSync(dir)).toBe(false);
  });
});

describe('taking an image in', () => {
  const RUN = 'f'.repeat(32);
  const ref: ImageRef = { id: 'a'.repeat(32), epoch: 7, generation: 30 };

  function request(): AdoptRequest {
    return {
      ref,
      names: ['kept'],
      run: { id: RUN, app: { name: 'demo' } },
      parent: null,
      createdAt: 1_760_000_000_000,
      life: { host: 'h', pid: 42, startedAt: 1_760_000_000_000 },
      write: writing(ref, RUN, { names: ['kept'] }),
    };
  }

  /** Between two changes the disk is the same: an end before a read is an end before the next change. */
  function isChange({ name, flags = 0 }: Operation): boolean {
    if (name === 'open') return (flags & constants.O_CREAT) !== 0;
    return ['write', 'fsync', 'mkdir', 'link', 'unlink', 'fsync-directory'].includes(name);
  }

  const options = { waitMs: 0, takeOver: false, warn: silent };

  it('F10: killed before any of its changes it can be done again, and a start before that never finds half of it', {
    timeout: 120_000,
  }, async () => {
    const probe = recordingFileSystem();
    const owner = deadOwner();
    await openDirectoryStore(dir, probe.ports, { owner }).adopt(request(), options);
    const changes = probe.operations.flatMap((operation, index) => (isChange(operation) ? [index + 1] : []));
    expect(changes.length).toBeGreaterThan(60);
    for (const nth of changes) {
      // As deep as the first, so that the operations are the same.
      const root = join(folder, `killed-${nth}`, 'ckpt');
      const recording = recordingFileSystem([{ nth, action: 'halt-before' }]);
      void openDirectoryStore(root, recording.ports, { owner }).adopt(request(), options).catch(silent);
      await recording.firing;
      await recording.abandon();
      await expectCompleted(root, `halted before ${recording.fired[0]?.name} ${recording.fired[0]?.path}`);
    }
  });

  async function expectCompleted(root: string, what: string): Promise<void> {
    const store = openDirectoryStore(root, { fileSystem: systemFileSystem, clock: systemClock });
    if (existsSync(join(root, 'run.json'))) {
      const { newestSeal, candidates } = await store.lineage();
      // A seal without its image would let a start begin anew.
      expect(newestSeal === undefined, what).toBe(candidates.length === 0);
      for (const image of candidates) expect(await damagesOf(store, image), what).toBe(0);
    }
    const { path } = await store.adopt(request(), options);
    expect(
      (await store.lineage()).candidates.map(({ id }) => id),
      what,
    ).toEqual([ref.id]);
    expect((await store.resolve('kept')).path, what).toBe(path);
    const life = await begin(store, asSource(ref));
    expect(life.epoch, what).toBeGreaterThan(7);
    expect(readdirSync(join(root, 'tmp')), what).toEqual([]);
  }
});
