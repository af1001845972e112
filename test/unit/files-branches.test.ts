/** Files that lives of another branch have changed: back to what they were at the source image, or refused. */
import { mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FileDeclaration, TrackedFileRecord } from '../../packages/sdk/src/files/contract.js';
import { openTracked } from '../../packages/sdk/src/files/opening.js';
import type { ImageRef } from '../../packages/sdk/src/image/contract.js';
import { FilesPlace, type LifeWish, thrown } from '../fixtures/files-place.js';

function place(): FilesPlace {
  const made = new FilesPlace();
  onTestFinished(() => made.remove());
  return made;
}

const MIB = 1024 * 1024;
const code = (name: string): object => expect.objectContaining({ code: name });

interface Branches {
  readonly at: FilesPlace;
  readonly out: FileDeclaration;
  readonly older: ImageRef;
  readonly newer: ImageRef;
  /** The file in both images. */
  readonly records: { readonly older: TrackedFileRecord; readonly newer: TrackedFileRecord };
}

/** One life makes two images, `first` and `then` written before each; another goes on from the older and writes `other`. */
async function branches(first: string, then: string, other: string, wish: LifeWish = {}): Promise<Branches> {
  const at = place();
  const out = at.declare('out');
  const life = await at.life();
  await life.append(out, first);
  const older = life.capture(1);
  const record = await at.record(out);
  await life.append(out, then);
  const newer = life.capture(2);
  const records = { older: record, newer: await at.record(out) };
  const stray = await at.life({ ...wish, source: older, generation: 2 });
  await (await stray.start([record], [out])).done();
  await stray.append(out, other, record);
  return { at, out, older, newer, records };
}

const tailsOf = (at: FilesPlace): string[] => readdirSync(join(at.store, 'tails')).filter((file) => file.startsWith('tail-'));

function dropTails(at: FilesPlace): void {
  for (const file of tailsOf(at)) rmSync(join(at.store, 'tails', file));
}

