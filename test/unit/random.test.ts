import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { SeededRandom } from '../../packages/sdk/src/state/random.js';

function draw(random: SeededRandom, count: number): number[] {
  return Array.from({ length: count }, (_, at) => {
    if (at % 4 === 0) return random.next();
    if (at % 4 === 1) return random.uint32();
    return at % 4 === 2 ? random.int(-3, 1_000_003) : random.normal(5, 2);
  });
}

test('the same seed gives the same numbers, on every machine and version', () => {
  const random = new SeededRandom('ckpt');
  expect([random.next(), random.uint32(), random.int(1, 6), random.normal()]).toEqual([
    0.8258122177886991, 1403365406, 3, 0.8731041035946162,
  ]);
  const many = new Float64Array(draw(new SeededRandom(2026), 40_000));
  expect(createHash('sha256').update(new Uint8Array(many.buffer)).digest('hex')).toBe(
    'b484218d68aacb6f88145ec392a08aefd200d107f34f17e1516d89fa93471777',
  );
});

test('seeds that differ give other numbers, and a number is not its own text', () => {
  const firsts = [0, 1, -1, 2 ** 32, 2 ** 53 - 1, '', '0', '1', 'a'].map((seed) => new SeededRandom(seed).next());
  expect(new Set(firsts).size).toBe(firsts.length);
});

test('a restored generator continues bit for bit, wherever it was captured', () => {
  const random = new SeededRandom(42);
  for (let at = 0; at < 50; at++) {
    draw(random, at % 7);
    const state: unknown = JSON.parse(JSON.stringify(random.captureState()));
    const other = new SeededRandom('another');
    other.restoreState(state);
    const copy = new SeededRandom(7);
    copy.restoreState(state);
    expect(draw(copy, 40)).toEqual(draw(other, 40));
  }
  const state = random.captureState();
  const expected = draw(random, 100);
  random.restoreState(state);
  expect(draw(random, 100)).toEqual(expected);
});

test('a captured state does not change when the generator goes on', () => {
  const random = new SeededRandom(1);
  const state = random.captureState();
  const before = JSON.stringify(state);
  random.next();
  expect(JSON.stringify(state)).toBe(before);
});

test('next lies in [0, 1) and fills it evenly, with 53 bits', () => {
  const random = new SeededRandom(3);
  const buckets = new Array<number>(100).fill(0);
  let fine = false;
  for (let at = 0; at < 100_000; at++) {
    const value = random.next();
    expect(value >= 0 && value < 1).toBe(true);
    if (!Number.isInteger(value * 2 ** 32)) fine = true;
    const bucket = Math.floor(value * 100);
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }
  expect(fine).toBe(true);
  // Chi-square with 99 degrees of freedom: above 160 once in ten thousand seeds; this seed is fixed.
  expect(chiSquare(buckets, 1_000)).toBeLessThan(160);
});

test('int reaches both ends and every value equally often', () => {
  const random = new SeededRandom(4);
  const counts = new Array<number>(7).fill(0);
  for (let at = 0; at < 70_000; at++) {
    const value = random.int(-3, 3);
    counts[value + 3] = (counts[value + 3] ?? 0) + 1;
  }
  expect(chiSquare(counts, 10_000)).toBeLessThan(28);
});

test('int spans as wide as safe integers allow', () => {
  const random = new SeededRandom(5);
  expect(random.int(9, 9)).toBe(9);
  let high = 0;
  for (let at = 0; at < 1_000; at++) {
    const value = random.int(0, Number.MAX_SAFE_INTEGER);
    expect(Number.isSafeInteger(value) && value >= 0).toBe(true);
    if (value > Number.MAX_SAFE_INTEGER / 2) high++;
    expect(random.int(0, 2 ** 32 - 1)).toBeLessThan(2 ** 32);
    expect(random.int(0, 2 ** 32)).toBeLessThanOrEqual(2 ** 32);
  }
  expect(Math.abs(high - 500)).toBeLessThan(80);
});

test('normal has the mean, the deviation and the tails that it should', () => {
  const random = new SeededRandom(6);
  const count = 200_000;
  let sum = 0;
  let squares = 0;
  let beyondTwo = 0;
  for (let at = 0; at < count; at++) {
    const value = random.normal();
    sum += value;
    squares += value * value;
    if (Math.abs(value) > 2) beyondTwo++;
  }
  expect(Math.abs(sum / count)).toBeLessThan(0.01);
  expect(Math.abs(squares / count - 1)).toBeLessThan(0.015);
  expect(Math.abs(beyondTwo / count - 0.0455)).toBeLessThan(0.002);
  const scaled = new SeededRandom(8);
  const plain = new SeededRandom(8);
  expect(scaled.normal(10, 3)).toBeCloseTo(10 + 3 * plain.normal(), 12);
});

test('shuffle keeps the elements, works in place and reaches every order equally often', () => {
  const random = new SeededRandom(9);
  const array = [1, 2, 3, 4, 5];
  expect(random.shuffle(array)).toBe(array);
  expect([...array].sort()).toEqual([1, 2, 3, 4, 5]);
  const orders = new Map<string, number>();
  for (let at = 0; at < 12_000; at++) {
    const order = random.shuffle(['a', 'b', 'c']).join('');
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  expect(orders.size).toBe(6);
  expect(chiSquare([...orders.values()], 2_000)).toBeLessThan(26);
});

test.each([1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])('the seed %s is a TypeError', (seed) => {
  expect(() => new SeededRandom(seed)).toThrow(TypeError);
});

test.each([
  [2, 1],
  [0.5, 2],
  [-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  [0, Number.NaN],
])('int(%s, %s) is a TypeError', (min, max) => {
  expect(() => new SeededRandom(1).int(min, max)).toThrow(TypeError);
});

test('normal refuses what is not finite and a negative deviation', () => {
  expect(() => new SeededRandom(1).normal(Number.NaN)).toThrow(TypeError);
  expect(() => new SeededRandom(1).normal(0, -1)).toThrow(TypeError);
});

test.each([
  null,
  undefined,
  5,
  {},
  { algorithm: 'mersenne', words: [1, 2, 3, 4] },
  { algorithm: 'xoroshiro128plus', words: [1, 2, 3] },
  { algorithm: 'xoroshiro128plus', words: [0, 0, 0, 0] },
  { algorithm: 'xoroshiro128plus', words: [1, 2, 3, 4.5] },
  { algorithm: 'xoroshiro128plus', words: [1, 2, 3, 2 ** 31] },
  { algorithm: 'xoroshiro128plus', words: ['1', 2, 3, 4] },
])('the recorded state %j is refused and the generator stays as it was', (state) => {
  const random = new SeededRandom(1);
  const before = random.captureState();
  expect(() => random.restoreState(state)).toThrow(expect.objectContaining({ code: 'ERR_CKPT_DECODE' }));
  expect(random.captureState()).toEqual(before);
});

function chiSquare(counts: readonly number[], expected: number): number {
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}
