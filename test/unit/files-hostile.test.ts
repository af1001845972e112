/** Paths that only an image or a store names: nothing outside the roots is read, cut or made through them. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, linkSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FileSystem } from '../../packages/sdk/src/base/ports.js';
import { systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import { hashRange } from '../../packages/sdk/src/files/check.js';
import type { FileOptions, TrackedFileRecord } from '../../packages/sdk/src/files/contract.js';
import { openTracked } from '../../packages/sdk/src/files/opening.js';
import type { ImageRef } from '../../packages/sdk/src/image/contract.js';
import { FilesPlace, type LifeWish, thrown } from '../fixtures/files-place.js';
import { needTool } from '../fixtures/tools.js';

const SOURCE: ImageRef = { id: 'a'.repeat(32), epoch: 1, generation: 1 };
const UNSAFE = { code: 'ERR_CKPT_FILE_UNSAFE' };

function place(): FilesPlace {
  const made = new FilesPlace();
  onTestFinished(() => made.remove());
  return made;
}

/** A record that is true in all but its path: the file below `real` with 4 of its bytes. */
async function recordOf(at: FilesPlace, real: string, path: string, options: FileOptions = {}): Promise<TrackedFileRecord> {
  const declaration = { ...at.declare('out', options), path: real };
  return { ...(await at.record(declaration, { size: 4 })), path };
}

/** Restarts from an image with that record, of which the program declares nothing. */
async function restart(at: FilesPlace, record: TrackedFileRecord, wish: LifeWish = {}): Promise<unknown> {
  const life = await at.life({ source: SOURCE, ...wish });
  return thrown(life.start([record], []));
}

