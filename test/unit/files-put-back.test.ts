/** Recorded files at a restart: verified all together, then put back or refused by their policy. */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ErrorCode } from '../../packages/sdk/src/base/errors.js';
import type { FileOptions, FilePolicy, TrackedFileRecord } from '../../packages/sdk/src/files/contract.js';
import { openTracked } from '../../packages/sdk/src/files/opening.js';
import { planFiles } from '../../packages/sdk/src/files/plan.js';
import { putBack } from '../../packages/sdk/src/files/put-back.js';
import type { ImageRef } from '../../packages/sdk/src/image/contract.js';
import { FilesPlace, type LifeWish, thrown } from '../fixtures/files-place.js';

const SOURCE: ImageRef = { id: 'a'.repeat(32), epoch: 1, generation: 1 };
const MiB = 2 ** 20;

function place(): FilesPlace {
  const made = new FilesPlace();
  onTestFinished(() => made.remove());
  return made;
}

/** A file recorded with 'recorded\n' and changed since by `since`; then a restart, with the program declaring it. */
async function restarted(
  options: FileOptions,
  since: (at: FilesPlace) => void,
  wish: LifeWish & { readonly contents?: Readonly<Record<string, string>>; readonly recordMore?: Partial<TrackedFileRecord> } = {},
): Promise<{ at: FilesPlace; error: unknown; log: string[] }> {
  const at = place();
  at.write('out', 'recorded\n');
  const declaration = at.declare('out', options);
  const record = { ...(await at.record(declaration)), ...wish.recordMore };
  since(at);
  const life = await at.life({ source: SOURCE, ...wish });
  const error = await thrown(life.start([record], [declaration]).then((hold) => hold.done()));
  return { at, error, log: life.log };
}

function refused(error: unknown, code: ErrorCode): void {
  expect(error).toMatchObject({ code });
}

describe("with policy 'append'", () => {
  it('F39: a file that grew is cut after the prefix check, and what was cut is kept and named in the log', async () => {
    const { at, error, log } = await restarted({}, ({ path }) => appendFileSync(path('out'), 'and more\n'));
    expect(error).toBeUndefined();
    expect(at.text('out')).toBe('recorded\n');
    const [[tail = '', kept] = []] = Object.entries(at.tails());
    expect(kept).toBe('and more\n');
    expect(log).toEqual([expect.stringContaining(tail)]);
    expect(at.journal().filter((file) => file.startsWith('apply'))).toEqual([]);
  });

  it('F39: with keepTails: false nothing is kept', async () => {
    const { at, error } = await restarted({}, ({ path }) => appendFileSync(path('out'), 'and more\n'), { keepTails: false });
    expect([error, at.text('out'), at.tails()]).toEqual([undefined, 'recorded\n', {}]);
  });

  it('F40: a file that is shorter is refused and left alone', async () => {
    const { at, error } = await restarted({}, ({ path }) => truncateSync(path('out'), 5));
    refused(error, 'ERR_CKPT_FILE_MISSING');
    expect(at.text('out')).toBe('recor');
  });

  it('F40: a missing file is refused, and none is made', async () => {
    const { at, error } = await restarted({}, ({ path }) => unlinkSync(path('out')));
    refused(error, 'ERR_CKPT_FILE_MISSING');
    expect(existsSync(at.path('out'))).toBe(false);
  });

  it('F41: another prefix is refused and left alone', async () => {
    const { at, error } = await restarted({}, (it) => {
      it.write('out', 'recOrded\nand more\n');
    });
    refused(error, 'ERR_CKPT_FILE_CHANGED');
    expect(at.text('out')).toBe('recOrded\nand more\n');
  });

  it('F41: a replaced inode is refused although its bytes are the same', async () => {
    const { at, error } = await restarted({}, ({ path }) => {
      copyFileSync(path('out'), path('copy'));
      renameSync(path('copy'), path('out'));
    });
    refused(error, 'ERR_CKPT_FILE_CHANGED');
    expect(at.text('out')).toBe('recorded\n');
  });

  it('F41: a rotated file is refused, and the message says where the recorded one is', async () => {
    const { error } = await restarted({}, (it) => {
      renameSync(it.path('out'), it.path('out.1'));
      it.write('out', 'recorded\nand more\n');
    });
    refused(error, 'ERR_CKPT_FILE_CHANGED');
    expect(String(error)).toContain('out.1');
  });

  it('F75: in a copied store another inode with the same bytes is the same file', async () => {
    const { at, error } = await restarted(
      {},
      ({ path }) => {
        copyFileSync(path('out'), path('copy'));
        renameSync(path('copy'), path('out'));
        appendFileSync(path('out'), 'and more\n');
      },
      { copied: true },
    );
    expect([error, at.text('out')]).toEqual([undefined, 'recorded\n']);
  });

  it('another device number alone refuses nothing', async () => {
    const at = place();
    at.write('out', 'recorded\n');
    const declaration = at.declare('out');
    const record = await at.record(declaration);
    const life = await at.life({ source: SOURCE });
    const elsewhere = { ...record, identity: { ...record.identity, dev: record.identity.dev + 1 } };
    expect(await thrown(life.start([elsewhere], [declaration]))).toBeUndefined();
  });

  it('under another path than the recorded one size and bytes decide', async () => {
    const at = place();
    at.write('out', 'recorded\n');
    const record = await at.record(at.declare('out'));
    mkdirSync(at.path('moved'));
    copyFileSync(at.path('out'), at.path('moved/out'));
    appendFileSync(at.path('moved/out'), 'more');
    const declaration = { ...at.declare('out'), path: at.path('moved/out') };
    const life = await at.life({ source: SOURCE });
    await life.start([record], [declaration]);
    expect([at.text('moved/out'), at.text('out')]).toEqual(['recorded\n', 'recorded\n']);
  });

  it('only the last MiB is hashed, unless verify is whole', async () => {
    for (const [verify, code] of [
      ['tail', undefined],
      ['whole', 'ERR_CKPT_FILE_CHANGED'],
    ] as const) {
      const at = place();
      at.write('big', Buffer.alloc(MiB + 100, 'x'));
      const declaration = at.declare('big', { verify });
      const record = await at.record(declaration);
      at.write('big', Buffer.concat([Buffer.from('y'), Buffer.alloc(MiB + 99, 'x')]));
      const error = await thrown((await at.life({ source: SOURCE })).start([record], [declaration]));
      expect(error === undefined ? undefined : (error as { code: string }).code).toBe(code); // thrown by start()
    }
  });
});

