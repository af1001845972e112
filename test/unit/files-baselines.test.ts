/** Files that the source image does not record: back to what they were while it was the newest. */
import { appendFileSync, copyFileSync, existsSync, mkdirSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FileDeclaration } from '../../packages/sdk/src/files/contract.js';
import { openTracked } from '../../packages/sdk/src/files/opening.js';
import type { ImageRef } from '../../packages/sdk/src/image/contract.js';
import { FilesPlace, type LifeWish, thrown } from '../fixtures/files-place.js';

function place(): FilesPlace {
  const made = new FilesPlace();
  onTestFinished(() => made.remove());
  return made;
}

/** A life that starts, opens the file, appends, and is killed. */
async function lived(at: FilesPlace, declaration: FileDeclaration, text: string, wish: LifeWish = {}): Promise<void> {
  const life = await at.life(wish);
  await (await life.start([], [declaration])).done();
  await life.append(declaration, text);
}

const code = (name: string): object => expect.objectContaining({ code: name });

describe('killed before the first image', () => {
  it.each(['a', 'w', 'wx'] as const)(
    "F61: a file that the run made with flags '%s' is not doubled by the next fresh start",
    async (flags) => {
      const at = place();
      const declaration = at.declare('out', { flags });
      await lived(at, declaration, 'line\n');
      await lived(at, declaration, 'line\n');
      await lived(at, declaration, 'line\n');
      expect(at.text('out')).toBe('line\n');
    },
  );

  it('F61: a file that was there before goes on at its end, once', async () => {
    const at = place();
    at.write('out', 'of the user\n');
    for (let start = 0; start < 3; start++) await lived(at, at.declare('out'), 'line\n');
    expect(at.text('out')).toBe('of the user\nline\n');
    expect(Object.values(at.tails())).toEqual(['line\n', 'line\n']);
  });

  it('F61: killed between making the file and recording that, the empty file goes', async () => {
    const at = place();
    const declaration = at.declare('out', { flags: 'wx' });
    const life = await at.life({ faults: [{ op: 'write', path: '/tmp/e', nth: 2, action: 'halt-before' }] });
    void openTracked(declaration, undefined, life.context);
    await life.recording.halted;
    await life.recording.abandon();
    expect(at.text('out')).toBe('');
    await lived(at, declaration, 'line\n');
    expect(at.text('out')).toBe('line\n');
  });

  it('the baseline is durable before the file is made, and that it was made before the handle is given out', async () => {
    const at = place();
    const life = await at.life();
    await life.append(at.declare('out'), 'line\n');
    const steps = life.recording.operations.map(({ name, path, to }) => `${name} ${to ?? path}`);
    const at0 = (step: string): number => steps.findIndex((taken) => taken.startsWith(step));
    const synced = (from: number): number => steps.indexOf(`fsync-directory ${at.store}/journal`, from);
    const made = at0(`open ${at.path('out')}`);
    expect(synced(at0(`link ${at.store}/journal/base-`))).toBeLessThan(made);
    expect(at0(`link ${at.store}/journal/base-`)).toBeGreaterThan(-1);
    expect(synced(at0(`link ${at.store}/journal/made-`))).toBeLessThan(at0(`write ${at.path('out')}`));
    expect(at0(`link ${at.store}/journal/made-`)).toBeGreaterThan(made);
  });

  it("a file in place of the one that the run made is refused and stays, also with flags 'wx'", async () => {
    for (const flags of ['a', 'wx'] as const) {
      const at = place();
      const declaration = at.declare('out', { flags });
      await lived(at, declaration, 'line\n');
      renameSync(at.path('out'), at.path('mine'));
      at.write('out', 'of the user\n');
      await expect(lived(at, declaration, 'line\n')).rejects.toEqual(code('ERR_CKPT_FILE_CHANGED'));
      expect(at.text('out')).toBe('of the user\n');
    }
  });

  it("flags 'wx' refuse a file that is there at the first start, before anything is done", async () => {
    const at = place();
    at.write('out', 'of the user\n');
    const other = at.declare('other');
    const life = await at.life();
    await expect(life.start([], [other, at.declare('out', { flags: 'wx' })])).rejects.toEqual(code('ERR_CKPT_FILE'));
    expect(existsSync(at.path('other'))).toBe(false);
  });

  it('a file that was there before and is shorter, replaced or changed now is refused', async () => {
    for (const since of [
      (at: FilesPlace) => at.write('out', 'of'),
      (at: FilesPlace) => at.write('out', 'of the USER\nline\n'),
      (at: FilesPlace) => {
        copyFileSync(at.path('out'), at.path('copy'));
        renameSync(at.path('copy'), at.path('out'));
      },
      (at: FilesPlace) => unlinkSync(at.path('out')),
    ]) {
      const at = place();
      at.write('out', 'of the user\n');
      await lived(at, at.declare('out'), 'line\n');
      since(at);
      const found = at.text('out');
      const error = await thrown(lived(at, at.declare('out'), 'line\n'));
      expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_CKPT_FILE_(?:CHANGED|MISSING)$/) });
      expect(at.text('out')).toBe(found);
    }
  });

  it('one bad file of a fresh start leaves the others as they are', async () => {
    const at = place();
    const declared = ['a', 'b', 'c'].map((file) => at.declare(file));
    const first = await at.life();
    for (const declaration of declared) await first.append(declaration, 'line\n');
    at.write('c', 'x');
    renameSync(at.path('c'), at.path('elsewhere'));
    at.write('c', 'of the user\n');
    const second = await at.life();
    await expect(second.start([], declared)).rejects.toEqual(code('ERR_CKPT_FILE_CHANGED'));
    expect([at.text('a'), at.text('b')]).toEqual(['line\n', 'line\n']);
  });
});