describe('a path that only the image names', () => {
  it('is cut below a root, through the descriptor', async () => {
    const at = place();
    at.write('out', '0123456789');
    expect(await restart(at, await recordOf(at, at.path('out'), at.path('out')))).toBeUndefined();
    expect(at.text('out')).toBe('0123');
  });

  it('may be recorded through the name of a root that is a link itself', async () => {
    const at = place();
    at.write('out', '0123456789');
    symlinkSync(at.folder, join(at.folder, '../root'));
    const record = await recordOf(at, at.path('out'), join(at.folder, '../root/out'));
    expect(await restart(at, record, { roots: [join(at.folder, '../root')] })).toBeUndefined();
    expect(at.text('out')).toBe('0123');
  });

  it.each<[string, (at: FilesPlace) => string]>([
    ['F42: outside the roots', (at) => join(at.folder, '../elsewhere/victim')],
    ['F42: with ..', (at) => `${at.folder}/../elsewhere/victim`],
    ['F42: relative', () => '../elsewhere/victim'],
    ['F42: with NUL', (at) => `${at.folder}/victim\0`],
    ['F42: beside a root that it begins like', (at) => `${at.folder}-not/victim`],
    ['F43: through a folder that is a link', (at) => at.path('link/victim')],
    ['F43: that is a link', (at) => at.path('symlink')],
    ['F43: with two links', (at) => at.path('hardlink')],
    ['F43: that is a folder', (at) => at.path('folder')],
    ['F43: that is a device', () => '/dev/null'],
  ])('%s is refused, and nothing is read or cut there', async (what, path) => {
    const at = place();
    const elsewhere = join(at.folder, '../elsewhere');
    for (const folder of [elsewhere, `${at.folder}-not`, at.path('folder')]) {
      mkdirSync(folder);
      writeFileSync(join(folder, 'victim'), '0123456789');
    }
    symlinkSync(elsewhere, at.path('link'));
    symlinkSync(join(elsewhere, 'victim'), at.path('symlink'));
    linkSync(join(elsewhere, 'victim'), at.path('hardlink'));
    const record = await recordOf(at, join(elsewhere, 'victim'), path(at));
    const life = await at.life({ source: SOURCE, roots: path(at) === '/dev/null' ? ['/dev'] : [at.folder] });
    expect(await thrown(life.start([record], []))).toMatchObject(UNSAFE);
    expect(at.text('../elsewhere/victim')).toBe('0123456789');
    expect(at.text('../work-not/victim')).toBe('0123456789');
    const { operations } = life.recording;
    expect(operations.filter(({ name }) => ['read', 'truncate', 'write'].includes(name))).toEqual([]);
    if (what.startsWith('F42')) expect(operations.filter((operation) => operation.path === record.path)).toEqual([]);
  });

  it('F43: that is a pipe is refused and not waited for, also when it is swapped in', async (context) => {
    needTool(context, 'mkfifo');
    for (const flags of ['a', 'r'] as const) {
      const at = place();
      at.write('out', '0123456789');
      const record = await recordOf(at, at.path('out'), at.path('out'), { flags });
      rmSync(at.path('out'));
      execFileSync('mkfifo', [at.path('out')]);
      expect(await restart(at, record)).toMatchObject(UNSAFE);
      rmSync(at.path('out'));
      at.write('out', '0123456789');
      const swapping = beforeOpen(at.path('out'), () => {
        rmSync(at.path('out'));
        execFileSync('mkfifo', [at.path('out')]);
      });
      expect(await restart(at, record, { fileSystem: swapping })).toMatchObject(UNSAFE);
    }
  });

  /** A folder that is swapped for a link right before or right after the open; `back` swaps it again at once. */
  it.each<[string, 'before' | 'after', boolean]>([
    ['before the open', 'before', false],
    ['before the open, and back right after', 'before', true],
    ['after the open', 'after', false],
  ])('F43: below a folder that is swapped for a link %s is refused', async (_, when, back) => {
    const at = place();
    const elsewhere = join(at.folder, '../elsewhere');
    for (const folder of [elsewhere, at.path('folder')]) {
      mkdirSync(folder);
      writeFileSync(join(folder, 'out'), '0123456789');
    }
    const swap = (): void => {
      renameSync(at.path('folder'), at.path('aside'));
      symlinkSync(elsewhere, at.path('folder'));
    };
    const swapBack = (): void => {
      rmSync(at.path('folder'));
      renameSync(at.path('aside'), at.path('folder'));
    };
    const record = await recordOf(at, join(elsewhere, 'out'), at.path('folder/out'));
    const fileSystem: FileSystem = {
      ...systemFileSystem,
      open: async (path, ...more) => {
        if (path !== at.path('folder/out')) return systemFileSystem.open(path, ...more);
        if (when === 'before') swap();
        const file = await systemFileSystem.open(path, ...more);
        if (when === 'after') swap();
        if (back) swapBack();
        return file;
      },
    };
    expect(await restart(at, record, { fileSystem })).toMatchObject(UNSAFE);
    expect(at.text('../elsewhere/out')).toBe('0123456789');
    expect(at.text(back ? 'folder/out' : 'aside/out')).toBe('0123456789');
  });

  it('F43: below a folder that is swapped between the plan and the cut is refused then', async () => {
    const at = place();
    const elsewhere = join(at.folder, '../elsewhere');
    for (const folder of [elsewhere, at.path('folder')]) {
      mkdirSync(folder);
      writeFileSync(join(folder, 'out'), '0123456789');
    }
    const record = await recordOf(at, at.path('folder/out'), at.path('folder/out'));
    let opens = 0;
    const fileSystem = beforeOpen(at.path('folder/out'), () => {
      opens += 1;
      if (opens !== 3) return;
      renameSync(at.path('folder'), at.path('aside'));
      symlinkSync(elsewhere, at.path('folder'));
    });
    expect(await restart(at, record, { fileSystem })).toMatchObject(UNSAFE);
    expect([at.text('../elsewhere/out'), at.text('aside/out')]).toEqual(['0123456789', '0123456789']);
  });

  it('is never written to or made: content waits until the program declares the file', async () => {
    for (const there of [true, false]) {
      const at = place();
      at.write('out', '0123');
      const declaration = at.declare('out', { policy: 'contents' });
      const record = { ...(await at.record(declaration)), contents: 'file:out' };
      at.write('out', '0123456789');
      if (!there) rmSync(at.path('out'));
      const life = await at.life({ source: SOURCE, contents: { 'file:out': 'evil' } });
      await (await life.start([record], [])).done();
      expect(at.text('out')).toBe(there ? '0123456789' : undefined);
      await (await openTracked(declaration, record, life.context)).file.close();
      expect(at.text('out')).toBe('evil');
    }
  });

  it('is not touched at all with a policy that checks nothing', async () => {
    const at = place();
    at.write('out', '0123456789');
    const record = await recordOf(at, at.path('out'), '/etc/passwd', { policy: 'volatile' });
    const life = await at.life({ source: SOURCE });
    await life.start([record], []);
    expect(life.recording.operations.filter(({ path }) => path === '/etc/passwd')).toEqual([]);
  });

  it('that two records name is refused', async () => {
    const at = place();
    at.write('out', '0123456789');
    const record = await recordOf(at, at.path('out'), at.path('out'));
    const life = await at.life({ source: SOURCE });
    expect(await thrown(life.start([record, { ...record, name: 'twin' }], []))).toMatchObject({ code: 'ERR_CKPT_FILE' });
  });
});