describe("with policy 'unchanged'", () => {
  const options: FileOptions = { flags: 'r' };

  it('a file that is as it was is opened where the program was', async () => {
    const at = place();
    at.write('in', 'one\ntwo\n');
    const declaration = at.declare('in', options);
    const record = await at.record(declaration, { position: 4 });
    const life = await at.life({ source: SOURCE });
    await life.start([record], [declaration]);
    const opened = await openTracked(declaration, record, life.context);
    await opened.file.close();
    expect(opened).toMatchObject({ position: 4, size: 8, created: false });
  });

  it.each<[string, ErrorCode, (at: FilesPlace) => void]>([
    ['F40: is shorter', 'ERR_CKPT_FILE_MISSING', (at) => truncateSync(at.path('out'), 3)],
    ['F40: is gone', 'ERR_CKPT_FILE_MISSING', (at) => unlinkSync(at.path('out'))],
    ['has grown', 'ERR_CKPT_FILE_CHANGED', (at) => appendFileSync(at.path('out'), 'x')],
    ['was touched', 'ERR_CKPT_FILE_CHANGED', (at) => utimesSync(at.path('out'), 1, 1)],
  ])('a file that %s is refused (%s)', async (_, code, since) => {
    refused((await restarted(options, since)).error, code);
  });

  it('of a file that was hashed as a whole the bytes decide, not its time and inode', async () => {
    const anew = (at: FilesPlace): void => {
      unlinkSync(at.path('out'));
      at.write('other', '');
      at.write('out', 'recorded\n');
      utimesSync(at.path('out'), 1, 1);
    };
    expect((await restarted({ ...options, verify: 'whole' }, anew)).error).toBeUndefined();
    refused((await restarted({ ...options, verify: 'whole' }, (at) => at.write('out', 'reC0rded\n'))).error, 'ERR_CKPT_FILE_CHANGED');
  });

  it('F75: in a copied store its size and its bytes before the position decide', async () => {
    const anew = (at: FilesPlace): void => utimesSync(at.path('out'), 1, 1);
    expect((await restarted(options, anew, { copied: true })).error).toBeUndefined();
  });
});

