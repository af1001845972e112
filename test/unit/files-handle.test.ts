/** The life of a handle: what a capture takes, what closing promises, streams, the table of all handles. */
import { linkSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { Readable, Transform } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import { NO_BYTES } from '../../packages/sdk/src/files/check.js';
import type { CapturedFile, PendingWrite } from '../../packages/sdk/src/files/contract.js';
import { declareFile } from '../../packages/sdk/src/files/declaration.js';
import { secureFile } from '../../packages/sdk/src/files/secure.js';
import { FileTable } from '../../packages/sdk/src/files/table.js';
import { TrackedFile, type TrackedFileParts } from '../../packages/sdk/src/files/tracked-file.js';
import { recordingFileSystem } from '../faults/recording-file-system.js';
import { ManualClock } from '../fixtures/manual-clock.js';
import { HandlePlace } from '../fixtures/open-handle.js';

let place: HandlePlace;
beforeEach(() => {
  place = new HandlePlace();
});
afterEach(() => place.remove());

const parts: Omit<TrackedFileParts, 'closed'> = {
  clock: new ManualClock(),
  fileSystem: systemFileSystem,
  allowed: () => undefined,
  allowedSync: () => {},
  assertAlive: () => {},
  waitReleased: () => {},
  gate: (take) => take(),
};

function captured(file: TrackedFile): CapturedFile {
  const taken = file.capture('main');
  if (taken === undefined) throw new Error('nothing was captured');
  return taken;
}

const text = (pending: readonly PendingWrite[]): string => pending.map(({ bytes }) => Buffer.from(bytes).toString()).join('|');

describe('a capture', () => {
  it('takes the logical position and what is not in the file yet', async () => {
    const file = await place.open({ content: 'old', clock: new ManualClock() });
    file.write('new');
    const taken = captured(file);
    expect(taken).toMatchObject({ member: 'main', position: 6, size: 6, created: false });
    expect(taken.pending.map(({ position }) => position)).toEqual([3]);
    expect(text(taken.pending)).toBe('new');
    expect(place.content()).toBe('old');
    await file.close();
  });

  it('is not changed by what the program writes after it, however much', async () => {
    const file = await place.open({ flags: 'w' });
    file.write('a'.repeat(100_000));
    file.write('end');
    const { pending } = captured(file);
    for (let n = 0; n < 200; n++) await file.write('b'.repeat(20_000));
    await file.flush();
    expect(text(pending).replaceAll('|', '')).toBe(`${'a'.repeat(100_000)}end`);
    await file.close();
  });

  it('hands the same memory to the helper thread instead of copying it', async () => {
    const file = await place.open({ flags: 'w', clock: new ManualClock() });
    file.write('x');
    expect(captured(file).pending[0]?.bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
    await file.close();
  });

  it('takes nothing of a file that is to be ignored, nor of a closed one', async () => {
    const ignored = await place.open({ flags: 'w', policy: 'ignore' });
    expect(ignored.capture('main')).toBeUndefined();
    await ignored.close();
    const closed = await place.open({ flags: 'w' });
    await closed.close();
    expect(closed.capture('main')).toBeUndefined();
  });

  it('says of a new file that its directory entry is to be made durable, until an image of this handle was committed', async () => {
    const file = await place.open({ flags: 'wx' });
    const first = captured(file);
    expect(first.created).toBe(true);
    file.committed({ ...first, handle: (first.handle ?? 0) - 1 });
    expect(captured(file).created).toBe(true);
    file.committed(first);
    expect(captured(file).created).toBe(false);
    await file.close();
  });
});

describe('securing what was captured', () => {
  it('F69: makes it durable up to the capture and leaves what comes behind it alone', async () => {
    const { fileSystem, operations } = recordingFileSystem();
    const file = await place.open({ flags: 'wx', clock: new ManualClock() });
    file.write('captured.');
    const taken = captured(file);
    file.write('later.');
    await file.flush();
    const record = await secureFile(taken, fileSystem);
    expect(record).toMatchObject({ position: 9, size: 9, check: { from: 0, to: 9 } });
    expect(operations.map(({ name }) => name).filter((name) => name.startsWith('fsync'))).toEqual(['fsync', 'fsync-directory']);
    expect(place.content()).toBe('captured.later.');
    await file.close();
  });

  it('F69: writes what the program has not written yet, as often as it is done', async () => {
    const file = await place.open({ content: 'old.', clock: new ManualClock() });
    file.write('captured.');
    const taken = captured(file);
    const first = await secureFile(taken, systemFileSystem);
    expect(place.content()).toBe('old.captured.');
    expect((await secureFile(taken, systemFileSystem)).check).toEqual(first.check);
    file.write('later.');
    await file.close();
    expect(place.content()).toBe('old.captured.later.');
  });

  it.each(['wx', 'r'] as const)('F41: refuses another file in its place (flags %s)', async (flags) => {
    const file = await place.open({ flags, ...(flags === 'r' ? { content: 'input' } : {}) });
    const taken = captured(file);
    renameSync(place.path, `${place.path}.1`);
    await expect(secureFile(taken, systemFileSystem)).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_MISSING', path: place.path });
    writeFileSync(place.path, 'another');
    await expect(secureFile(taken, systemFileSystem)).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_CHANGED', path: place.path });
    await file.close();
  });

  it('F40: refuses a file that somebody cut under the program', async () => {
    const file = await place.open({ flags: 'w' });
    file.write('0123456789');
    await file.flush();
    truncateSync(place.path, 4);
    file.write('behind');
    await expect(secureFile(captured(file), systemFileSystem)).rejects.toMatchObject({ code: 'ERR_CKPT_FILE_CHANGED' });
    await file.close();
  });

  it('asks nothing of a volatile file that was replaced or removed', async () => {
    const file = await place.open({ flags: 'a', content: 'log\n', policy: 'volatile' });
    file.write('more\n');
    await file.flush();
    renameSync(place.path, `${place.path}.1`);
    expect(await secureFile(captured(file), systemFileSystem)).toMatchObject({ position: 9, check: NO_BYTES });
    writeFileSync(place.path, 'rotated');
    expect(await secureFile(captured(file), systemFileSystem)).toMatchObject({ position: 9, check: NO_BYTES });
    expect(place.content()).toBe('rotated');
    await file.close();
  });

  it.each([
    ['write', 'ENOSPC', 'ERR_CKPT_NO_SPACE'],
    ['write', 'EIO', 'ERR_CKPT_IO'],
    ['fsync', 'EIO', 'ERR_CKPT_IO'],
    ['open', 'EMFILE', 'ERR_CKPT_IO'],
    ['fsync-directory', 'EIO', 'ERR_CKPT_UNCERTAIN'],
  ] as const)('says when %s fails with %s', async (op, system, code) => {
    const { fileSystem, fired } = recordingFileSystem([{ op, action: `errno:${system}` }]);
    const file = await place.open({ flags: 'wx', clock: new ManualClock() });
    file.write('x');
    await expect(secureFile(captured(file), fileSystem)).rejects.toMatchObject({ code });
    expect(fired).toHaveLength(1);
    await file.close();
  });
});

describe('closing', () => {
  it('makes durable what was written, the directory entry of a new file included', async () => {
    const { fileSystem, operations } = recordingFileSystem();
    const file = await place.open({ flags: 'wx', fileSystem });
    file.write('x');
    await file.close();
    expect(operations.map(({ name }) => name).slice(-4)).toEqual(['write', 'fsync', 'fsync-directory', 'close']);
  });

  it('is done once, however often it is asked for', async () => {
    const { fileSystem, operations } = recordingFileSystem();
    const file = await place.open({ flags: 'w', fileSystem });
    expect(file.close()).toBe(file.close());
    await file.close();
    await file[Symbol.asyncDispose]();
    expect(operations.filter(({ name }) => name === 'close')).toHaveLength(1);
  });

  it('refuses what is asked for afterwards, from the call on', async () => {
    const file = await place.open({ flags: 'w' });
    file.write('kept');
    const closing = file.close();
    const refused = expect.objectContaining({ code: 'ERR_CKPT_PHASE' });
    expect(() => file.write('x')).toThrow(refused);
    expect(() => file.position).toThrow(refused);
    await expect(file.flush()).rejects.toThrow(refused);
    await closing;
    expect(place.content()).toBe('kept');
  });

  it('lets go of the file also when it cannot be made durable, and says so', async () => {
    const { fileSystem, operations } = recordingFileSystem([{ op: 'fsync', action: 'errno:EIO' }]);
    const file = await place.open({ flags: 'w', fileSystem });
    await expect(file.close()).rejects.toMatchObject({ code: 'ERR_CKPT_IO', path: place.path });
    expect(operations.at(-1)?.name).toBe('close');
  });

  it('of a file that could not be opened fails where something was written to it', async () => {
    const { file } = place.begin({ flags: 'w', opening: turn().then(() => Promise.reject(new Error('refused'))) });
    file.write('lost');
    await expect(file.close()).rejects.toThrow('refused');
  });

  it('of a file that is being opened waits until it is', async () => {
    const { file } = place.begin({ flags: 'w', opening: turn() });
    file.write('kept');
    await file.close();
    expect(place.content()).toBe('kept');
  });
});

it('before start() nothing can be done with a handle', () => {
  const file = new TrackedFile(declareFile('early', place.path, {}), { ...parts, closed: () => {} });
  for (const use of [() => file.write('x'), () => file.position, () => file.lines()]) {
    expect(use).toThrow(expect.objectContaining({ code: 'ERR_CKPT_PHASE' }));
  }
});

describe('createWriteStream()', () => {
  it('works in a pipeline, with back pressure, and closes the handle at its end', async () => {
    const file = await place.open({ flags: 'w' });
    const upper = new Transform({ transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()) });
    const input = Array.from({ length: 500 }, (_, n) => `${n} line ${'y'.repeat(10_000)}\n`);
    await pipeline(Readable.from(input), upper, file.createWriteStream());
    expect(place.content()).toBe(input.join('').toUpperCase());
    expect(() => file.write('x')).toThrow(expect.objectContaining({ code: 'ERR_CKPT_PHASE' }));
  });

  it('hands every chunk to the handle at once, so that a capture and a close know of all of them', async () => {
    const file = await place.open({ flags: 'w' });
    const stream = file.createWriteStream();
    const lines = Array.from({ length: 200 }, (_, n) => `${n} ${'x'.repeat(40_000)}\n`);
    const accepted = lines.map((line) => stream.write(line));
    expect(accepted).toContain(false); // there is back pressure, which this program does not mind
    const total = lines.join('').length;
    expect({ position: file.position, captured: file.capture('main')?.size }).toEqual({ position: total, captured: total });
    await file.close();
    expect(place.content()).toBe(lines.join(''));
  });

  it('takes text of every encoding, bytes, and what end() brings, once each', async () => {
    const file = await place.open({ flags: 'w' });
    const stream = file.createWriteStream();
    stream.cork();
    stream.write('aé');
    stream.write('6a6b', 'hex');
    stream.write(new Uint8Array([0x6c]));
    expect(() => stream.write(5)).toThrow(TypeError);
    stream.uncork();
    stream.end('Yg==', 'base64');
    await finished(stream);
    expect(place.content()).toBe('aéjklb');
    stream.on('error', () => {});
    stream.write('behind the end');
    expect(place.content()).toBe('aéjklb');
  });

  it('passes a failure on to the pipeline', async () => {
    const { fileSystem } = recordingFileSystem([{ op: 'write', action: 'errno:ENOSPC' }]);
    const file = await place.open({ flags: 'w', fileSystem });
    await expect(pipeline(Readable.from(['lost']), file.createWriteStream())).rejects.toMatchObject({ code: 'ERR_CKPT_NO_SPACE' });
  });

  it('leaves the handle open when it is destroyed', async () => {
    const file = await place.open({ flags: 'w' });
    const broken = Readable.from(
      (function* () {
        yield 'a';
        throw new Error('source');
      })(),
    );
    await expect(pipeline(broken, file.createWriteStream())).rejects.toThrow('source');
    file.write('b');
    await file.close();
    expect(place.content()).toBe('ab');
  });
});

describe('the table of handles', () => {
  const opener = async (declaration: TrackedFile['declaration']): ReturnType<Parameters<FileTable['start']>[0]> => {
    const file = await systemFileSystem.open(declaration.path, 0o102, 0o600); // O_RDWR | O_CREAT
    const { size, dev, ino } = await file.stat();
    return { file, identity: { dev, ino }, position: size, size, created: true };
  };

  it('has each name and each path once at a time', async () => {
    const table = new FileTable('main', [], parts);
    table.declare('a', place.path, {});
    expect(() => table.declare('a', `${place.path}2`, {})).toThrow(expect.objectContaining({ code: 'ERR_CKPT_EXISTS' }));
    expect(() => table.declare('b', place.path, {})).toThrow(expect.objectContaining({ code: 'ERR_CKPT_EXISTS' }));
    await table.start(opener);
    await table.declare('b', `${place.path}2`, {}).close();
    table.declare('b', `${place.path}2`, {});
    await table.close();
  });

  it('waits with a capture for a file that is being opened or closed, and cannot in a synchronous loop', async () => {
    const table = new FileTable('main', [], parts);
    await table.start(opener);
    expect(table.settled()).toBeUndefined();
    const late = table.declare('late', place.path, {});
    late.write('x');
    expect(() => table.capture()).toThrow(expect.objectContaining({ code: 'ERR_CKPT_FILE' }));
    await table.settled();
    expect(table.capture().open).toHaveLength(1);
    table.release();
    const closing = late.close();
    expect(() => table.capture()).toThrow(expect.objectContaining({ code: 'ERR_CKPT_FILE' }));
    await table.settled();
    expect(table.capture().open).toEqual([]);
    await closing;
    await table.close();
  });

  it('fails a checkpoint while a late file could not be opened and was not closed', async () => {
    const table = new FileTable('main', [], parts);
    await table.start(() => Promise.reject(new Error('refused')));
    const late = table.declare('late', place.path, {});
    await expect(table.settled()).rejects.toThrow('refused');
    await late.close();
    expect(table.settled()).toBeUndefined();
  });

  it('writes what all of them gathered at an exit, also when one fails, and nothing once an image has it all', async () => {
    const { fileSystem, fired } = recordingFileSystem([{ op: 'write-sync', path: 'bad', action: 'errno:ENOSPC' }]);
    const table = new FileTable('main', [], { ...parts, clock: new ManualClock() });
    const [bad, good] = [table.declare('bad', `${place.path}-bad`, {}), table.declare('good', place.path, {})];
    await table.start(async (declaration) => {
      const opened = await opener(declaration);
      await opened.file.close();
      return { ...opened, file: await fileSystem.open(declaration.path, 0o2) }; // O_RDWR
    });
    bad.write('x');
    good.write('kept');
    expect(() => table.flushSync()).toThrow(expect.objectContaining({ code: 'ERR_CKPT_NO_SPACE' }));
    expect(fired).toHaveLength(1);
    expect(place.content()).toBe('kept');
    table.secured();
    good.write(' and secured');
    table.flushSync();
    expect(place.content()).toBe('kept');
    await expect(table.close()).rejects.toThrow(expect.objectContaining({ code: 'ERR_CKPT_NO_SPACE' }));
    expect(place.content()).toBe('kept and secured');
  });

  it('refuses a second handle of a file that is reached by another path', async () => {
    const table = new FileTable('main', [], parts);
    table.declare('one', place.path, {});
    await table.start(opener);
    linkSync(place.path, `${place.path}-alias`);
    const second = table.declare('two', `${place.path}-alias`, { flags: 'r' });
    await expect(second.flush()).rejects.toThrow(expect.objectContaining({ code: 'ERR_CKPT_EXISTS' }));
    await table.close();
  });

  it('opens nothing when the run has finished, and says so', async () => {
    const table = new FileTable('main', [], parts);
    const early = table.declare('early', place.path, {});
    table.stayClosed();
    for (const file of [early, table.declare('late', `${place.path}2`, {})]) {
      expect(() => file.write('x')).toThrow(
        expect.objectContaining({ code: 'ERR_CKPT_PHASE', message: expect.stringContaining('finished') }),
      );
    }
    await table.close();
  });
});
