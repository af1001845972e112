/** What differs in two states: every mark, every rule of pairing, and how it is bounded. */
import { describe, expect, it } from 'vitest';
import { type Difference, diffOpened, type ImagesDiff } from '../../packages/sdk/src/tools/diff-images.js';
import { Particle, testClasses } from '../fixtures/graph-classes.js';
import { linkedList, openState, type StateOptions } from '../fixtures/state-image.js';

const CLASSES = testClasses();

async function diff(a: unknown, b: unknown, options: StateOptions = {}, limit = 1000): Promise<ImagesDiff> {
  return diffOpened(
    await openState({ sim: a }, { classes: CLASSES }),
    await openState({ sim: b }, { classes: CLASSES, ...options }),
    limit,
  );
}

/** Each difference in a line: mark, path, part unless it is `value`, and the sides. */
function lines({ differences }: ImagesDiff): string[] {
  const side = (of: Difference['a']): string => (of === undefined ? '' : ` ${of.text}`);
  return differences.map(({ mark, path, part, a, b, elements }) =>
    elements === undefined
      ? `${mark} ${path}${part === 'value' ? '' : ` ${part}`}${side(a)}${a !== undefined && b !== undefined ? ' ->' : ''}${side(b)}`
      : `${mark} ${path} ${elements.changed} of ${elements.of} ${part} ${String(elements.maxDelta)} [${elements.first}]`,
  );
}

async function found(a: unknown, b: unknown): Promise<string[]> {
  return lines(await diff(a, b));
}

describe('marks', () => {
  it('tell what is added, removed, modified and of another type, in the order of A', async () => {
    const a = { kept: [1, 'x'], step: 1, gone: { x: 1 }, kind: 1, text: 'a' };
    const b = { kept: [1, 'x'], step: 2, kind: '1', text: 'b', fresh: new Float64Array(3) };
    const result = await diff(a, b);
    expect(lines(result)).toEqual([
      'M sim.step 1 -> 2',
      '- sim.gone { x: 1 }',
      'T sim.kind 1 -> "1"',
      'M sim.text "a" -> "b"',
      '+ sim.fresh Float64Array(3)',
    ]);
    expect(result).toMatchObject({ same: false, counts: { added: 1, removed: 1, modified: 2, typeChanged: 1 } });
    expect(result.differences[2]).toMatchObject({ a: { kind: 'number' }, b: { kind: 'string' } });
  });

  it.each<[string, unknown, unknown, string[]]>([
    ['NaN equals NaN', [Number.NaN, 'x'], [Number.NaN, 'x'], []],
    ['-0 differs from 0', { x: 0 }, { x: -0 }, ['M sim.x 0 -> -0']],
    ['undefined differs from nothing', { x: undefined }, {}, ['- sim.x undefined']],
    ['a hole differs from undefined', ['a', undefined, 'c'], Object.assign(['a'], { 2: 'c' }), ['- sim[1] undefined']],
    ['holes at the end', ['a'], Object.assign(['a'], { length: 5 }), ['M sim length 1 -> 5']],
    ['null is a type', { x: null }, { x: {} }, ['T sim.x null -> {}']],
    ['dates', [new Date(0)], [new Date(1)], ['M sim[0] 1970-01-01T00:00:00.000Z -> 1970-01-01T00:00:00.001Z']],
    ['regular expressions', [/x/g], [/x/], ['M sim[0] /x/g -> /x/']],
    ['boxes', [Object(1)], [Object('1')], ['T sim[0] boxed number 1 -> boxed string "1"']],
    ['errors', [new TypeError('x')].map(bare), [new RangeError('x')].map(bare), ['T sim[0] TypeError "x" -> RangeError "x"']],
    ['frozen', [{}], [Object.freeze({})], ['M sim[0] integrity open -> frozen']],
    ['prototypes', [{}], [Object.create(null)], ['T sim[0] {} -> {}']],
    ['keys in another order', { a: 1, b: 2 }, { b: 2, a: 1 }, ['M sim order keys -> keys in another order']],
    ['symbols', { [Symbol.for('k')]: 1 }, { [Symbol.for('k')]: 2 }, ['M sim[Symbol(k)] 1 -> 2']],
    ['kinds of views', [new Uint8Array(2)], [new Int8Array(2)], ['T sim[0] Uint8Array(2) -> Int8Array(2)']],
    ['bigints', [[2n ** 70n]], [[2n ** 70n + 1n]], [`M sim[0][0] ${2n ** 70n}n -> ${2n ** 70n + 1n}n`]],
  ])('%s', async (_, a, b, expected) => expect(await found(a, b)).toEqual(expected));
});

