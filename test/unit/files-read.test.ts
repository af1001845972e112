/** What is read through a handle: lines, pieces, and the position that a capture would record. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointError } from '../../packages/sdk/src/base/errors.js';
import type { FileSystem } from '../../packages/sdk/src/base/ports.js';
import { systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import type { TakeGate } from '../../packages/sdk/src/files/taken.js';
import type { TrackedFile } from '../../packages/sdk/src/files/tracked-file.js';
import { recordingFileSystem } from '../faults/recording-file-system.js';
import { HandlePlace } from '../fixtures/open-handle.js';
import { seeded } from '../fixtures/seeded.js';

let place: HandlePlace;
beforeEach(() => {
  place = new HandlePlace();
});
afterEach(() => place.remove());

const recorded = (file: TrackedFile): number => file.capture('main')?.position ?? -1;

const reading = (content: string | Uint8Array, fileSystem: FileSystem = systemFileSystem): Promise<TrackedFile> =>
  place.open({ flags: 'r', content, fileSystem });

/** All lines, each with the position that was recorded when the program had it. */
async function linesOf(file: TrackedFile): Promise<[string, number][]> {
  const found: [string, number][] = [];
  for await (const line of file.lines()) found.push([line, recorded(file)]);
  await file.close();
  return found;
}

/** Reads at most `most` bytes at a time. */
function reluctant(most: () => number): FileSystem {
  const open: FileSystem['open'] = async (path, flags, mode) => {
    const inner = await systemFileSystem.open(path, flags, mode);
    return { ...inner, read: (target, offset, length, position) => inner.read(target, offset, Math.min(length, most()), position) };
  };
  return { ...systemFileSystem, open };
}

/** The gate of a task that stands at a safepoint until `goOn`. */
function standingGate(): { readonly gate: TakeGate; stand(): void; goOn(): void } {
  let standing = false;
  const waiting: (() => void)[] = [];
  return {
    gate: (take) => void (standing ? waiting.push(take) : take()),
    stand: () => {
      standing = true;
    },
    goOn: () => {
      standing = false;
      for (const take of waiting.splice(0)) take();
    },
  };
}

describe('lines()', () => {
  it.each([
    ['LF', 'a\nb\n', ['a', 'b'], [2, 4]],
    ['CRLF', 'a\r\nb\r\n', ['a', 'b'], [3, 6]],
    ['both', 'a\r\nb\nc', ['a', 'b', 'c'], [3, 5, 6]],
    ['no end at the last line', 'a\nbc', ['a', 'bc'], [2, 4]],
    ['empty lines', '\n\n\r\nx\n', ['', '', '', 'x'], [1, 2, 4, 6]],
    ['a lone CR inside and at the end', 'a\rb\nc\r', ['a\rb', 'c\r'], [4, 6]],
    ['nothing', '', [], []],
    ['a single newline', '\n', [''], [1]],
  ])('splits %s and knows the byte behind each line', async (_what, content, lines, ends) => {
    const found = await linesOf(await reading(content));
    expect(found).toEqual(lines.map((line, at) => [line, ends[at]]));
  });

  it('decodes sequences that are split over reads', async () => {
    const text = Array.from({ length: 300 }, (_, n) => `${n}→é東🦜${'ß'.repeat(n % 13)}${n % 3 === 0 ? '\r' : ''}\n`).join('');
    const random = seeded(3);
    const found = await linesOf(
      await reading(
        text,
        reluctant(() => 1 + random.whole(6)),
      ),
    );
    expect(found.map(([line]) => line)).toEqual(text.replaceAll('\r\n', '\n').split('\n').slice(0, -1));
    expect(found.at(-1)?.[1]).toBe(Buffer.byteLength(text));
  });

  it('reads lines much longer than what it reads ahead', async () => {
    const lines = ['x'.repeat(3_000_000), 'é'.repeat(700_000), 'short', 'y'.repeat(262_144)];
    const found = await linesOf(await reading(lines.join('\n')));
    expect(found.map(([line]) => line.length)).toEqual(lines.map((line) => line.length));
    expect(found.map(([line]) => line)).toEqual(lines);
  });

  it('counts a line as taken when the loop has it, and what was read ahead not at all', async () => {
    const file = await reading('one\ntwo\nthree\n');
    expect(recorded(file)).toBe(0);
    for await (const line of file.lines()) {
      if (line === 'two') break;
    }
    expect([recorded(file), file.position]).toEqual([8, 8]);
    const rest: string[] = [];
    for await (const line of file.lines()) rest.push(line);
    expect(rest).toEqual(['three']);
    await file.close();
  });

  it('hands out in order what is asked for at once', async () => {
    const file = await reading('a\nb\nc\n');
    const lines = file.lines();
    const all = await Promise.all([lines.next(), lines.next(), lines.next(), lines.next()]);
    expect(all.map(({ value }) => value)).toEqual(['a', 'b', 'c', undefined]);
    expect(recorded(file)).toBe(6);
    await file.close();
  });

  it('says that it is over as often as it is asked, and goes on when the file has grown', async () => {
    const file = await reading('a\n');
    const lines = file.lines();
    await lines.next();
    expect([await lines.next(), await lines.next()]).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    writeFileSync(place.path, 'a\nb\n');
    expect(await lines.next()).toEqual({ done: false, value: 'b' });
    await file.close();
  });

  it('of a file that is still being opened begin when it is open', async () => {
    const { file, ready } = place.begin({ flags: 'r', content: 'a\nb\n', opening: turn() });
    const lines = file.lines();
    const first = lines.next();
    expect(() => file.position).toThrow(expect.objectContaining({ code: 'ERR_CKPT_PHASE' }));
    expect((await first).value).toBe('a');
    await ready;
    expect((await lines.next()).value).toBe('b');
    expect(recorded(file)).toBe(4);
    await file.close();
  });

  it('of a file that could not be opened fail with the reason', async () => {
    const { file, ready } = place.begin({ flags: 'r', content: '', opening: Promise.reject(new CheckpointError('ERR_CKPT_FILE', 'no')) });
    const refused = expect.objectContaining({ code: 'ERR_CKPT_FILE' });
    await expect(file.lines().next()).rejects.toThrow(refused);
    await expect(file.read(3)).rejects.toThrow(refused);
    await expect(ready).rejects.toThrow(refused);
    await file.close();
  });
});