describe('opened late', () => {
  it('F77: after the last image and appended to: a restart from that image doubles nothing', async () => {
    const at = place();
    const late = at.declare('late');
    const first = await at.life();
    const image = first.capture(1);
    await first.append(late, 'line\n');
    for (let start = 0; start < 2; start++) {
      const life = await at.life({ source: image });
      await (await life.start([], [])).done();
      expect(at.text('late')).toBe('line\n');
      await life.append(late, 'line\n');
      expect(at.text('late')).toBe('line\n');
    }
  });

  it('F77: a file that was there before is cut back to what it was', async () => {
    const at = place();
    at.write('late', 'of the user\n');
    const first = await at.life();
    const image = first.capture(1);
    await first.append(at.declare('late'), 'line\n');
    const life = await at.life({ source: image });
    await life.append(at.declare('late'), 'line\n');
    expect(at.text('late')).toBe('of the user\nline\n');
  });

  it("F77: with flags 'r+' its content comes back from the copy made before the first write", async () => {
    const at = place();
    at.write('db', 'aaaaaaaaaa');
    const db = at.declare('db', { flags: 'r+' });
    const first = await at.life();
    const image = first.capture(1);
    const opened = await openTracked(db, undefined, first.context);
    await opened.file.write(Buffer.from('ZZZ'), 0, 3, 4);
    await opened.file.truncate(7);
    await opened.file.close();
    expect(at.text('db')).toBe('aaaaZZZ');
    const second = await at.life({ source: image });
    await (await openTracked(db, undefined, second.context)).file.close();
    expect(at.text('db')).toBe('aaaaaaaaaa');
    expect(Object.keys(at.tails()).filter((file) => file.startsWith('copy-'))).toHaveLength(1);
    unlinkSync(at.path('db'));
    const third = await at.life({ source: image });
    await (await openTracked(db, undefined, third.context)).file.close();
    expect(at.text('db')).toBe('aaaaaaaaaa');
  });

  it('F77: a copy that was damaged in the store is not used', async () => {
    const at = place();
    at.write('db', 'aaaaaaaaaa');
    const db = at.declare('db', { flags: 'r+' });
    const first = await at.life();
    await (await openTracked(db, undefined, first.context)).file.close();
    const [copy = ''] = Object.keys(at.tails());
    writeFileSync(join(at.store, 'tails', copy), 'aaaaaXaaaa');
    const second = await at.life();
    await expect(openTracked(db, undefined, second.context)).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
    expect(at.text('db')).toBe('aaaaaaaaaa');
  });

  it('a file that was closed and is opened again in the same life goes on at its end', async () => {
    const at = place();
    const life = await at.life();
    await life.append(at.declare('out'), 'one\n');
    await life.append(at.declare('out'), 'two\n');
    life.capture(1);
    await life.append(at.declare('out'), 'three\n');
    expect(at.text('out')).toBe('one\ntwo\nthree\n');
  });

  it('a recorded file that is closed and opened again goes on at its end, whatever earlier lives did', async () => {
    const at = place();
    const out = at.declare('out');
    const first = await at.life();
    await first.append(out, 'one\n');
    const image = first.capture(1);
    const record = await at.record(out);
    await first.append(out, 'lost\n');
    const second = await at.life({ source: image });
    await (await second.start([record], [out])).done();
    await second.append(out, 'two\n', record);
    await second.append(out, 'three\n');
    expect(at.text('out')).toBe('one\ntwo\nthree\n');
  });

  it.each(['a', 'wx', 'r+'] as const)(
    'F77: with flags %s, what a life wrote for nothing is taken back also when lives and images lie between',
    async (flags) => {
      const at = place();
      if (flags === 'r+') at.write('late', '.....');
      const late = at.declare('late', { flags });
      const first = await at.life();
      const one = first.capture(1);
      await first.append(late, 'lost\n');
      const second = await at.life({ source: one });
      const two = second.capture(2); // it has not come to the file when it is killed
      const third = await at.life({ source: two });
      await third.context.baselines.clean([one, two], two);
      await third.append(late, 'ab');
      expect(at.text('late')).toBe(flags === 'r+' ? 'ab...' : 'ab');
    },
  );

  it('a file that was closed before the image stays as it is, whatever lives before did for nothing', async () => {
    const at = place();
    const out = at.declare('out');
    const first = await at.life();
    const one = first.capture(1);
    await first.append(out, 'lost\n');
    const second = await at.life({ source: one });
    await second.append(out, 'kept\n');
    const two = second.capture(2);
    for (let start = 0; start < 3; start++) {
      const life = await at.life({ source: two });
      await life.context.baselines.clean([one, two], two);
      await (await life.start([], [out])).done();
      expect(at.text('out')).toBe('kept\n');
    }
    const last = await at.life({ source: two });
    await last.append(out, 'more\n');
    expect(at.text('out')).toBe('kept\nmore\n');
  });

  it('each image finds the file as it was while that image was the newest', async () => {
    const at = place();
    const out = at.declare('out');
    const first = await at.life();
    const images: ImageRef[] = [];
    for (const generation of [1, 2, 3]) {
      images.push(first.capture(generation));
      await first.append(out, `${generation}\n`);
    }
    expect(at.text('out')).toBe('1\n2\n3\n');
    for (const [index, text] of [
      [2, '1\n2\nx'],
      [1, '1\nx'],
      [0, 'x'],
    ] as const) {
      const life = await at.life({ source: images[index] as ImageRef }); // there are three
      await life.append(out, 'x');
      expect(at.text('out')).toBe(text);
    }
  });

  it('in a folder that was moved with its store nothing is doubled either', async () => {
    const at = place();
    const relative = (folder: string): FileDeclaration => ({ ...at.declare('late'), given: 'late', path: join(folder, 'late') });
    const first = await at.life();
    const image = first.capture(1);
    await first.append(relative(at.folder), 'line\n');
    const moved = join(at.folder, '..', 'moved');
    renameSync(at.folder, moved);
    const life = await at.life({ source: image });
    await life.append(relative(moved), 'line\n');
    mkdirSync(at.folder);
    expect(at.text('../moved/late')).toBe('line\n');
  });
});