describe("with policy 'contents'", () => {
  const contents = { 'file:out': 'recorded\n' };
  const recordMore = { contents: 'file:out' };

  it.each<[string, FilePolicy, (at: FilesPlace) => void]>([
    ['changed', 'contents', (at) => at.write('out', 'recOrded, and more\n')],
    ['shorter', 'contents', (at) => truncateSync(at.path('out'), 2)],
    ['longer', 'contents', (at) => appendFileSync(at.path('out'), 'x')],
    ['missing', 'contents', (at) => unlinkSync(at.path('out'))],
    ['missing', 'contents-if-missing', (at) => unlinkSync(at.path('out'))],
    ['there and longer', 'contents-if-missing', (at) => appendFileSync(at.path('out'), 'x')],
  ])('a %s file has the recorded content again (%s)', async (_, policy, since) => {
    const { at, error } = await restarted({ policy }, since, { contents, recordMore });
    expect([error, at.text('out')]).toEqual([undefined, 'recorded\n']);
  });

  it('the file stays the same file, and what it had is kept from the first difference on', async () => {
    let before = 0;
    const { at } = await restarted(
      { flags: 'r+', policy: 'contents' },
      (it) => {
        it.write('out', 'recOrded, and more\n');
        before = statSync(it.path('out')).ino;
      },
      { contents, recordMore },
    );
    expect(statSync(at.path('out')).ino).toBe(before);
    expect(Object.values(at.tails())).toEqual(['Orded, and more\n']);
  });

  it('contents-if-missing refuses a file that is there and differs', async () => {
    const { error } = await restarted({ policy: 'contents-if-missing' }, (at) => at.write('out', 'other bytes\n'), {
      contents,
      recordMore,
    });
    refused(error, 'ERR_CKPT_FILE_CHANGED');
  });

  it('a record without content is refused, and the image is not blamed for it', async () => {
    refused((await restarted({ policy: 'contents' }, () => {}, {})).error, 'ERR_CKPT_FILE');
    refused((await restarted({ policy: 'contents' }, () => {}, { recordMore })).error, 'ERR_CKPT_IMAGE_CORRUPT');
  });
});

describe('with other policies', () => {
  it("'volatile' checks nothing: a writer goes on at the end, a reader at most there", async () => {
    const at = place();
    at.write('log', '0123456789');
    at.write('in', '0123456789');
    const writer = at.declare('log', { policy: 'volatile' });
    const reader = at.declare('in', { flags: 'r', policy: 'volatile' });
    const records = [await at.record(writer), await at.record(reader, { position: 8 })];
    at.write('log', 'other and longer');
    at.write('in', '012');
    const life = await at.life({ source: SOURCE });
    await life.start(records, [writer, reader]);
    expect(await life.append(writer, '!', records[0])).toMatchObject({ position: 16 });
    const opened = await openTracked(reader, records[1], life.context);
    await opened.file.close();
    expect(opened.position).toBe(3);
    expect(at.text('log')).toBe('other and longer!');
  });

  it("'ignore' neither looks at the file nor records a baseline", async () => {
    const at = place();
    const declaration = at.declare('out', { policy: 'ignore' });
    const life = await at.life();
    await life.start([], [declaration]);
    await life.append(declaration, 'x');
    expect([at.text('out'), at.journal()]).toEqual(['x', []]);
  });

  it('what is used in another way than recorded is refused', async () => {
    const at = place();
    at.write('out', 'recorded\n');
    const record = await at.record(at.declare('out'));
    const life = await at.life({ source: SOURCE });
    refused(await thrown(life.start([record], [at.declare('out', { flags: 'r' })])), 'ERR_CKPT_FILE');
    refused(await thrown(life.start([record], [{ ...at.declare('out'), name: 'renamed' }])), 'ERR_CKPT_FILE');
    expect(await thrown(life.start([record], [at.declare('out', { flags: 'w' })]))).toBeUndefined();
  });
});

