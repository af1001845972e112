import { expect, test } from 'vitest';
import { Staging } from '../../packages/sdk/src/base/staging.js';

const filled = (length: number, value: number): ArrayBuffer => new Uint8Array(length).fill(value).buffer;

test('a copy is the bytes of the range, and nothing that happens to the original later reaches it', () => {
  const staging = new Staging();
  const memory = Uint8Array.from({ length: 10_000 }, (_, at) => at % 251).buffer;
  const expected = Buffer.from(memory.slice(1_000, 9_000));
  const copy = staging.copy(memory, 1_000, 8_000);
  new Uint8Array(memory).fill(0);
  expect(Buffer.concat(copy)).toEqual(expected);
});

test('copies do not overlap until reset; afterwards the same memory is used again', () => {
  const staging = new Staging();
  const first = staging.copy(filled(5_000, 1), 0, 5_000);
  const second = staging.copy(filled(5_000, 2), 0, 5_000);
  expect(Buffer.concat(first).every((byte) => byte === 1)).toBe(true);
  expect(Buffer.concat(second).every((byte) => byte === 2)).toBe(true);
  const memory = first[0]?.buffer;
  staging.reset();
  expect(staging.copy(filled(5_000, 3), 0, 5_000)[0]?.buffer).toBe(memory);
});

test('a copy larger than what is left goes on in the next segment', () => {
  const staging = new Staging();
  staging.copy(filled(1_500_000, 1), 0, 1_500_000);
  const length = 3_000_000;
  const memory = Uint8Array.from({ length }, (_, at) => at % 253).buffer;
  const windows = staging.copy(memory, 0, length);
  expect(windows.length).toBeGreaterThan(1);
  expect(Buffer.concat(windows).equals(Buffer.from(memory))).toBe(true);
});

test('what was reserved is enough for the copies that follow', () => {
  const staging = new Staging();
  staging.reserve(3 * 4096);
  const segments = new Set([1, 2, 3].flatMap((value) => staging.copy(filled(4096, value), 0, 4096)).map((window) => window.buffer));
  expect(segments.size).toBe(1);
});

test('an empty copy is no window', () => {
  expect(new Staging().copy(new ArrayBuffer(8), 8, 0)).toEqual([]);
});
