import { execFile } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import { type FoundRequest, RequestFiles, type RequestFilesOptions } from '../../packages/sdk/src/triggers/request-files.js';
import { buildEntries } from '../fixtures/build-entry.js';
import { ManualClock } from '../fixtures/manual-clock.js';
import { nodePath } from '../fixtures/node.js';
import { TalkingProgram } from '../fixtures/talking-program.js';
import { needTool } from '../fixtures/tools.js';

const WATCHER = join(import.meta.dirname, '../fixtures/request-watcher.mjs');

let store: string;
let folder: string;

beforeEach(async () => {
  store = await mkdtemp(join(tmpdir(), 'ckpt-requests-'));
  folder = join(store, 'requests');
});

/** What must have ended before the store is removed, because it would make its folder again. */
const endings: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0)) await end();
  await rm(store, { recursive: true });
});

interface Watching {
  readonly files: RequestFiles;
  readonly clock: ManualClock;
  readonly found: FoundRequest[];
  readonly warnings: string[];
}

/** With a clock that moves by hand and no watcher: only look() finds anything. */
async function looking(options: Partial<RequestFilesOptions> = {}): Promise<Watching> {
  const clock = new ManualClock(Date.now());
  const found: FoundRequest[] = [];
  const warnings: string[] = [];
  const files = new RequestFiles({
    directory: folder,
    fileSystem: systemFileSystem,
    clock,
    watch: false,
    onRequest: (request) => found.push(request),
    warn: (message) => warnings.push(message),
    ...options,
  });
  await files.start();
  await files.look();
  endings.push(() => files.close());
  return { files, clock, found, warnings };
}

/** Looks until what is there has settled. */
async function settled({ files, clock }: Watching): Promise<void> {
  await files.look();
  clock.advance(200);
  await files.look();
}

/** Settling what is unknown does nothing but wait for the work before it. */
function idle({ files }: Watching): Promise<void> {
  return files.settle({ kind: 'checkpoint', key: 'no such key' }, '');
}

function write(name: string, content: string): void {
  writeFileSync(join(folder, name), content);
}

function answer(nonce: string): unknown {
  return JSON.parse(readFileSync(join(folder, `${nonce}.result`), 'utf8'));
}