describe('the entries', () => {
  it('that no restart can need go, and the earliest of each file stays', async () => {
    const at = place();
    const out = at.declare('out');
    for (let start = 0; start < 4; start++) await lived(at, out, 'line\n');
    const life = await at.life();
    expect(at.journal().filter((file) => file.startsWith('base-'))).toHaveLength(4);
    await life.context.baselines.clean([], null);
    expect(at.journal().filter((file) => file.startsWith('base-'))).toEqual(['base-1-1']);
    await lived(at, out, 'line\n');
    expect(at.text('out')).toBe('line\n');
  });

  it('stay as long as an image lies between them', async () => {
    const at = place();
    const out = at.declare('out');
    const first = await at.life();
    await first.append(out, 'one\n');
    const image = first.capture(1);
    await first.append(out, 'two\n');
    const second = await at.life({ source: image });
    await second.context.baselines.clean([image], image);
    expect(at.journal().filter((file) => file.startsWith('base-'))).toHaveLength(2);
    await second.append(out, 'again\n');
    expect(at.text('out')).toBe('one\nagain\n');
    const third = await at.life();
    await third.context.baselines.clean([], null);
    expect(at.journal().filter((file) => file.startsWith('base-'))).toHaveLength(1);
  });

  it('keep their copies, and copies that nothing refers to go', async () => {
    const at = place();
    at.write('db', 'content');
    const db = at.declare('db', { flags: 'r+' });
    const first = await at.life();
    await (await openTracked(db, undefined, first.context)).file.close();
    writeFileSync(join(at.store, 'tails', 'copy-1-99'), 'left over');
    const second = await at.life();
    await second.context.baselines.clean([], null);
    expect(Object.values(at.tails())).toEqual(['content']);
  });

  it.each([
    ['fsync-directory', 'tails', 'ERR_CKPT_UNCERTAIN'],
    ['write', 'tmp', 'ERR_CKPT_IO'],
  ] as const)('leave no copy behind that could not be finished (%s)', async (op, path, refused) => {
    const at = place();
    at.write('db', 'content');
    const life = await at.life({ faults: [{ op, path: `/${path}`, action: 'errno:EIO' }] });
    await expect(openTracked(at.declare('db', { flags: 'r+' }), undefined, life.context)).rejects.toMatchObject({ code: refused });
    expect(life.recording.fired).toHaveLength(1);
    expect(at.tails()).toEqual({});
    expect(at.text('db')).toBe('content');
  });

  it('of a damaged or moved record refuse the start and name it', async () => {
    const at = place();
    await lived(at, at.declare('out'), 'line\n');
    const journal = join(at.store, 'journal');
    copyFileSync(join(journal, 'base-1-1'), join(journal, 'base-7-1'));
    await expect(at.life()).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
    writeFileSync(join(journal, 'base-7-1'), '{"epoch":7');
    const error = await thrown(at.life());
    expect(error).toMatchObject({ code: 'ERR_CKPT_STORE_UNSAFE' });
    expect(String(error)).toContain('base-7-1');
  });

  it('of a life that was fenced are not written', async () => {
    const at = place();
    const old = await at.life();
    await at.life();
    await expect(openTracked(at.declare('out'), undefined, old.context)).rejects.toEqual(code('ERR_CKPT_FENCED'));
    expect([at.text('out'), at.journal()]).toEqual([undefined, []]);
  });
});