/** Without its stack, which tells of this file. */
function bare(error: Error): Error {
  Reflect.deleteProperty(error, 'stack');
  return error;
}

describe('attributes', () => {
  it('of a property are told', async () => {
    const hidden = Object.defineProperty({}, 'x', { value: 1, writable: true, enumerable: false, configurable: true });
    expect(await found({ x: 1 }, hidden)).toEqual([
      'M sim.x attributes writable, enumerable, configurable -> writable, hidden, configurable',
    ]);
  });
});

describe('numbers', () => {
  it('of typed arrays are told as a sum', async () => {
    const a = Float64Array.from({ length: 1000 }, (_, index) => index);
    const b = a.slice();
    b[10] = 10.5;
    b[999] = Number.NaN;
    b[0] = -0;
    expect(await found({ grid: a }, { grid: b })).toEqual(['M sim.grid 3 of 1000 elements 0.5 [0]']);
    expect(await found([BigInt64Array.of(1n, 2n)], [BigInt64Array.of(1n, -5n)])).toEqual(['M sim[0] 1 of 2 elements 7 [1]']);
    expect(await found([Float32Array.of(Number.NaN)], [Float32Array.of(1)])).toEqual(['M sim[0] 1 of 1 elements undefined [0]']);
  });

  it('of plain arrays too, and what one has beyond the other as one run', async () => {
    expect(await found([1, 2, 3, 4], [1, 2, 5])).toEqual(['- sim[3] 4', 'M sim 1 of 3 elements 2 [2]']);
    expect(await found(['a'], ['a', 'b', 'c', 'd'])).toEqual(['+ sim[1:4] 3 elements']);
    expect(
      await found(
        [0.5],
        Array.from({ length: 10_001 }, () => 0.5),
      ),
    ).toEqual(['+ sim[1:10001] 10000 elements']);
  });

  it('a longer typed array is told with both lengths', async () => {
    expect(await found([Uint8Array.of(1, 2)], [Uint8Array.of(1, 3, 4)])).toEqual([
      'M sim[0] length 2 -> 3',
      'M sim[0] 1 of 2 elements 1 [1]',
    ]);
  });

  it('bytes that no view shows are told of the memory', async () => {
    const make = (hidden: number): Uint8Array => {
      const memory = new Uint8Array(64);
      memory[40] = hidden;
      return memory.subarray(8, 16);
    };
    expect(await found({ view: make(1) }, { view: make(2) })).toEqual(['M sim.view 1 of 64 bytes 1 [40]']);
  });

  it('views of one memory show each what they show, and views at other places are compared all the same', async () => {
    const make = (offset: number, value: number): object => {
      const memory = new Float64Array(2000).fill(1);
      memory[600] = value;
      return { all: memory, part: new Float64Array(memory.buffer, offset, 1000) };
    };
    expect(await found(make(0, 1), make(0, 3))).toEqual(['M sim.all 1 of 2000 elements 2 [600]', 'M sim.part 1 of 1000 elements 2 [600]']);
    expect(await found(make(0, 1), make(8, 1))).toEqual(['M sim.part offset 0 -> 8']);
  });
});

describe('Maps and Sets', () => {
  it('go by primitive keys, and by order for objects that were not met before', async () => {
    const a = new Map<unknown, unknown>([
      ['x', 1],
      [3, 'three'],
      [{ k: 1 }, 'o'],
      ['gone', 0],
    ]);
    const b = new Map<unknown, unknown>([
      ['x', 2],
      [3, 'three'],
      [{ k: 2 }, 'p'],
      ['new', 0],
    ]);
    expect(await found(a, b)).toEqual([
      'M sim<key "x"> 1 -> 2',
      'M sim<key #2>.k 1 -> 2',
      'M sim<value #2> "o" -> "p"',
      '- sim<key "gone"> 0',
      '+ sim<key "new"> 0',
    ]);
    expect(await found(new Set([1, 'a', {}]), new Set(['a', {}, 2]))).toEqual(['- sim<item #0> 1', '+ sim<item #2> 2']);
  });

  it('an object key goes with the object that it was met with elsewhere', async () => {
    const make = (...masses: number[]): object => {
      const bodies = [{ name: 'sun' }, { name: 'earth' }, { name: 'moon' }];
      return { bodies, mass: new Map(masses.map((mass) => [bodies[mass % 3], mass])) };
    };
    expect(await found(make(0, 1, 2), make(0, 2))).toEqual(['- sim.mass<value #1> 1']);
    expect(await found(make(0, 1, 2), make(2, 1, 0))).toEqual(['M sim.mass order entries -> entries in another order']);
  });
});