describe('a file that a start from an older image cut, and that was written on since', () => {
  const [FIRST, THEN, OTHER] = ['first\n', `then ${'x'.repeat(3 * MIB)}`, `othe ${'x'.repeat(3 * MIB)}`];

  it.each(['open', 'closed'])(
    'comes back whole for the newer image, at which it was %s, also where the checked end is the same',
    async (how) => {
      const { at, out, newer, records } = await branches(FIRST, THEN, OTHER);
      expect(at.text('out')).toBe(FIRST + OTHER);
      const life = await at.life({ source: newer });
      await (await (how === 'open' ? life.start([records.newer], [out]) : life.start([], []))).done();
      expect(at.text('out') === FIRST + THEN).toBe(true);
    },
  );

  it.each(['open', 'closed'])('F41: is refused where its tail is gone and the checked end alone would pass (%s)', async (how) => {
    const { at, out, newer, records } = await branches(FIRST, THEN, OTHER);
    dropTails(at);
    const life = await at.life({ source: newer });
    const error = await thrown(how === 'open' ? life.start([records.newer], [out]) : life.start([], []));
    expect(error).toEqual(code('ERR_CKPT_FILE_CHANGED'));
    expect(String(error)).toContain(join(at.store, 'tails', 'tail-2-'));
    expect(at.text('out') === FIRST + OTHER).toBe(true);
  });

  it('is refused where its tail is damaged', async () => {
    const { at, out, newer, records } = await branches(FIRST, 'then', 'other');
    const [tail = ''] = tailsOf(at);
    writeFileSync(join(at.store, 'tails', tail), 'thex');
    for (const [record, declared] of [
      [[records.newer], [out]],
      [[], []],
    ] as const) {
      const life = await at.life({ source: newer });
      const error = await thrown(life.start(record, declared));
      expect(error).toEqual(code('ERR_CKPT_FILE_CHANGED'));
      expect(String(error)).toContain('holds other bytes');
    }
    expect(at.text('out')).toBe('first\nother');
  });

  it('needs no tail where all that may be of another branch is hashed, and is the same', async () => {
    const { at, out, newer, records } = await branches(FIRST, 'then', 'then and more', { keepTails: false });
    expect(tailsOf(at)).toEqual([]);
    const life = await at.life({ source: newer });
    await (await life.start([records.newer], [out])).done();
    expect(at.text('out')).toBe('first\nthen');
  });

  it('F40: is refused where the file itself is shorter than what the older start left', async () => {
    const { at, newer, records, out } = await branches(FIRST, 'then', 'other');
    truncateSync(at.path('out'), 2);
    const life = await at.life({ source: newer });
    await expect(life.start([records.newer], [out])).rejects.toEqual(code('ERR_CKPT_FILE_MISSING'));
    expect(at.text('out')).toBe('fi');
  });

  it('comes back after any number of jumps', async () => {
    const { at, out, older, newer, records } = await branches(FIRST, 'then', 'another');
    for (let jump = 0; jump < 3; jump++) {
      for (const [source, record, text] of [
        [newer, records.newer, 'first\nthen'],
        [older, records.older, FIRST],
      ] as const) {
        const life = await at.life({ source, generation: 2 });
        await (await life.start([record], [out])).done();
        expect(at.text('out')).toBe(text);
        await life.append(out, `jump ${jump}\n`, record);
        await life.context.baselines.clean([older, newer], source);
      }
    }
    const last = await at.life({ source: newer });
    await (await last.start([], [])).done();
    expect(at.text('out')).toBe('first\nthen');
  });

  it('loses what the other life appended where there was nothing to cut', async () => {
    const { at, newer } = await branches(FIRST, '', 'other');
    expect(tailsOf(at)).toEqual([]);
    const life = await at.life({ source: newer });
    await (await life.start([], [])).done();
    expect(at.text('out')).toBe(FIRST);
  });

  it('loses what a start from a still newer image put back behind it', async () => {
    const { at, older, newer } = await branches(FIRST, 'then', 'x');
    const between = await at.life({ source: older, generation: 2 });
    await (await between.start([], [])).done(); // as it was closed at `older`
    expect(at.text('out')).toBe(FIRST);
    const closed = between.capture(3);
    await (await (await at.life({ source: newer, generation: 3 })).start([], [])).done();
    expect(at.text('out')).toBe('first\nthen');
    await (await (await at.life({ source: closed })).start([], [])).done();
    expect(at.text('out')).toBe(FIRST);
  });

  it('comes back after a life that went on with it and emptied it before its next image', async () => {
    const { at, out, older, newer, records } = await branches(FIRST, 'then', 'other');
    const life = await at.life({ source: newer });
    await (await life.start([records.newer], [out])).done();
    await life.append(out, '', records.newer);
    await life.append(at.declare('out', { flags: 'w' }), 'emptied');
    expect(at.text('out')).toBe('emptied');
    for (const [source, record, text] of [
      [newer, records.newer, 'first\nthen'],
      [older, records.older, FIRST],
    ] as const) {
      await (await (await at.life({ source, generation: 2 })).start([record], [out])).done();
      expect(at.text('out')).toBe(text);
    }
  });

  it('with flags r+ comes back from the copy of before', async () => {
    const at = place();
    at.write('db', 'aaaaaaaa');
    const db = at.declare('db', { flags: 'r+' });
    const change = async (life: Awaited<ReturnType<FilesPlace['life']>>, text: string, record?: TrackedFileRecord): Promise<void> => {
      const { file } = await openTracked(db, record, life.context);
      await file.write(Buffer.from(text), 0, text.length, 2);
      await file.close();
    };
    const first = await at.life();
    await change(first, 'b');
    const older = first.capture(1);
    const record = { ...(await at.record(db)), contents: 'file:db' };
    const contents = { 'file:db': at.text('db') ?? '' };
    await change(first, 'cc');
    const newer = first.capture(2);
    const stray = await at.life({ source: older, generation: 2, contents });
    await (await stray.start([record], [db])).done();
    await change(stray, 'dddd', record);
    expect(at.text('db')).toBe('aaddddaa');
    const life = await at.life({ source: newer });
    await (await life.start([], [])).done();
    expect(at.text('db')).toBe('aaccaaaa');
  });

  it('outside the roots is refused unless the program declares it', async () => {
    const { at, out, newer } = await branches(FIRST, 'then', 'other');
    const life = await at.life({ source: newer, roots: [] });
    await expect(life.start([], [])).rejects.toEqual(code('ERR_CKPT_FILE_UNSAFE'));
    expect(at.text('out')).toBe('first\nother');
    await (await life.start([], [out])).done();
    expect(at.text('out')).toBe('first\nthen');
  });

  it('F75: of a copied store is left alone where the path is the original’s', async () => {
    const { at, newer } = await branches(FIRST, 'then', 'other');
    const life = await at.life({ source: newer, copied: true });
    await (await life.start([], [])).done();
    expect(at.text('out')).toBe('first\nother');
  });
});

