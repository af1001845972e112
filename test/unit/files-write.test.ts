/** What is written through a handle: bytes, back pressure, failures, holding back, the end of the program. */
import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointError } from '../../packages/sdk/src/base/errors.js';
import type { FileSystem } from '../../packages/sdk/src/base/ports.js';
import { systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import type { TrackedFile } from '../../packages/sdk/src/files/tracked-file.js';
import { recordingFileSystem } from '../faults/recording-file-system.js';
import { ManualClock } from '../fixtures/manual-clock.js';
import { HandlePlace } from '../fixtures/open-handle.js';
import { seeded } from '../fixtures/seeded.js';

const KiB = 1024;
const MiB = 1024 * KiB;

let place: HandlePlace;
beforeEach(() => {
  place = new HandlePlace();
});
afterEach(() => place.remove());

/** Sum of the bytes that a capture would take along. */
const pending = (file: TrackedFile): number => file.capture('main')?.pending.reduce((sum, { bytes }) => sum + bytes.byteLength, 0) ?? 0;

const line = (n: number): string => `${n} Zürich, 東京, 🦜 ${'x'.repeat(n % 97)}\n`;

/** A file system that puts writes off, but not those without a turn of the event loop. */
function writingAfter(slow: Promise<void>): FileSystem {
  const open: FileSystem['open'] = async (path, flags, mode) => {
    const inner = await systemFileSystem.open(path, flags, mode);
    return {
      ...inner,
      write: async (...args) => {
        await slow;
        return inner.write(...args);
      },
    };
  };
  return { ...systemFileSystem, open };
}

/** Resolves once the file holds that much. */
async function until(bytes: number): Promise<void> {
  while (readFileSync(place.path).byteLength < bytes) await turn();
}

describe('what arrives', () => {
  it('is what was written, over the ends of blocks and in every language', async () => {
    const file = await place.open({ flags: 'w' });
    let expected = '';
    for (let n = 0; n < 20_000; n++) {
      expected += line(n);
      await file.write(line(n));
    }
    expect(file.position).toBe(Buffer.byteLength(expected));
    await file.close();
    expect(place.content()).toBe(expected);
  });

  it('is the same for pieces of any size, text and bytes mixed', async () => {
    const random = seeded(7);
    const file = await place.open({ flags: 'w' });
    const pieces: Buffer[] = [];
    for (let n = 0; n < 60; n++) {
      const text = '→é😀a'.repeat(random.whole(n % 7 === 0 ? 60_000 : 2_000));
      const bytes = Buffer.from(text);
      pieces.push(bytes);
      await file.write(n % 2 === 0 ? text : bytes);
    }
    await file.close();
    expect(readFileSync(place.path).equals(Buffer.concat(pieces))).toBe(true);
  });

  it('is U+FFFD for half a surrogate pair, also when the other half comes with the next text', async () => {
    const file = await place.open({ flags: 'w' });
    file.write('\ud83e');
    file.write('\udd9c');
    file.write('a\ud83e');
    file.write('🦜');
    await file.close();
    expect(place.content()).toBe('\ufffd\ufffda\ufffd🦜');
  });

  it('does not depend on what the caller does with its bytes afterwards', async () => {
    const file = await place.open({ flags: 'w' });
    const bytes = Buffer.from('before');
    file.write(bytes);
    bytes.fill('!');
    await file.close();
    expect(place.content()).toBe('before');
  });

  it('goes behind what was there with flags a, and begins anew with w', async () => {
    const appended = await place.open({ content: 'old\n' });
    expect(appended.position).toBe(4);
    appended.write('new\n');
    expect(appended.position).toBe(8);
    await appended.close();
    expect(place.content()).toBe('old\nnew\n');
    const anew = await place.open({ flags: 'w' });
    anew.write('other');
    await anew.close();
    expect(place.content()).toBe('other');
  });

  it('may be refused by type', async () => {
    const file = await place.open({ flags: 'w' });
    expect(() => file.write(7 as unknown as string)).toThrow(TypeError);
    await file.close();
  });
});

describe('when it arrives', () => {
  it('is within a second of the program writing a little', async () => {
    const clock = new ManualClock();
    const file = await place.open({ flags: 'w', clock });
    file.write('seen');
    await turn();
    expect(place.content()).toBe('');
    clock.advance(1_000);
    await until(4);
    expect(place.content()).toBe('seen');
    await file.close();
  });

  it('is within a second also for the rest behind a full block', async () => {
    const clock = new ManualClock();
    const file = await place.open({ flags: 'w', clock });
    file.write('x'.repeat(64 * KiB));
    file.write('rest');
    await until(64 * KiB);
    clock.advance(1_000);
    await until(64 * KiB + 4);
    expect(clock.timers).toBe(0);
    await file.close();
  });

  it('is before flush() resolves, and flush() does not wait for what comes after it', async () => {
    const file = await place.open({ flags: 'w' });
    file.write('one');
    const flushed = file.flush();
    file.write('two');
    await flushed;
    expect(place.content().startsWith('one')).toBe(true);
    await file.close();
    expect(place.content()).toBe('onetwo');
  });

  it('leaves no timer behind a closed handle', async () => {
    const clock = new ManualClock();
    const file = await place.open({ flags: 'w', clock });
    file.write('x');
    await file.close();
    expect(clock.timers).toBe(0);
  });
});

describe('back pressure', () => {
  it('is a promise only once a mebibyte waits, and ends when half of it is gone', async () => {
    const file = await place.open({ flags: 'w' });
    const block = Buffer.alloc(64 * KiB, 'x');
    let written = 0;
    let pressure: Promise<void> | undefined;
    while (pressure === undefined) {
      pressure = file.write(block);
      written += block.byteLength;
    }
    expect(written).toBeGreaterThanOrEqual(MiB);
    expect(written).toBeLessThanOrEqual(2 * MiB);
    await pressure;
    expect(pending(file)).toBeLessThanOrEqual(MiB / 2 + 64 * KiB);
    await file.close();
  });

  it('keeps memory bounded when the program never lets the event loop turn', async () => {
    const file = await place.open({ flags: 'w' });
    let most = 0;
    let promises = 0;
    for (let n = 0; n < 640; n++) {
      if (file.write(Buffer.alloc(64 * KiB, n)) !== undefined) promises++;
      most = Math.max(most, pending(file));
    }
    expect(promises).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(8 * MiB + 128 * KiB);
    await file.close();
    const found = readFileSync(place.path);
    expect(found.byteLength).toBe(40 * MiB);
    expect(Array.from({ length: 640 }, (_, n) => found[n * 64 * KiB])).toEqual(Array.from({ length: 640 }, (_, n) => n % 256));
  });

  it('gives the same promise to a program that does not await it', async () => {
    const file = await place.open({ flags: 'w' });
    while (file.write(Buffer.alloc(MiB)) === undefined);
    expect(file.write('a')).toBe(file.write('b'));
    await file.close();
  });

  it('refuses what is too much for memory while the file is not open yet', async () => {
    const { file, ready } = place.begin({ flags: 'w', opening: turn() });
    const writeOn = (): void => {
      for (let n = 0; n < 200; n++) void file.write(Buffer.alloc(64 * KiB));
    };
    expect(writeOn).toThrow(expect.objectContaining({ code: 'ERR_CKPT_PHASE' }));
    await ready;
    await file.close();
  });
});

describe('a failure', () => {
  it.each([
    ['ENOSPC', 'ERR_CKPT_NO_SPACE'],
    ['EDQUOT', 'ERR_CKPT_NO_SPACE'],
    ['EIO', 'ERR_CKPT_IO'],
  ])('of the system, %s, is %s at every call after it, and names the file', async (system, code) => {
    const recording = recordingFileSystem([{ op: 'write', action: `errno:${system}` }]);
    const file = await place.open({ flags: 'w', fileSystem: recording.fileSystem });
    const failure = expect.objectContaining({ code, path: place.path });
    file.write('lost');
    await expect(file.flush()).rejects.toThrow(failure);
    expect(recording.fired).toHaveLength(1);
    expect(() => file.write('more')).toThrow(failure);
    await expect(file.flush()).rejects.toThrow(failure);
    expect(() => file.capture('main')).toThrow(failure);
    expect(() => file.flushSync()).toThrow(failure);
    await expect(file.close()).rejects.toThrow(failure);
  });

  it('ends back pressure, and reaches a program that ignored the promise at its next write', async () => {
    const { fileSystem } = recordingFileSystem([{ op: 'write', nth: 2, action: 'errno:ENOSPC' }]);
    const file = await place.open({ flags: 'w', fileSystem });
    let pressure: Promise<void> | undefined;
    while (pressure === undefined) pressure = file.write(Buffer.alloc(256 * KiB));
    await expect(pressure).rejects.toThrow(expect.objectContaining({ code: 'ERR_CKPT_NO_SPACE' }));
    expect(() => file.write('x')).toThrow(expect.objectContaining({ code: 'ERR_CKPT_NO_SPACE' }));
    await file.close().catch(() => {});
  });

  it('of a write without a turn of the event loop is final too', async () => {
    const { fileSystem, fired } = recordingFileSystem([{ op: 'write-sync', action: 'errno:ENOSPC' }]);
    const file = await place.open({ flags: 'w', fileSystem });
    file.write('lost');
    expect(() => file.flushSync()).toThrow(expect.objectContaining({ code: 'ERR_CKPT_NO_SPACE' }));
    expect(fired).toHaveLength(1);
    expect(() => file.write('x')).toThrow(expect.objectContaining({ code: 'ERR_CKPT_NO_SPACE' }));
    await file.close().catch(() => {});
  });

  it('is none where the system takes less than it was given', async () => {
    const { fileSystem, fired } = recordingFileSystem([
      { op: 'write', times: 3, action: 'short' },
      { op: 'write-sync', action: 'short' },
    ]);
    const file = await place.open({ flags: 'w', fileSystem });
    file.write('0123456789');
    await file.flush();
    file.write('abcdef');
    file.flushSync();
    expect(fired).toHaveLength(4);
    await file.close();
    expect(place.content()).toBe('0123456789abcdef');
  });

  it('to open a late file is met by what was asked of it', async () => {
    const { file, ready } = place.begin({ flags: 'w', opening: Promise.reject(new CheckpointError('ERR_CKPT_FILE', 'refused')) });
    const refused = expect.objectContaining({ code: 'ERR_CKPT_FILE' });
    file.write('x');
    await expect(ready).rejects.toThrow(refused);
    expect(() => file.write('y')).toThrow(refused);
    await expect(file.flush()).rejects.toThrow(refused);
    await expect(file.close()).rejects.toThrow(refused); // as that of a file to which a write failed
  });
});

describe('F74: a fenced program', () => {
  const fenced = new CheckpointError('ERR_CKPT_FENCED', 'fenced');
  const refused = expect.objectContaining({ code: 'ERR_CKPT_FENCED' });

  it('F74: is told at the call once it is known', async () => {
    const file = await place.open({
      flags: 'w',
      parts: {
        assertAlive: () => {
          throw fenced;
        },
      },
    });
    expect(() => file.write('x')).toThrow(refused);
    await file.close();
    expect(place.content()).toBe('');
  });

  it('F74: writes nothing of what it gathered before it was found out', async () => {
    const file = await place.open({ flags: 'w', parts: { allowed: () => Promise.reject(fenced) } });
    file.write('gathered');
    await expect(file.flush()).rejects.toThrow(refused);
    expect(() => file.write('more')).toThrow(refused);
    await expect(file.close()).rejects.toThrow(refused);
    expect(place.content()).toBe('');
  });

  it('F74: writes nothing at its exit either', async () => {
    const file = await place.open({
      flags: 'w',
      parts: {
        allowedSync: () => {
          throw fenced;
        },
      },
    });
    file.write('gathered');
    expect(() => file.flushSync()).toThrow(refused);
    expect(place.content()).toBe('');
    await file.close().catch(() => {});
  });
});

describe('without a turn of the event loop', () => {
  it('everything gathered is in the file after flushSync()', async () => {
    const file = await place.open({ flags: 'w' });
    let expected = '';
    for (let n = 0; n < 5_000; n++) {
      expected += line(n);
      void file.write(line(n));
    }
    file.flushSync();
    expect(place.content()).toBe(expected);
    await file.close();
    expect(place.content()).toBe(expected);
  });

  it('a block that was on its way to the system does not undo what was written over it', async () => {
    let goOn: () => void = () => {};
    const slow = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const file = await place.open({ flags: 'r+', content: '.'.repeat(20), fileSystem: writingAfter(slow) });
    file.write('aaaaaaaaaa');
    const flushed = file.flush();
    await turn();
    file.position = 5;
    file.write('bb');
    file.position = 15;
    file.write('cc');
    file.flushSync();
    expect(place.content()).toBe('aaaaabbaaa.....cc...');
    goOn();
    await flushed;
    await file.close();
    expect(place.content()).toBe('aaaaabbaaa.....cc...');
  });
});

describe('held back while the content is copied', () => {
  it('nothing is written until it is let go, and flush() waits without blocking anybody', async () => {
    const file = await place.open({ flags: 'r+', content: 'before' });
    file.write('taken.');
    await file.flush();
    file.hold(true);
    file.position = 0;
    file.write('after.');
    let flushed = false;
    const flushing = file.flush().then(() => {
      flushed = true;
    });
    for (let n = 0; n < 5; n++) await turn();
    expect(flushed).toBe(false);
    expect(place.content()).toBe('taken.');
    file.hold(false);
    await flushing;
    expect(place.content()).toBe('after.');
    await file.close();
  });

  it('a program that writes too much meanwhile waits for it', async () => {
    let waited = 0;
    const parts = {
      waitReleased: (released: () => boolean): void => {
        waited++;
        file.hold(false);
        expect(released()).toBe(true);
      },
    };
    const file = await place.open({ flags: 'r+', content: '', parts });
    file.hold(true);
    for (let n = 0; n < 140; n++) void file.write(Buffer.alloc(64 * KiB));
    expect(waited).toBe(1);
    await file.close();
  });
});