describe('chunks() and read()', () => {
  it('give pieces of the length asked for, the last shorter', async () => {
    const bytes = Buffer.from(Array.from({ length: 100_003 }, (_, n) => n % 251));
    for (const length of [1_000, 64 * 1024, 300_000]) {
      const file = await reading(bytes);
      const pieces: Buffer[] = [];
      for await (const piece of file.chunks(length)) {
        pieces.push(piece);
        expect(recorded(file)).toBe(pieces.reduce((sum, one) => sum + one.byteLength, 0));
      }
      expect(pieces.slice(0, -1).every((piece) => piece.byteLength === length)).toBe(true);
      expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
      await file.close();
    }
  });

  it('give an empty piece behind the end', async () => {
    const file = await reading('abc');
    expect([String(await file.read(2)), String(await file.read(2)), String(await file.read(2))]).toEqual(['ab', 'c', '']);
    expect(recorded(file)).toBe(3);
    await file.close();
  });

  it('take what the system gives in small parts', async () => {
    const file = await reading(
      '0123456789',
      reluctant(() => 3),
    );
    expect(String(await file.read(8))).toBe('01234567');
    await file.close();
  });

  it('hand out memory that is the program’s own', async () => {
    const file = await reading('abcdef');
    (await file.read(2)).fill('!');
    file.position = 0;
    expect(String(await file.read(4))).toBe('abcd');
    await file.close();
  });

  it('do not need memory for what is not there', async () => {
    const file = await reading('abc');
    expect(String(await file.read(2 ** 40))).toBe('abc');
    await file.close();
  });

  it('mix with lines()', async () => {
    const file = await reading('head\n1234rest\n');
    const lines = file.lines();
    expect((await lines.next()).value).toBe('head');
    expect(String(await file.read(4))).toBe('1234');
    expect((await lines.next()).value).toBe('rest');
    await file.close();
  });

  it('refuse a length that is none', async () => {
    const file = await reading('abc');
    for (const length of [0, -1, 1.5, Number.NaN]) expect(() => file.read(length)).toThrow(TypeError);
    expect(() => file.chunks(0)).toThrow(TypeError);
    await file.close();
  });

  it('fail with a code that names the file, take nothing, and can be tried again', async () => {
    const { fileSystem, fired } = recordingFileSystem([{ op: 'read', action: 'errno:EIO' }]);
    const file = await reading('abc', fileSystem);
    await expect(file.read(2)).rejects.toThrow(expect.objectContaining({ code: 'ERR_CKPT_IO', path: place.path }));
    expect(fired).toHaveLength(1);
    expect(recorded(file)).toBe(0);
    expect(String(await file.read(2))).toBe('ab');
    await file.close();
  });
});