it('F40: a file that a life from an older image emptied twice comes back for its image between, whatever was tidied meanwhile', async () => {
  const at = place();
  const status = at.declare('status', { flags: 'w' });
  const first = await at.life();
  const older = first.capture(1);
  await first.append(status, 'first');
  const other = await at.life({ source: older });
  await other.append(status, 'second');
  const between = other.capture(2);
  await other.append(status, 'third');
  await other.context.baselines.clean([older, between], older);
  const life = await at.life({ source: between });
  await (await life.start([], [])).done();
  expect(at.text('status')).toBe('second');
});

it('a closed file that a start without kept tails put back is opened without being put back once more', async () => {
  const at = place();
  const out = at.declare('out');
  const then = 'x'.repeat(3 * MIB);
  const first = await at.life();
  await first.append(out, 'first\n');
  const older = first.capture(1);
  const record = await at.record(out);
  await first.append(out, then);
  const newer = first.capture(2);
  await first.append(out, 'lost');
  const again = await at.life({ source: older, generation: 2, keepTails: false });
  await (await again.start([record], [out])).done();
  await again.append(out, `${then}lost`, record);
  const life = await at.life({ source: newer, keepTails: false });
  await (await life.start([], [])).done();
  await life.append(out, ' on');
  expect(at.text('out') === `first\n${then} on`).toBe(true);
});

it('a closed file that no life has changed is left alone, also where it was moved away', async () => {
  const at = place();
  const out = at.declare('out');
  const first = await at.life();
  await first.append(out, 'all\n');
  const image = first.capture(1);
  rmSync(at.path('out'));
  const life = await at.life({ source: image });
  await (await life.start([], [])).done();
  expect(at.text('out')).toBeUndefined();
});

describe('what was cut', () => {
  it('F39: is kept as long as an image that it may serve, and at least until the next start', async () => {
    const { at, out, older, newer, records } = await branches('first\n', 'then', 'other');
    const [tail] = tailsOf(at);
    const cuts = (): string[] => at.journal().filter((file) => file.startsWith('put-'));
    expect(cuts()).toHaveLength(1);
    const stray = await at.life({ source: older, generation: 2 });
    await (await stray.start([records.older], [out])).done();
    const image = stray.capture(3);
    await stray.context.baselines.clean([older, newer, image], older);
    expect(tailsOf(at)).toEqual([tail, expect.stringContaining('tail-3-')]);
    const next = await at.life({ source: image });
    await next.context.baselines.clean([image], image);
    expect([tailsOf(at), cuts()]).toEqual([[], []]);
  });

  it('of two files of one name in one life is kept under two names', async () => {
    const at = place();
    const files = ['one', 'two'].map((folder) => {
      mkdirSync(at.path(folder));
      return at.declare(`${folder}/out`);
    });
    const first = await at.life();
    const image = first.capture(1);
    for (const file of files) await first.append(file, `${file.name}\n`);
    const life = await at.life({ source: image });
    for (const file of files) await life.append(file, 'again\n'); // each is put back when it is opened
    expect(Object.values(at.tails()).sort()).toEqual(['one/out\n', 'two/out\n']);
    expect(files.map(({ name }) => at.text(name))).toEqual(['again\n', 'again\n']);
  });

  it('F65: by a start that was killed and undone does not count, nor what that start opened', async () => {
    const at = place();
    const out = at.declare('out');
    const first = await at.life();
    await first.append(out, 'first\n');
    const older = first.capture(1);
    const record = await at.record(out);
    await first.append(out, 'then');
    const newer = first.capture(2);
    const killed = await at.life({ source: older, generation: 2 });
    await killed.start([record], [out]); // never done
    await killed.append(out, 'lost', record);
    expect(at.text('out')).toBe('first\nlost');
    for (let start = 0; start < 2; start++) {
      const life = await at.life({ source: newer });
      await (await life.start([], [])).done();
      expect(at.text('out')).toBe('first\nthen');
    }
  });
});