describe('a start that failed', () => {
  it('leaves neither the files that it made nor what it appended, and no entries', async () => {
    const at = place();
    at.write('there', 'of the user\n');
    const [made, there] = [at.declare('made', { flags: 'wx' }), at.declare('there')];
    const life = await at.life();
    const hold = await life.start([], [made, there]);
    await life.append(made, 'x');
    await life.append(there, 'y');
    await hold.undo();
    expect([at.text('made'), at.text('there')]).toEqual([undefined, 'of the user\n']);
    expect(at.journal().filter((file) => file.startsWith('base-'))).toEqual([]);
  });

  it('F65: makes a file anew whose removal is undone, and an image that recorded the old one finds it', async () => {
    const at = place();
    const out = at.declare('out');
    const first = await at.life();
    await first.append(out, 'one\n');
    const image = first.capture(1);
    const record = await at.record(out);
    await first.append(out, 'two\n');
    const before = statSync(at.path('out')).ino;
    const fresh = await at.life();
    const hold = await fresh.start([], [out]);
    expect(at.text('out')).toBe(undefined);
    at.write('holds the old inode', '');
    await hold.undo();
    expect([at.text('out'), statSync(at.path('out')).ino === before]).toEqual(['one\ntwo\n', false]);
    const again = await at.life({ source: image });
    await (await again.start([record], [out])).done();
    expect(at.text('out')).toBe('one\n');
  });

  it('puts back what it had removed, and the next start removes it again', async () => {
    const at = place();
    const out = at.declare('out', { flags: 'wx' });
    await lived(at, out, 'first life\n');
    const second = await at.life();
    const hold = await second.start([], [out]);
    await second.append(out, 'second life\n');
    await hold.undo();
    expect(at.text('out')).toBe('first life\n');
    await lived(at, out, 'third life\n');
    expect(at.text('out')).toBe('third life\n');
  });
});