describe('graphs', () => {
  it('with cycles end, and each pair is walked once', async () => {
    const make = (spin: number): object => {
      const a: Record<string, unknown> = { spin };
      a['self'] = { back: a, all: [a, a] };
      return a;
    };
    expect(await found(make(1), make(1))).toEqual([]);
    expect(await found(make(1), make(2))).toEqual(['M sim.spin 1 -> 2']);
  });

  it('tell what is one object on one side and two on the other, once and with what differs below', async () => {
    const shared = { deep: { n: 1, more: [{}] } };
    const copy = { deep: { n: 2, more: [{}] } };
    expect(await found({ x: shared, y: shared, z: shared }, { x: structuredClone(shared), y: copy, z: copy })).toEqual([
      'M sim.y identity the object at sim.x -> an object of its own',
      'M sim.y.deep.n 1 -> 2',
    ]);
    expect(await found({ x: {}, y: {} }, { x: shared.deep.more[0], y: shared.deep.more[0] })).toEqual([
      'M sim.y identity an object of its own -> the object at sim.x',
    ]);
  });

  it('tell it across sections too, although the sections themselves are equal', async () => {
    const [s, t] = [{ n: 1 }, { n: 1 }];
    const [a, b] = [await openState({ one: [s, t], two: { at: s } }), await openState({ one: [s, t], two: { at: t } })];
    expect(lines(await diffOpened(a, b, 10))).toEqual(['M two.at identity the object at one[0] -> the object at one[1]']);
  });

  it('a long linked list is walked without recursion, and its path told in part', async () => {
    const result = await diff(linkedList(50_000, 1), linkedList(50_000, 2));
    expect(result.counts.modified).toBe(1);
    expect(result.differences[0]?.path).toMatch(/^sim\.next\.next.* … .*\.next\.value$/);
    expect(result.differences[0]?.path.length).toBeLessThan(10_010);
  });
});

describe('classes', () => {
  it('are not needed, and their names and versions are compared', async () => {
    const particle = (x: number): Particle => Object.assign(new Particle(), { x });
    expect(await found([particle(1)], [particle(2)])).toEqual(['M sim[0].x 1 -> 2']);
    const later = { classes: testClasses({ version: 2, migrate: {} }) };
    expect(lines(await diff([particle(1)], [particle(1)], later))).toEqual(['M sim[0] version version 1 -> version 2']);
    expect(await found([particle(1)], [{ x: 1 }])).toEqual(['T sim[0] Particle -> { x: 1 }']);
  });
});

describe('sections', () => {
  it('of one side, of another version and of another kind of provider are told', async () => {
    const a = await openState({ sim: 1, gone: [1] });
    const b = await openState({ sim: 1, fresh: [1] }, { sections: { sim: { version: 3, kind: 'provide' } } });
    const result = await diffOpened(a, b, 10);
    expect(result.differences).toMatchObject([
      { mark: 'T', path: 'sim', part: 'provider', a: { text: 'state' }, b: { text: 'provide' } },
      { mark: 'M', path: 'sim', part: 'version', a: { text: 'version 1' }, b: { text: 'version 3' } },
      { mark: '-', path: 'gone', section: 'gone', member: 'main', part: 'value' },
      { mark: '+', path: 'fresh', section: 'fresh', member: 'main', part: 'value' },
    ]);
  });
});

describe('the limit', () => {
  it('bounds what is told, not what is counted', async () => {
    const many = (value: number): object => Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`k${index}`, value]));
    const result = await diff(many(1), many(2), {}, 7);
    expect(result.differences).toHaveLength(7);
    expect(result.counts.modified).toBe(5000);
    expect((await diff(many(1), many(2), {}, 0)).same).toBe(false);
  });
});
