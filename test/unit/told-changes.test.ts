import { describe, expect, it } from 'vitest';
import { ToldChanges } from '../../packages/sdk/src/checkpoint/told-changes.js';

const PAGE = 4096;

describe('what the program tells of its writes', () => {
  it('is not believed at the first capture after the first word, because writes before it may be untold', () => {
    const told = new ToldChanges();
    const memory = new ArrayBuffer(10 * PAGE);
    expect(told.of(memory).written()).toBeUndefined();
    told.add(memory, PAGE, 1);
    expect(told.of(memory).written()).toBeUndefined();
    told.add(memory, PAGE, 1);
    expect(told.of(memory).written()).toEqual([PAGE, 2 * PAGE]);
    expect(told.of(memory).written()).toEqual([]);
  });

  it('is whole pages, joined where they meet, and ends with the buffer', () => {
    const told = new ToldChanges();
    const memory = new ArrayBuffer(10 * PAGE + 100);
    told.add(memory, 0, 1);
    told.of(memory).written();
    told.add(memory, PAGE - 1, 2);
    told.add(memory, 2 * PAGE, PAGE);
    told.add(memory, 10 * PAGE, 100);
    told.add(memory, 5 * PAGE, 0);
    expect(told.of(memory).written()).toEqual([0, 3 * PAGE, 10 * PAGE, 10 * PAGE + 100]);
  });

  it('begins anew when the buffer has grown', () => {
    const told = new ToldChanges();
    const memory = Reflect.construct(SharedArrayBuffer, [2 * PAGE, { maxByteLength: 4 * PAGE }]) as SharedArrayBuffer & {
      grow(length: number): void;
    };
    told.add(memory, 0, 1);
    told.of(memory).written();
    memory.grow(4 * PAGE);
    expect(told.of(memory).written()).toBeUndefined();
    told.add(memory, 3 * PAGE, 1);
    expect(told.of(memory).written()).toBeUndefined();
    told.add(memory, 3 * PAGE, 1);
    expect(told.of(memory).written()).toEqual([3 * PAGE, 4 * PAGE]);
  });
});