describe('an element counts as taken', () => {
  it('not while its promise is held, resolved or not, and once the program goes on with it', async () => {
    const file = await reading('one\ntwo\n');
    const lines = file.lines();
    const first = lines.next();
    await turn();
    expect(recorded(file)).toBe(0);
    expect((await first).value).toBe('one');
    expect(recorded(file)).toBe(4);
    const second = lines.next(); // read ahead: resolved from the beginning
    await turn();
    expect(recorded(file)).toBe(4);
    await second;
    expect(recorded(file)).toBe(8);
    await file.close();
  });

  it.each<[string, (element: Promise<Buffer>) => Promise<unknown>]>([
    ['then', (element) => element.then((bytes) => bytes)],
    ['Promise.resolve', (element) => Promise.resolve(element)],
    ['Promise.all', (element) => Promise.all([element])],
    ['Promise.race', (element) => Promise.race([element, new Promise(() => {})])],
    ['an async function that returns it', (element) => (async () => element)()],
    ['catch, when its value is gone on with', (element) => element.catch(() => {})],
    ['finally, when its value is gone on with', (element) => element.finally(() => {})],
    [
      'a chain of both',
      (element) =>
        element
          .catch(() => {})
          .finally(() => {})
          .then((bytes) => bytes),
    ],
  ])('through %s', async (_how, through) => {
    for (const asked of ['there', 'to come']) {
      const file = await reading('one\ntwo\n');
      if (asked === 'there') await file.read(1);
      const before = recorded(file);
      const element = file.read(2);
      await turn();
      await turn();
      expect(recorded(file)).toBe(before);
      await through(element);
      expect(recorded(file)).toBe(before + 2);
      await file.close();
    }
  });

  it('not by listening for its failure, nor for its end', async () => {
    const file = await reading('one\n');
    const element = file.read(2);
    element.catch(() => {});
    element.finally(() => {});
    void element.then(undefined, () => {});
    for (let n = 0; n < 3; n++) await turn();
    expect(recorded(file)).toBe(0);
    await element;
    expect(recorded(file)).toBe(2);
    await file.close();
  });

  it('together with those before it', async () => {
    const file = await reading('a\nb\nc\n');
    const lines = file.lines();
    const dropped = [lines.next(), lines.next()];
    await lines.next();
    expect(recorded(file)).toBe(6);
    await dropped[0];
    expect(recorded(file)).toBe(6);
    await file.close();
  });

  it.each(['pending', 'resolved and held'])('F67: not before safe() lets the task go on (%s at the capture)', async (when) => {
    const { gate, stand, goOn } = standingGate();
    const file = await place.open({ flags: 'r', content: 'one\ntwo\n', parts: { gate } });
    if (when === 'resolved and held') await file.read(1);
    const before = recorded(file);
    const element = file.read(3);
    stand();
    const safe = Promise.resolve(element).then((bytes) => String(bytes));
    expect(recorded(file)).toBe(before);
    await safe;
    expect(recorded(file)).toBe(before);
    goOn();
    expect(recorded(file)).toBe(before + 3);
    await file.close();
  });

  it.each<[string, (element: Promise<Buffer>) => Promise<unknown>]>([
    ['then', (element) => element.then(String)],
    ['Promise.all', (element) => Promise.all([element, turn()])],
    ['an async function', async (element) => String(await element)],
    ['catch', (element) => element.catch(() => {})],
  ])('F67: not before safe() lets the task go on, when %s made what safe() waits for', async (_how, derive) => {
    const { gate, stand, goOn } = standingGate();
    const file = await place.open({ flags: 'r', content: 'one\ntwo\nthree\n', parts: { gate } });
    for (const length of [3, 4]) {
      const before = recorded(file); // the second one is there when it is asked for
      const derived = derive(file.read(length));
      stand();
      await Promise.resolve(derived);
      expect(recorded(file)).toBe(before);
      goOn();
      expect(recorded(file)).toBe(before + length);
    }
    await file.close();
  });

  describe.each(['there', 'to come'])('F67: when it goes through a race (%s)', (asked) => {
    let file: TrackedFile;
    let lines: AsyncIterableIterator<string, undefined>;
    let before: number;
    beforeEach(async () => {
      file = await reading('one\ntwo\nthree\nfour\n');
      lines = file.lines();
      if (asked === 'there') await lines.next();
      before = recorded(file);
    });
    afterEach(() => file.close());
    const lost = async (element: Promise<unknown>): Promise<void> => {
      expect(await Promise.race([Promise.resolve('first'), element])).toBe('first');
      for (let n = 0; n < 20; n++) await turn(); // it is there by now
    };

    it('only once it is awaited, when it lost and is held', async () => {
      const held = lines.next();
      for (let round = 0; round < 3; round++) {
        await lost(held);
        expect(recorded(file)).toBe(before);
      }
      await held;
      expect(recorded(file)).toBe(before + 4);
    });

    it('with the next one, when it lost and was dropped', async () => {
      await lost(lines.next());
      expect(recorded(file)).toBe(before);
      await lines.next();
      expect(recorded(file)).toBe(asked === 'there' ? 14 : 8);
    });

    it('at once when the program looks at what it won', async () => {
      const won = await Promise.race([lines.next(), new Promise<never>(() => {})]);
      expect(recorded(file)).toBe(before);
      expect(won.done).toBe(false);
      expect(recorded(file)).toBe(before + 4);
      expect(won).toEqual({ done: false, value: asked === 'there' ? 'two' : 'one' });
    });
  });

  it.each<[string, (element: Promise<unknown>) => Promise<unknown>]>([
    ['await', (element) => element],
    ['then', (element) => element.then(() => {})],
    ['catch', (element) => element.catch(() => {})],
  ])('by %s also when its value is not looked at', async (_how, skip) => {
    const file = await reading('header\n1\n');
    const lines = file.lines();
    await skip(lines.next());
    expect(recorded(file)).toBe(7);
    await skip(lines.next());
    expect(recorded(file)).toBe(9);
    await file.close();
  });

  it('by the value that came of it through Promise.all, an async function or another promise', async () => {
    const file = await reading('a\nb\nc\nd\n');
    const pieces = file.chunks(2);
    const [first, second] = await Promise.all([pieces.next(), pieces.next()]);
    expect([recorded(file), String(first.value), recorded(file), String(second.value), recorded(file)]).toEqual([0, 'a\n', 2, 'b\n', 4]);
    const third = await (async () => pieces.next())();
    const fourth = await new Promise<IteratorResult<Buffer>>((resolve) => resolve(pieces.next()));
    expect(recorded(file)).toBe(4);
    expect(String(fourth.value)).toBe('d\n');
    expect(recorded(file)).toBe(8);
    expect(String(third.value)).toBe('c\n');
    expect(recorded(file)).toBe(8);
    await file.close();
  });

  it('no more once the position was set', async () => {
    const file = await reading('0123456789');
    const [there, toCome] = [await file.read(1), file.read(4)];
    expect(String(there)).toBe('0');
    file.position = 8;
    expect(String(await toCome)).toBe('1234');
    expect(recorded(file)).toBe(8);
    expect(String(await file.read(4))).toBe('89');
    await file.close();
  });
});