describe('what a request file says', () => {
  test.each([
    ['checkpoint', '', {}],
    ['checkpoint', 'before-anneal', { name: 'before-anneal' }],
    ['checkpoint', 'before-anneal\n', { name: 'before-anneal' }],
    ['checkpoint', '{}', {}],
    ['checkpoint', '{"name":"a.b","nonce":"N_-9"}', { name: 'a.b', nonce: 'N_-9' }],
    ['checkpoint-and-exit', ' {"nonce":"x"}\n', { nonce: 'x' }],
    ['checkpoint', '{"nonce":"x","added-later":[1]}', { nonce: 'x' }],
  ])('%s with content %j is a request', async (kind, content, expected) => {
    const watching = await looking();
    write(kind, content);
    await settled(watching);
    const [request, ...more] = watching.found;
    expect(more).toHaveLength(0);
    expect(request).toEqual({ kind, key: expect.any(String), ...expected });
    expect(structuredClone(request)).toEqual(request);
  });

  test.each(
    [
      '',
      '..',
      'a/b',
      'latest',
      'x'.repeat(65),
      '\0\0\0',
      '[1]',
      '{"name":"../x"}',
      '{"name":5}',
      '{"nonce":"../../x"}',
      '{"nonce":""}',
      'two words',
    ].slice(1),
  )('F58: the content %j is refused: warned of, removed, never told', async (content) => {
    const watching = await looking();
    write('checkpoint', content);
    await settled(watching);
    expect(watching.found).toHaveLength(0);
    expect(watching.warnings).toHaveLength(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('a refused request is answered when it has a nonce, whole JSON or not', async () => {
    const watching = await looking();
    write('checkpoint', '{"nonce":"n-1","name":"never"}');
    write('checkpoint-and-exit', '{"nonce": "n-2", "name": "cut');
    await settled(watching);
    expect(watching.found).toHaveLength(0);
    expect(answer('n-1')).toMatchObject({ ok: false, error: { code: 'ERR_CKPT_REQUEST' } });
    expect(answer('n-2')).toMatchObject({ ok: false, error: { code: 'ERR_CKPT_REQUEST' } });
    expect(readdirSync(folder).sort()).toEqual(['n-1.result', 'n-2.result']);
  });

  test('a request of more than 4 KiB is refused', async () => {
    const watching = await looking();
    write('checkpoint', `{"name":"a","more":"${'x'.repeat(5_000)}"}`);
    await settled(watching);
    expect(watching.found).toHaveLength(0);
    expect(watching.warnings).toHaveLength(1);
    expect(existsSync(join(folder, 'checkpoint'))).toBe(false);
  });

  test('other files in the folder are let alone', async () => {
    const watching = await looking();
    write('checkpoint.tmp', 'x');
    write('Checkpoint2', 'x');
    await settled(watching);
    expect(watching.found).toHaveLength(0);
    expect(readdirSync(folder).sort()).toEqual(['Checkpoint2', 'checkpoint.tmp']);
  });
});

describe('what is no regular file', () => {
  test('a symbolic link is not followed: it is removed, its target is not', async () => {
    const watching = await looking();
    const target = join(store, 'target');
    writeFileSync(target, 'secret-name');
    symlinkSync(target, join(folder, 'checkpoint'));
    await settled(watching);
    expect(watching.found).toHaveLength(0);
    expect(watching.warnings).toHaveLength(1);
    expect(readdirSync(folder)).toEqual([]);
    expect(readFileSync(target, 'utf8')).toBe('secret-name');
  });

  test('a FIFO does not hang the look', async () => {
    const watching = await looking();
    await promisify(execFile)('mkfifo', [join(folder, 'checkpoint')]);
    await settled(watching);
    expect(watching.found).toHaveLength(0);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('a directory is warned of once and stays', async () => {
    const watching = await looking();
    mkdirSync(join(folder, 'checkpoint'));
    await settled(watching);
    await settled(watching);
    expect(watching.warnings).toHaveLength(1);
    expect(lstatSync(join(folder, 'checkpoint')).isDirectory()).toBe(true);
  });

  test('a requests folder that is a link to elsewhere is refused', async () => {
    mkdirSync(join(store, 'elsewhere'));
    symlinkSync(join(store, 'elsewhere'), folder);
    await expect(looking()).rejects.toMatchObject({ code: 'ERR_CKPT_STORE_UNSAFE' });
  });
});

describe('F58: rewritten, doubled, missed, half-written', () => {
  test('F58: a request is told once, however often it is looked at', async () => {
    const watching = await looking();
    write('checkpoint', '{"name":"a"}');
    for (let at = 0; at < 5; at++) await settled(watching);
    expect(watching.found).toHaveLength(1);
  });

  test('F58: looks that overlap tell it once', async () => {
    const watching = await looking();
    write('checkpoint', '{}');
    await Promise.all(Array.from({ length: 20 }, () => watching.files.look()));
    expect(watching.found).toHaveLength(1);
  });

  test('F58: a half-written request is read again until it is whole, then told once', async () => {
    const watching = await looking();
    const text = '{"name":"whole","nonce":"n"}';
    const fd = openSync(join(folder, 'checkpoint'), 'w');
    for (const character of text) {
      await watching.files.look();
      watching.clock.advance(150);
      expect(watching.found).toHaveLength(0);
      writeSync(fd, character);
    }
    closeSync(fd);
    await watching.files.look();
    expect(watching.found).toMatchObject([{ name: 'whole', nonce: 'n' }]);
    expect(watching.warnings).toHaveLength(0);
  });

  test('F58: an empty file and a bare name are believed only when two looks 200 ms apart agree', async () => {
    const watching = await looking();
    write('checkpoint', '');
    await watching.files.look();
    watching.clock.advance(199);
    await watching.files.look();
    expect(watching.found).toHaveLength(0);
    write('checkpoint', 'before');
    await settled(watching);
    expect(watching.found).toMatchObject([{ name: 'before' }]);
  });

  test('F58: a request rewritten before it was settled is a request of its own, and only the older is answered by the older outcome', async () => {
    const watching = await looking();
    write('checkpoint', '{"nonce":"one"}');
    await watching.files.look();
    write('checkpoint', '{"nonce":"two"}');
    const [first] = watching.found;
    await watching.files.settle(first as FoundRequest, '{"ok":true}');
    expect(readFileSync(join(folder, 'checkpoint'), 'utf8')).toBe('{"nonce":"two"}');
    await watching.files.look();
    expect(watching.found).toMatchObject([{ nonce: 'one' }, { nonce: 'two' }]);
    expect(answer('one')).toEqual({ ok: true });
    await watching.files.settle(watching.found[1] as FoundRequest, '{"ok":true}');
    expect(readdirSync(folder).sort()).toEqual(['one.result', 'two.result']);
  });

  test('F58: a request that replaces the settled one in the instant of its removal is not lost', async () => {
    let interfere = (): void => {};
    const fileSystem = {
      ...systemFileSystem,
      rename: async (from: string, to: string) => {
        if (from.endsWith('checkpoint')) interfere();
        await systemFileSystem.rename(from, to);
      },
    };
    const watching = await looking({ fileSystem });
    write('checkpoint', '{"nonce":"one"}');
    await watching.files.look();
    interfere = () => {
      interfere = () => {};
      write('.draft', '{"nonce":"two"}');
      renameSync(join(folder, '.draft'), join(folder, 'checkpoint'));
    };
    await watching.files.settle(watching.found[0] as FoundRequest, '{"ok":true}');
    await watching.files.look();
    expect(watching.found).toMatchObject([{ nonce: 'one' }, { nonce: 'two' }]);
    expect(readdirSync(folder).sort()).toEqual(['checkpoint', 'one.result']);
  });

  test('F58: the same request made again after it was settled is told again', async () => {
    const watching = await looking();
    for (let at = 0; at < 3; at++) {
      write('checkpoint', 'again\n');
      await settled(watching);
      expect(watching.found).toHaveLength(at + 1);
      await watching.files.settle(watching.found[at] as FoundRequest, '{"ok":true}');
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  test('F58: a request that its writer took back is settled all the same', async () => {
    const watching = await looking();
    write('checkpoint', '{"nonce":"gone"}');
    await watching.files.look();
    await rm(join(folder, 'checkpoint'));
    await watching.files.settle(watching.found[0] as FoundRequest, '{"ok":true}');
    expect(answer('gone')).toEqual({ ok: true });
    expect(watching.warnings).toHaveLength(0);
  });

  test('F58: without any event a poll finds the request, at the interval set last', async () => {
    const watching = await looking();
    write('checkpoint', '{"name":"polled"}');
    watching.clock.advance(1_999);
    await idle(watching);
    expect(watching.found).toHaveLength(0);
    watching.clock.advance(1);
    await idle(watching);
    expect(watching.found).toHaveLength(1);
    watching.files.setPollInterval(50);
    write('checkpoint-and-exit', '{"name":"soon"}');
    watching.clock.advance(50);
    await idle(watching);
    expect(watching.found).toHaveLength(2);
    expect(watching.clock.holding).toBe(0);
  });

  test('both kinds of request are told', async () => {
    const watching = await looking();
    write('checkpoint', '{}');
    write('checkpoint-and-exit', '{}');
    await watching.files.look();
    expect(watching.found.map(({ kind }) => kind)).toEqual(['checkpoint', 'checkpoint-and-exit']);
  });
});

describe('answers', () => {
  test('an answer is readable by its owner alone', async () => {
    const watching = await looking();
    write('checkpoint', '{"nonce":"n"}');
    await watching.files.look();
    await watching.files.settle(watching.found[0] as FoundRequest, '{"ok":true}');
    expect(lstatSync(join(folder, 'n.result')).mode & 0o777).toBe(0o600);
  });

  test('an answer does not follow a link that lies in its place', async () => {
    const watching = await looking();
    const target = join(store, 'target');
    writeFileSync(target, 'untouched');
    symlinkSync(target, join(folder, 'n.result'));
    write('checkpoint', '{"nonce":"n"}');
    await watching.files.look();
    await watching.files.settle(watching.found[0] as FoundRequest, '{"ok":true}');
    expect(readFileSync(target, 'utf8')).toBe('untouched');
    expect(answer('n')).toEqual({ ok: true });
  });

  test('a nonce that did not come from a file never becomes a path', async () => {
    const watching = await looking();
    await watching.files.settle({ kind: 'checkpoint', key: 'k', nonce: '../escaped' }, '{}');
    expect(existsSync(join(store, 'escaped.result'))).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('answers older than an hour and what an earlier life had put aside are removed at the start', async () => {
    mkdirSync(folder);
    write('old.result', '{}');
    write('new.result', '{}');
    write(`.answer-${'0'.repeat(32)}`, '{');
    write('notes.txt', 'mine');
    const hourAgo = Date.now() / 1_000 - 3_700;
    for (const name of ['old.result', 'notes.txt']) utimesSync(join(folder, name), hourAgo, hourAgo);
    await looking();
    expect(readdirSync(folder).sort()).toEqual(['new.result', 'notes.txt']);
  });

  test('an answer that finds the disk full is warned of, and nothing is left of it', async () => {
    let full = 0;
    const fileSystem = {
      ...systemFileSystem,
      open: async (path: string, flags: number, mode?: number) => {
        const file = await systemFileSystem.open(path, flags, mode);
        const write = async (): Promise<number> => {
          full++;
          throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
        };
        return path.includes('.answer-') ? { ...file, write } : file;
      },
    };
    const watching = await looking({ fileSystem });
    write('checkpoint', '{"nonce":"n"}');
    await watching.files.look();
    await watching.files.settle(watching.found[0] as FoundRequest, '{"ok":true}');
    expect(full).toBe(1);
    expect(watching.warnings).toHaveLength(1);
    expect(readdirSync(folder)).toEqual([]);
  });
});

test('a requests folder that is removed while the program runs is made again', async () => {
  const watching = await looking();
  await rm(folder, { recursive: true });
  await watching.files.look();
  write('checkpoint', '{}');
  await watching.files.look();
  expect(watching.found).toHaveLength(1);
});

test('a store that is removed while the program runs is warned of once, and looked for again', async () => {
  const watching = await looking();
  await rm(store, { recursive: true });
  await watching.files.look();
  await watching.files.look();
  expect(watching.warnings).toHaveLength(1);
  mkdirSync(folder, { recursive: true });
  write('checkpoint', '{}');
  await watching.files.look();
  expect(watching.found).toHaveLength(1);
});

test('nothing is told after close, and no timer is left', async () => {
  const watching = await looking();
  write('checkpoint', '{}');
  await watching.files.close();
  await watching.files.look();
  watching.clock.advance(10_000);
  expect(watching.found).toHaveLength(0);
  expect(watching.clock.timers).toBe(0);
});

test('the watcher finds a request without waiting for a poll', async () => {
  let heard: (request: FoundRequest) => void = () => {};
  const found = new Promise<FoundRequest>((resolve) => {
    heard = resolve;
  });
  const { files } = await looking({ watch: true, clock: systemClock, pollMs: 3_600_000, onRequest: (request) => heard(request) });
  write('checkpoint', '{"name":"watched"}');
  // The watcher may not have been ready for that: it notices the next change then.
  const nudge = setInterval(() => appendFileSync(join(folder, 'checkpoint'), ' '), 20);
  const request = await found.finally(() => clearInterval(nudge));
  expect(request).toMatchObject({ kind: 'checkpoint', name: 'watched' });
  await files.close();
});

describe('a watcher that the system refuses', () => {
  let build: string;

  beforeAll(async () => {
    build = await mkdtemp(join(tmpdir(), 'ckpt-watcher-'));
    await buildEntries(build, { 'request-files': 'triggers/request-files', 'system-ports': 'base/system-ports' });
  });

  afterAll(() => rm(build, { recursive: true }));

  test.for([
    ['watches', 'ENOSPC'],
    ['instances', 'EMFILE'],
  ] as const)('F59: out of inotify %s, requests are found by polling, with one warning', async ([what, code], context) => {
    needTool(context, 'unshare');
    const limit = `/proc/sys/user/max_inotify_${what}`;
    // The limit belongs to the user namespace: nothing outside of it notices.
    const command = `echo 0 > ${limit} && exec "$@"`;
    const program = new TalkingProgram('unshare', ['-Ur', 'sh', '-c', command, 'sh', nodePath, WATCHER, build, folder, '20']);
    endings.push(() => program.end());
    await program.hear('ready');
    expect((await program.hear('warned'))['message']).toContain(code);
    for (const nonce of ['one', 'two']) {
      write('checkpoint', `{"nonce":"${nonce}"}`);
      expect(await program.hear('found')).toMatchObject({ request: { nonce } });
      await program.hear('settled');
      expect(answer(nonce)).toEqual({ ok: true });
    }
    expect((await program.report())['warnings']).toHaveLength(1);
  });
});