describe('opening', () => {
  it("gives the program's permissions to a file that it makes, and leaves those of others", async () => {
    const at = place();
    at.write('there', '');
    const before = statSync(at.path('there')).mode;
    const life = await at.life();
    await life.append(at.declare('made', { mode: 0o600 }), 'x');
    await life.append(at.declare('there', { mode: 0o600 }), 'x');
    expect([statSync(at.path('made')).mode & 0o777, statSync(at.path('there')).mode]).toEqual([0o600, before]);
  });

  it('of a file that is missing, or in a folder that is, is refused before anything is done', async () => {
    const at = place();
    const first = at.declare('first');
    const life = await at.life();
    for (const declaration of [at.declare('in', { flags: 'r' }), at.declare('db', { flags: 'r+' }), at.declare('no/out')])
      await expect(life.start([], [first, declaration])).rejects.toEqual(code('ERR_CKPT_FILE_MISSING'));
    expect(existsSync(at.path('first'))).toBe(false);
  });

  it('F44: a handle is never opened with O_APPEND, so that its position is its own', async () => {
    const at = place();
    at.write('out', 'abc');
    const life = await at.life();
    const opened = await openTracked(at.declare('out'), undefined, life.context);
    appendFileSync(at.path('out'), 'grown by somebody');
    await opened.file.write(Buffer.from('d'), 0, 1, opened.position);
    await opened.file.close();
    expect(at.text('out')).toBe('abcdrown by somebody');
  });

  it('F61: a file that a start itself made from an image was not there before, so a later fresh start does not double it', async () => {
    const origin = place();
    const declaration = origin.declare('out', { flags: 'w', policy: 'contents' });
    origin.write('out', 'line\n');
    const record = { ...(await origin.record(declaration)), contents: 'file:out' };
    unlinkSync(origin.path('out'));
    const source: ImageRef = { id: 'a'.repeat(32), epoch: 1, generation: 1 };
    const appended = origin.declare('out', { flags: 'a', policy: 'contents' });
    const life = await origin.life({ source, contents: { 'file:out': 'line\n' } });
    await (await life.start([record], [appended])).done();
    await life.append(appended, 'more\n', record);
    await lived(origin, appended, 'line\n');
    expect(origin.text('out')).toBe('line\n');
  });
});