describe('flags r+', () => {
  it('read what was just written, and write where was read', async () => {
    const file = await place.open({ flags: 'r+', content: 'abcdefghij' });
    expect(String(await file.read(3))).toBe('abc');
    file.write('DE');
    expect(file.position).toBe(5);
    expect(String(await file.read(2))).toBe('fg');
    file.position = 3;
    expect(String(await file.read(3))).toBe('DEf');
    file.position = 10;
    file.write('kl');
    file.position = 0;
    const captured = file.capture('main');
    expect([captured?.position, captured?.size]).toEqual([0, 12]);
    await file.close();
    expect(place.content()).toBe('abcDEfghijkl');
  });

  it('do not count as longer by a position behind the end, nor by writing nothing there', async () => {
    const file = await place.open({ flags: 'r+', content: 'abc' });
    file.position = 100;
    file.write('');
    expect(file.capture('main')).toMatchObject({ position: 100, size: 3 });
    await file.close();
    expect(readFileSync(place.path).byteLength).toBe(3);
  });

  it('put the position to where lines were gone on with', async () => {
    const file = await place.open({ flags: 'r+', content: 'one\ntwo\nthree\n' });
    for await (const line of file.lines()) {
      if (line === 'one') break;
    }
    file.write('TWO');
    await file.close();
    expect(place.content()).toBe('one\nTWO\nthree\n');
  });
});

it.each(['a', 'w', 'wx'] as const)('with flags %s nothing can be read and the position not set', async (flags) => {
  const file = await place.open({ flags });
  expect(() => file.lines()).toThrow(TypeError);
  expect(() => file.read(1)).toThrow(TypeError);
  expect(() => {
    file.position = 0;
  }).toThrow(TypeError);
  await file.close();
});