it('F43: a file that the image names by another path than the program is refused, and as it was', async () => {
  const at = place();
  at.write('out', '0123456789');
  symlinkSync(at.folder, at.path('link'));
  const record = await recordOf(at, at.path('out'), at.path('out'));
  const declared = at.declare('own', { flags: 'a' });
  const own = { ...record, name: 'own', path: at.path('link/out'), given: declared.given };
  const life = await at.life({ source: SOURCE });
  const error = await thrown(life.start([record, own], [{ ...declared, path: own.path }]));
  expect(error).toMatchObject({ code: 'ERR_CKPT_FILE' });
  expect([at.text('out'), at.journal()]).toEqual(['0123456789', []]);
});

describe('a path that the program registered', () => {
  it('may lead through a folder that is a link, and outside the roots', async () => {
    const at = place();
    mkdirSync(join(at.folder, '../elsewhere'));
    symlinkSync(join(at.folder, '../elsewhere'), at.path('link'));
    const life = await at.life({ roots: [] });
    await life.append(at.declare('link/out'), 'x');
    expect(at.text('../elsewhere/out')).toBe('x');
  });

  it.each<[string, (at: FilesPlace) => void]>([
    ['F43: a link', (at) => symlinkSync(at.path('victim'), at.path('out'))],
    ['F43: a dangling link', (at) => symlinkSync(at.path('nowhere'), at.path('out'))],
    ['F43: one of two links', (at) => linkSync(at.path('victim'), at.path('out'))],
    ['F43: a folder', (at) => mkdirSync(at.path('out'))],
  ])('%s is refused for every kind of writing, at the plan and at the open', async (_, make) => {
    for (const flags of ['a', 'w', 'wx', 'r+'] as const) {
      const at = place();
      at.write('victim', '0123456789');
      make(at);
      const life = await at.life();
      const declaration = at.declare('out', { flags });
      expect(await thrown(life.start([], [declaration]))).toMatchObject(UNSAFE);
      expect(await thrown(openTracked(declaration, undefined, life.context))).toMatchObject(UNSAFE);
      expect(at.text('victim')).toBe('0123456789');
    }
  });

  it('with several links may be read: nothing is changed through it', async () => {
    const at = place();
    at.write('in', '0123');
    linkSync(at.path('in'), at.path('other'));
    const life = await at.life();
    const opened = await openTracked(at.declare('in', { flags: 'r' }), undefined, life.context);
    await opened.file.close();
    expect(opened.size).toBe(4);
  });
});

