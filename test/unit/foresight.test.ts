import { describe, expect, it } from 'vitest';
import { foreseeImage, foreseeState } from '../../packages/sdk/src/checkpoint/foresight.js';
import { Shadows } from '../../packages/sdk/src/checkpoint/shadow.js';
import { newWindows, WarmMemory } from '../../packages/sdk/src/checkpoint/warm-memory.js';

const MiB = 2 ** 20;

describe('the large buffers of a state', () => {
  it('are found where states have them, each once, and small ones are not', () => {
    const field = new Float64Array(MiB / 8);
    const state = {
      field,
      again: field.subarray(5),
      list: [new Uint8Array(2 * MiB)],
      byName: new Map([['a', { deep: new DataView(new ArrayBuffer(3 * MiB)) }]]),
    };
    const shared = new SharedArrayBuffer(4 * MiB);
    expect(foreseeState([state, { small: new Uint8Array(1000) }, shared, field, 'text', undefined], 2 ** 30).sort((a, b) => a - b)).toEqual(
      [1, 2, 3, 4].map((n) => n * MiB),
    );
  });

  it('are as many as fit the budget', () => {
    const state = [3, 2, 1].map((n) => new Uint8Array(n * MiB));
    expect(foreseeState(state, 4 * MiB)).toEqual([3 * MiB, MiB]);
    expect(foreseeState(state, 0)).toEqual([]);
  });

  it('are looked for without running anything of the program, and without end in nothing', () => {
    let called = 0;
    const trap = new Proxy(
      {},
      {
        ownKeys: () => {
          called++;
          return [];
        },
      },
    );
    const state = {
      get field() {
        called++;
        return new Uint8Array(MiB);
      },
      trap,
    };
    const own = new Map();
    Object.defineProperty(own, 'values', {
      value: () => {
        called++;
        return [];
      },
    });
    const ring: { self?: unknown } = {};
    ring.self = ring;
    const many = Array.from({ length: 200_000 }, () => ({}));
    expect(foreseeState([state, own, ring, many], 2 ** 30)).toEqual([]);
    expect(called).toBe(0);
  });

  it.each([
    ['an object of many keys', () => Object.fromEntries(Array.from({ length: 400_000 }, (_, key) => [`k${key}`, key]))],
    ['lists of lists', () => Array.from({ length: 3_000 }, () => Array.from({ length: 3_000 }, () => 0))],
    ['an array of holes', () => new Array(2 ** 32 - 1)],
    ['a Map of many', () => new Map(Array.from({ length: 400_000 }, (_, key) => [key, {}]))],
  ])('are not looked for in all of %s', (_, make) => {
    const state = make();
    const field = new Uint8Array(MiB);
    expect(foreseeState([{ field }, state], 2 ** 30)).toEqual([MiB]);
    expect(foreseeState([state], 2 ** 30)).toEqual([]);
  });

  it('are known from the image after a restart, those of other members aside', () => {
    const buffer = (member: string, length: number) => ({ member, kind: 'ArrayBuffer' as const, length, extents: [] });
    expect(foreseeImage({ buffers: [buffer('main', MiB), buffer('m1', 2 * MiB), buffer('main', 10)] }, 'main', 2 ** 30)).toEqual([MiB]);
  });
});

describe('memory for the first copy', () => {
  const found = (memory: ArrayBuffer) => ({
    kind: 'ArrayBuffer' as const,
    memory,
    byteLength: memory.byteLength,
  });

  it('is handed out once it was touched, and not any more when there is a job', async () => {
    const warm = new WarmMemory();
    const got: number[] = [];
    await warm.make([MiB, 20 * MiB], (memory) => {
      got.push(memory[0]?.byteLength ?? 0);
      warm.stop();
    });
    expect(got).toEqual([MiB]);
  });

  it('is what the first capture copies into where the length is the same', () => {
    const shadows = new Shadows(2 ** 30);
    const ready = newWindows(MiB);
    shadows.prepared(ready);
    shadows.prepared(newWindows(5 * MiB));
    const live = new Uint8Array(MiB).fill(7).buffer;
    const [staged] = shadows.stage([found(live)]);
    expect(staged?.memory[0]).toBe(ready[0]);
    expect(Buffer.from(ready[0] ?? new ArrayBuffer(0)).equals(Buffer.from(live))).toBe(true);
    expect(shadows.bytes).toBe(MiB);
  });

  it('comes too late after it', () => {
    const shadows = new Shadows(2 ** 30);
    shadows.stage([found(new ArrayBuffer(MiB))]);
    const late = newWindows(2 * MiB);
    shadows.prepared(late);
    const [staged] = shadows.stage([found(new ArrayBuffer(2 * MiB))]);
    expect(staged?.memory[0]).not.toBe(late[0]);
  });
});
