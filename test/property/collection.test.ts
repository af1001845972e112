import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ClassRegistry, NO_CLASSES } from '../../packages/sdk/src/codec/classes.js';
import type { Collection } from '../../packages/sdk/src/state/collection.js';
import { encodeSegment, replaySegments, SEGMENT } from '../../packages/sdk/src/state/collection-segments.js';
import { openCollection } from '../../packages/sdk/src/state/open-collection.js';
import { ProviderRegistry } from '../../packages/sdk/src/state/registry.js';

/** A collection and the section that the last acknowledged image holds of it. */
class Life {
  stored: Uint8Array;
  readonly registry: ProviderRegistry;
  readonly collection: Collection;

  constructor(stored: Uint8Array, restored: boolean) {
    this.stored = stored;
    const section = { name: 'c', kind: 'collection', version: 1, value: replaySegments('c', stored, NO_CLASSES) };
    this.registry = new ProviderRegistry(new Map(restored ? [['c', section]] : []), NO_CLASSES);
    this.collection = openCollection('c', this.registry, NO_CLASSES);
  }

  /** @returns bytes of its own that the image stores */
  checkpoint(acknowledged = true): number {
    const log = this.registry.list()[0]?.log;
    if (log === undefined) throw new Error('no log');
    const { follows, chunks } = log.capture();
    expect([0, this.stored.length]).toContain(follows);
    if (acknowledged) {
      this.stored = Uint8Array.from(Buffer.concat([this.stored.subarray(0, follows), ...chunks]));
      this.registry.committed();
    }
    return chunks.reduce((sum, { length }) => sum + length, 0);
  }
}

type Step = readonly ['set' | 'delete' | 'touch', number] | readonly ['clear' | 'checkpoint' | 'fail' | 'restart'];

const key = fc.integer({ min: 0, max: 12 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constantFrom('set' as const, 'delete' as const, 'touch' as const), key) },
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom('checkpoint' as const, 'fail' as const, 'restart' as const)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('clear' as const)) },
);

it('F63: whatever is set, deleted, cleared, captured and not acknowledged: a restart has content and order of the last image', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      let life = new Life(new Uint8Array(), false);
      let model = new Map<number, { n: number }>();
      let committed = new Map<number, { n: number }>();
      let count = 0;
      for (const [what, at = 0] of steps) {
        if (what === 'set') {
          const value = { n: count++ };
          life.collection.set(at, value);
          model.set(at, value);
        } else if (what === 'touch') {
          const value = model.get(at);
          if (value !== undefined) value.n = count++;
          expect(life.collection.touch(at)).toBe(value !== undefined);
        } else if (what === 'delete') expect(life.collection.delete(at)).toBe(model.delete(at));
        else if (what === 'clear') {
          life.collection.clear();
          model.clear();
        } else if (what === 'restart') {
          life = new Life(life.stored, true);
          model = new Map([...life.collection].map(([k, v]) => [k as number, v as { n: number }]));
          expect([...model]).toEqual([...committed]);
        } else {
          life.checkpoint(what === 'checkpoint');
          if (what === 'checkpoint') committed = structuredClone(model);
        }
        expect([...life.collection]).toEqual([...model]);
      }
      expect([...replaySegments('c', life.stored, NO_CLASSES).entries]).toEqual([...committed]);
    }),
    { seed: 63, numRuns: 500 },
  );
});

it('two hundred generations with 1 % changes store what changed, and the section stays within about twice its content', () => {
  const life = new Life(new Uint8Array(), false);
  for (let k = 0; k < 10_000; k++) life.collection.set(k, { count: k, name: `key ${k}` });
  const whole = life.checkpoint();
  let stored = 0;
  for (let generation = 1; generation <= 200; generation++) {
    for (let i = 0; i < 100; i++) {
      const k = (generation * 7919 + i * 101) % 10_000;
      life.collection.set(k, { count: generation, name: `key ${k}` });
    }
    stored += life.checkpoint();
    expect(life.stored.length).toBeLessThan(2.5 * whole);
  }
  expect(stored).toBeLessThan(6 * whole);
  expect([...replaySegments('c', life.stored, NO_CLASSES).entries]).toEqual([...life.collection]);
});

it('a capture that meets a value it cannot carry loses no change', () => {
  const life = new Life(new Uint8Array(), false);
  life.collection.set('a', 1);
  life.checkpoint();
  life.collection.set('b', 2).set('bad', () => {});
  expect(() => life.checkpoint()).toThrow(expect.objectContaining({ code: 'ERR_CKPT_UNSUPPORTED_VALUE' }));
  life.collection.delete('bad');
  life.checkpoint();
  expect([...replaySegments('c', life.stored, NO_CLASSES).entries]).toEqual([
    ['a', 1],
    ['b', 2],
  ]);
  expect(() => life.collection.set({} as never, 1)).toThrow(TypeError);
});

it('F33: deletions that are an array of thousands of millions of holes are refused at once', () => {
  const keys: unknown[] = ['a'];
  keys.length = 2 ** 32 - 1;
  const section = encodeSegment('c', SEGMENT.delete, keys, new ClassRegistry());
  expect(section.length).toBeLessThan(1_000);
  expect(() => replaySegments('c', section, NO_CLASSES)).toThrow(expect.objectContaining({ code: 'ERR_CKPT_DECODE' }));
});