describe('a hostile journal', () => {
  const forged = (path: string, ino: number): object => ({
    epoch: 1,
    generation: 1,
    source: { id: 'b'.repeat(32), epoch: 1, generation: 1 },
    actions: [{ do: 'rewrite', path, name: 'out', given: path, ino, keep: 0, before: 4, after: 4, tail: 'tail-1-1-1', mode: 0o600 }],
  });
  const hash = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
  const kept = { file: 'tail-1-1-1', size: 4, hash, prefix: { from: 0, to: 0, hash } };

  it('F42: cannot have anything written outside the roots while it is rolled back', async () => {
    const at = place();
    writeFileSync(join(at.folder, '../victim'), '0123456789');
    const { ino } = await systemFileSystem.lstat(join(at.folder, '../victim'));
    const life = await at.life();
    await life.context.journal.save('tail-1-1-1', (sink) => sink.write(Buffer.from('evil')));
    await life.context.journal.put('apply-1-1', forged(join(at.folder, '../victim'), ino));
    await life.context.journal.put('apply-1-1-go', { tails: [kept], grown: [] });
    expect(await restart(at, await ownRecord(at))).toMatchObject(UNSAFE);
    expect(at.text('../victim')).toBe('0123456789');
  });

  it.each([
    ['outside the roots is refused', '../victim', UNSAFE],
    ['through a link is refused', 'link/victim', UNSAFE],
    ['that is not there is refused, and none is made', 'none', UNSAFE],
  ])('F42: a closed file that is to come back %s', async (_, file, refused) => {
    const at = place();
    mkdirSync(at.path('folder'));
    symlinkSync(at.path('folder'), at.path('link'));
    for (const victim of ['../victim', 'folder/victim']) at.write(victim, '');
    const path = join(at.folder, file);
    const ino = existsSync(path) ? (await systemFileSystem.lstat(path)).ino : 7;
    const first = await at.life();
    const image = first.capture(1);
    const { journal } = first.context;
    const bytes = Buffer.from('evil');
    const evil = await hashRange({ read: async (target) => bytes.copy(target) }, 0, 4);
    await journal.save('tail-2-1-1', (sink) => sink.write(bytes));
    await journal.put('base-1-1', { name: 'out', given: path, path, epoch: 1, generation: 0, was: { kind: 'absent' } });
    const tail = { file: 'tail-2-1-1', size: 4, hash: evil, prefix: { from: 0, to: 0, hash } };
    const was = { kind: 'cut', keep: 0, size: 4, ino, tail };
    await journal.put('put-2-1-1', { name: 'out', given: path, path, epoch: 2, generation: 1, was });
    await at.life(); // the epoch of the forged record
    const life = await at.life({ source: image });
    expect(await thrown(life.start([], []))).toMatchObject(refused);
    expect([at.text('../victim'), at.text('folder/victim'), at.text('none')]).toEqual(['', '', undefined]);
  });

  it('whose kept bytes are not those of the record is refused', async () => {
    const at = place();
    at.write('victim', '0123456789');
    const { ino } = await systemFileSystem.lstat(at.path('victim'));
    const life = await at.life();
    await life.context.journal.save('tail-1-1-1', (sink) => sink.write(Buffer.from('evil')));
    await life.context.journal.put('apply-1-1', forged(at.path('victim'), ino));
    await life.context.journal.put('apply-1-1-go', { tails: [kept], grown: [] });
    expect(await restart(at, await ownRecord(at))).toMatchObject({ code: 'ERR_CKPT_STORE_UNSAFE' });
    expect(at.text('victim')).toBe('0123456789');
  });

  it('F75: of a copied store is left alone: what it speaks of belongs to the original', async () => {
    const at = place();
    at.write('victim', '0123456789');
    const { ino } = await systemFileSystem.lstat(at.path('victim'));
    const life = await at.life();
    await life.context.journal.put('apply-1-1', forged(at.path('victim'), ino));
    await life.context.journal.put('apply-1-1-go', { tails: [], grown: [] });
    expect(await restart(at, await ownRecord(at), { copied: true })).toBeUndefined();
    expect(at.text('victim')).toBe('0123456789');
    expect(at.journal()).toEqual([]);
  });

  it('F75: of a life in the copy itself is rolled back as ever', async () => {
    const at = place();
    at.write('victim', '0123456789');
    const { ino } = await systemFileSystem.lstat(at.path('victim'));
    const life = await at.life();
    await life.context.journal.put('apply-1-1', forged(at.path('victim'), ino));
    await life.context.journal.put('apply-1-1-go', { tails: [], grown: [] });
    expect(await restart(at, await ownRecord(at), { copied: true, copiedAfter: 0 })).toBeUndefined();
    expect(at.text('victim')).toBe('0123');
  });

  async function ownRecord(at: FilesPlace): Promise<TrackedFileRecord> {
    at.write('own', '0123');
    appendFileSync(at.path('own'), '');
    return recordOf(at, at.path('own'), at.path('own'));
  }
});

function beforeOpen(of: string, act: () => void): FileSystem {
  return {
    ...systemFileSystem,
    open: (path, ...more) => {
      if (path === of) act();
      return systemFileSystem.open(path, ...more);
    },
  };
}