describe('a plan', () => {
  async function threeFiles(bad: (at: FilesPlace) => void) {
    const at = place();
    const declared = ['a', 'b', 'c', 'd', 'e'].map((file) => at.declare(file));
    for (const file of 'abcde') at.write(file, `${file} recorded\n`);
    const records = await Promise.all(declared.map((declaration) => at.record(declaration)));
    for (const file of 'abcde') appendFileSync(at.path(file), 'beyond\n');
    bad(at);
    return { at, declared, records, life: await at.life({ source: SOURCE }) };
  }

  it('with a bad third file of five leaves all of them as they are, and names every bad one', async () => {
    const { at, declared, records, life } = await threeFiles((it) => {
      truncateSync(it.path('c'), 1);
      unlinkSync(it.path('e'));
    });
    const error = await thrown(life.start(records, declared));
    refused(error, 'ERR_CKPT_FILE_MISSING');
    expect([...'abde'].map((file) => at.text(file))).toEqual([...[...'abd'].map((file) => `${file} recorded\nbeyond\n`), undefined]);
    expect(String(error)).toMatch(/'c'[\s\S]*'e'/);
    expect([at.tails(), at.journal()]).toEqual([{}, []]);
  });

  it('says for each file what was found, the bytes beyond, the prefix and what would be done, and does nothing', async () => {
    const { at, declared, records, life } = await threeFiles((it) => it.write('b', 'B recorded\n'));
    const plans = await planFiles(records, declared, life.context);
    expect(plans[0]).toMatchObject({ name: 'a', found: true, beyond: 7, prefix: 'matches', put: { do: 'cut', to: 11, from: 18 } });
    expect(plans[1]).toMatchObject({
      name: 'b',
      found: true,
      prefix: 'differs',
      put: { do: 'nothing' },
      refused: { code: 'ERR_CKPT_FILE_CHANGED' },
    });
    expect(at.text('a')).toBe('a recorded\nbeyond\n');
    expect(life.recording.operations.filter(({ name }) => ['write', 'truncate', 'unlink', 'rename', 'link'].includes(name))).toEqual([]);
  });

  it('of a file that changes before it is put back is given up, and the files before it are as they were', async () => {
    const { at, declared, records, life } = await threeFiles(() => {});
    const plans = await planFiles(records, declared, life.context);
    appendFileSync(at.path('c'), 'x');
    refused(await thrown(putBack(plans, life.context)), 'ERR_CKPT_FILE_CHANGED');
    expect([at.text('a'), at.text('b')]).toEqual(['a recorded\nbeyond\n', 'b recorded\nbeyond\n']);
    expect([at.tails(), at.journal()]).toEqual([{}, []]);
  });

  it('undone after everything was put back leaves every file as it was', async () => {
    const { at, declared, records, life } = await threeFiles(() => {});
    const hold = await life.start(records, declared);
    expect(at.text('a')).toBe('a recorded\n');
    await hold.undo();
    expect([...'abcde'].map((file) => at.text(file))).toEqual([...'abcde'].map((file) => `${file} recorded\nbeyond\n`));
    expect([at.tails(), at.journal()]).toEqual([{}, []]);
  });
});

describe('without room', () => {
  it.each(['ENOSPC', 'EDQUOT'])('for what is cut (%s) nothing is changed and nothing is left behind', async (errno) => {
    const at = place();
    at.write('out', 'recorded\n');
    const declaration = at.declare('out');
    const record = await at.record(declaration);
    appendFileSync(at.path('out'), 'beyond\n');
    const life = await at.life({ source: SOURCE, faults: [{ op: 'write', path: '/tmp/e', nth: 2, action: `errno:${errno}` }] });
    refused(await thrown(life.start([record], [declaration])), 'ERR_CKPT_NO_SPACE');
    expect(life.recording.fired).toHaveLength(1);
    expect([at.text('out'), at.tails(), at.journal(), readdirSync(`${at.store}/tmp`)]).toEqual(['recorded\nbeyond\n', {}, [], []]);
  });

  it('an I/O error at the second of two files puts the first back as it was', async () => {
    const at = place();
    const declared = ['a', 'b'].map((file) => at.declare(file));
    for (const file of 'ab') at.write(file, 'recorded\n');
    const records = await Promise.all(declared.map((declaration) => at.record(declaration)));
    for (const file of 'ab') appendFileSync(at.path(file), 'beyond\n');
    const life = await at.life({ source: SOURCE, faults: [{ op: 'truncate', path: at.path('b'), action: 'errno:EIO' }] });
    refused(await thrown(life.start(records, declared)), 'ERR_CKPT_IO');
    expect(life.recording.fired).toHaveLength(1);
    expect([at.text('a'), at.text('b'), at.journal()]).toEqual(['recorded\nbeyond\n', 'recorded\nbeyond\n', []]);
  });
});
