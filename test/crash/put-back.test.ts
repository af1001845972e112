/**
 * Killed before and after every operation on the file system of a start that puts files back. A start that is halted is
 * what a kill looks like from inside one process: nothing of it settles any more, and the kernel closes its files.
 */
import { appendFileSync, constants, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { FileDeclaration, TrackedFileRecord } from '../../packages/sdk/src/files/contract.js';
import { openTracked } from '../../packages/sdk/src/files/opening.js';
import type { ImageRef } from '../../packages/sdk/src/image/contract.js';
import type { Fault, Operation } from '../faults/fault-file-system.mjs';
import { FilesPlace, type Life, type LifeWish } from '../fixtures/files-place.js';

const THIS: ImageRef = { id: 'a'.repeat(32), epoch: 1, generation: 1 };
const OTHER: ImageRef = { id: 'b'.repeat(32), epoch: 1, generation: 2 };
const FILES = ['a', 'b', 'c'];
const BEFORE = 'recorded\nbeyond\n';
const AFTER = 'recorded\n';

/** A kill loses nothing that was written, so that no disk is needed; there are thousands of lives. */
function inMemory(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}

interface Scene {
  readonly at: FilesPlace;
  readonly declared: readonly FileDeclaration[];
  /** By the image `THIS`, which cuts, and by `OTHER`, which finds everything as it is. */
  readonly records: readonly TrackedFileRecord[];
  readonly longer: readonly TrackedFileRecord[];
}

async function threeFiles(): Promise<Scene> {
  const at = new FilesPlace(inMemory());
  const declared = FILES.map((file) => at.declare(file));
  for (const file of FILES) at.write(file, AFTER);
  const records = await Promise.all(declared.map((declaration) => at.record(declaration)));
  for (const file of FILES) appendFileSync(at.path(file), BEFORE.slice(AFTER.length));
  const longer = await Promise.all(declared.map((declaration) => at.record(declaration)));
  return { at, declared, records, longer };
}

async function start({ at, declared }: Scene, records: readonly TrackedFileRecord[], wish: LifeWish): Promise<Life> {
  const life = await at.life(wish);
  await (await life.start(records, declared)).done();
  return life;
}

/** Starts from THIS and halts there. @returns what the files are then */
async function killedStart(scene: Scene, fault: Fault, records = scene.records, source = THIS): Promise<(string | undefined)[]> {
  const { at, declared } = scene;
  const life = await at.life({ source, faults: [fault] });
  void life.start(records, declared).then((hold) => hold.done());
  await life.recording.halted;
  await life.recording.abandon();
  return FILES.map((file) => at.text(file));
}

/** Every operation of a start, each with both moments. */
async function moments(run: (scene: Scene) => Promise<Life>): Promise<Fault[]> {
  const scene = await threeFiles();
  const { recording } = await run(scene);
  scene.at.remove();
  return recording.operations.flatMap((_, index) => [
    { nth: index + 1, action: 'halt-before' } as const,
    { nth: index + 1, action: 'halt-after' } as const,
  ]);
}

/** The moments at which the disk is another one than before: a kill before a read is one before the next change. */
function changes({ recording }: Life): Fault[] {
  return recording.operations.flatMap((operation, index) =>
    isChange(operation) ? [{ nth: index + 1, action: 'halt-after' } as const] : [],
  );
}

function isChange({ name, flags = 0 }: Operation): boolean {
  return name === 'open' ? (flags & constants.O_CREAT) !== 0 : ['write', 'truncate', 'link', 'unlink'].includes(name);
}

function tidy(at: FilesPlace): void {
  expect(at.journal().filter((file) => file.startsWith('apply'))).toEqual([]);
}

/** Every byte that was cut is in some file that was kept. */
function keptAll(at: FilesPlace): void {
  for (const file of FILES)
    expect(Object.entries(at.tails()).some(([name, text]) => name.endsWith(`-${file}`) && text === 'beyond\n')).toBe(true);
}

describe('a start that cuts three files', () => {
  it('killed at any operation leaves each as before or as after, and the next start completes', async () => {
    const faults = await moments((scene) => start(scene, scene.records, { source: THIS }));
    expect(faults.length).toBeGreaterThan(150);
    const seen = new Set<string>();
    for (const fault of faults) {
      const scene = await threeFiles();
      const found = await killedStart(scene, fault);
      expect(found.every((text) => text === BEFORE || text === AFTER)).toBe(true);
      seen.add(found.map((text) => (text === BEFORE ? 'before' : 'after')).join());
      await start(scene, scene.records, { source: THIS });
      expect(FILES.map((file) => scene.at.text(file))).toEqual(FILES.map(() => AFTER));
      keptAll(scene.at);
      tidy(scene.at);
      scene.at.remove();
    }
    expect(seen).toEqual(new Set(['before,before,before', 'after,before,before', 'after,after,before', 'after,after,after']));
  }, 240_000);

  it('F65: killed at any operation and then started from another image is rolled back first', async () => {
    const probe = await threeFiles();
    const faults = changes(await start(probe, probe.records, { source: THIS }));
    probe.at.remove();
    expect(faults.length).toBeGreaterThan(20);
    for (const fault of faults) {
      const scene = await threeFiles();
      const found = await killedStart(scene, fault);
      const over = found.every((text) => text === AFTER) && scene.at.journal().every((file) => !/^apply-\d+-\d+$/.test(file));
      if (!over) {
        await start(scene, scene.longer, { source: OTHER });
        expect(FILES.map((file) => scene.at.text(file))).toEqual(FILES.map(() => BEFORE));
        expect(scene.at.tails()).toEqual({});
        tidy(scene.at);
      }
      scene.at.remove();
    }
  }, 240_000);

  it('F65: killed again at any operation of that rollback, the one after completes either way', async () => {
    // After the second of three files was cut.
    const half: Fault = { op: 'truncate', nth: 2, action: 'halt-after' };
    const probe = await threeFiles();
    await killedStart(probe, half);
    const faults = changes(await start(probe, probe.longer, { source: OTHER }));
    probe.at.remove();
    expect(faults.length).toBeGreaterThan(8);
    let onward = false;
    for (const fault of faults.flatMap((one) => [one, one])) {
      const scene = await threeFiles();
      await killedStart(scene, half);
      await killedStart(scene, fault, scene.longer, OTHER);
      onward = !onward;
      const [records, source, text] = onward ? [scene.longer, OTHER, BEFORE] : [scene.records, THIS, AFTER];
      await start(scene, records, { source });
      expect(FILES.map((file) => scene.at.text(file))).toEqual(FILES.map(() => text));
      tidy(scene.at);
      scene.at.remove();
    }
  }, 240_000);

  it('with a third that is bad has not touched the first two, wherever it is killed', async () => {
    const scene = await threeFiles();
    scene.at.write('c', 'other bytes\nbeyond\n');
    for (let nth = 1, over = false; !over; nth++) {
      const life = await scene.at.life({ source: THIS, faults: [{ nth, action: 'halt-after' }] });
      const failing = life.start(scene.records, scene.declared).catch((error: unknown) => error);
      await Promise.race([life.recording.halted, failing]);
      over = life.recording.fired.length === 0;
      if (over) expect(await failing).toMatchObject({ code: 'ERR_CKPT_FILE_CHANGED' });
      await life.recording.abandon();
      expect(['a', 'b'].map((file) => scene.at.text(file))).toEqual([BEFORE, BEFORE]);
    }
    scene.at.remove();
  });
});

describe('a start that puts back what one from an older image had cut', () => {
  /** The older start is over, and its life has written on. */
  async function cutBefore(): Promise<Scene> {
    const scene = await threeFiles();
    await scene.at.life(); // the one that made both images
    await start(scene, scene.records, { source: THIS });
    for (const file of FILES) appendFileSync(scene.at.path(file), 'of another branch\n');
    return scene;
  }

  it('F65: killed at any operation is completed by the next start, and by one after another start from the older image', async () => {
    const probe = await cutBefore();
    const faults = changes(await start(probe, probe.longer, { source: OTHER }));
    probe.at.remove();
    expect(faults.length).toBeGreaterThan(20);
    for (const [index, fault] of faults.entries()) {
      const scene = await cutBefore();
      await killedStart(scene, fault, scene.longer, OTHER);
      if (index % 2 === 0) {
        await start(scene, scene.records, { source: THIS });
        expect(FILES.map((file) => scene.at.text(file))).toEqual(FILES.map(() => AFTER));
      }
      await start(scene, scene.longer, { source: OTHER });
      expect(FILES.map((file) => scene.at.text(file))).toEqual(FILES.map(() => BEFORE));
      tidy(scene.at);
      scene.at.remove();
    }
  }, 240_000);
});

describe('a start that removes one file, puts back the content of another and makes a third', () => {
  const contents = { 'file:b': 'content of b', 'file:c': 'content of c' };
  const results = [undefined, contents['file:b'], contents['file:c']];

  async function mixed(): Promise<Scene> {
    const at = new FilesPlace(inMemory());
    const declared = [at.declare('a'), at.declare('b', { flags: 'r+' }), at.declare('c', { policy: 'contents' })];
    const first = await at.life();
    await first.append(at.declare('a'), 'made by the run');
    for (const file of ['b', 'c']) at.write(file, contents[`file:${file}` as 'file:b' | 'file:c']);
    const records = [];
    for (const declaration of declared.slice(1)) {
      records.push({ ...(await at.record(declaration)), contents: `file:${declaration.name}` });
    }
    at.write('b', 'content OF b and more');
    await first.context.fileSystem.unlink(at.path('c'));
    return { at, declared, records, longer: [] };
  }

  const SOURCE: ImageRef = { ...THIS, generation: 0 };

  it('killed at any operation is completed by the next start, and rolled back by one from another image', async () => {
    const probe = await mixed();
    const faults = changes(await start(probe, probe.records, { source: SOURCE, contents }));
    expect(FILES.map((file) => probe.at.text(file))).toEqual(results);
    probe.at.remove();
    expect(faults.length).toBeGreaterThan(20);
    for (const fault of faults) {
      for (const from of [SOURCE, OTHER]) {
        const scene = await mixed();
        const killed = await scene.at.life({ source: SOURCE, contents, faults: [fault] });
        killed.start(scene.records, scene.declared).then(
          (hold) => hold.done(),
          () => {},
        );
        await killed.recording.halted;
        await killed.recording.abandon();
        const over = scene.at.journal().every((file) => !/^apply-\d+-\d+$/.test(file)) && scene.at.text('a') === undefined;
        if (from === SOURCE) {
          await start(scene, scene.records, { source: from, contents });
          expect(FILES.map((file) => scene.at.text(file))).toEqual(results);
          tidy(scene.at);
        } else if (!over) {
          const declared = ['a', 'b', 'c'].map((file) => scene.at.declare(file, { flags: file === 'a' ? 'a' : 'w' }));
          await start({ ...scene, declared }, [], { source: from });
          expect(FILES.map((file) => scene.at.text(file))).toEqual(['made by the run', 'content OF b and more', undefined]);
          tidy(scene.at);
        }
        scene.at.remove();
      }
    }
  }, 240_000);
});

describe('opening a file late', () => {
  it.each(['a', 'w', 'wx', 'r+'] as const)(
    "F77: with flags '%s', killed at any operation, the next start opens it as if nothing had been",
    async (flags) => {
      const was = flags === 'wx' ? undefined : 'of the user\n';
      const prepare = async (): Promise<FilesPlace> => {
        const at = new FilesPlace(inMemory());
        if (was !== undefined) at.write('late', was);
        const life = await at.life({ source: THIS });
        const opened = await openTracked(at.declare('late', { flags }), undefined, life.context);
        await opened.file.write(Buffer.from('line\n'), 0, 5, opened.position);
        await opened.file.close();
        return at;
      };
      const probe = await prepare();
      const life = await probe.life({ source: THIS });
      await (await openTracked(probe.declare('late', { flags }), undefined, life.context)).file.close();
      const expected = probe.text('late');
      expect(expected).toBe(flags === 'w' || flags === 'wx' ? '' : was);
      const faults = changes(life);
      probe.remove();
      expect(faults.length).toBeGreaterThan(2);
      for (const fault of faults) {
        const at = await prepare();
        const killed = await at.life({ source: THIS, faults: [fault] });
        openTracked(at.declare('late', { flags }), undefined, killed.context).catch(() => {});
        await killed.recording.halted;
        await killed.recording.abandon();
        const next = await at.life({ source: THIS });
        await (await next.start([], [])).done();
        await (await openTracked(at.declare('late', { flags }), undefined, next.context)).file.close();
        expect(at.text('late')).toBe(expected);
        tidy(at);
        at.remove();
      }
    },
    240_000,
  );
});
