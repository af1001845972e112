import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClassRegistry } from '../../packages/sdk/src/codec/classes.js';
import { decodeSection } from '../../packages/sdk/src/codec/codec.js';
import { roundTrip } from '../fixtures/coding.js';
import { roundTripSeed } from '../fixtures/graph-trial.js';
import { sameGraph } from '../fixtures/same-graph.js';

function decode(encoding: string, bytes: Uint8Array): string | undefined {
  try {
    decodeSection({ name: 'sim', encoding, bytes, imports: [] }, [], new ClassRegistry());
    return undefined;
  } catch (error) {
    return String(Reflect.get(Object(error), 'code'));
  }
}

describe('a graph that is encoded', () => {
  it('F16, F17, F35: comes back the same by structure and identity, or is refused; never changed', () => {
    const outcomes = { same: 0, refused: 0 };
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), fc.integer({ min: 1, max: 16 }), (seed, objects) => {
        outcomes[roundTripSeed(seed, { objects })]++;
      }),
      { numRuns: 3000 },
    );
    expect(outcomes.same).toBeGreaterThan(2700);
  });

  it('F17: numbers come back bit for bit', () => {
    const bits = new DataView(new ArrayBuffer(8));
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 50, maxLength: 50 }), (patterns) => {
        const numbers = patterns.map((pattern) => {
          bits.setBigUint64(0, pattern);
          return bits.getFloat64(0);
        });
        expect(sameGraph(numbers, roundTrip(numbers))).toBeUndefined();
      }),
    );
  });

  it('F17: texts come back unit for unit, however they are joined', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 }).map((units) => String.fromCharCode(...units)),
      fc.tuple(fc.constantFrom('\ufeff', '\ud800', 'x'), fc.nat(40_000)).map(([unit, times]) => unit + 'a'.repeat(times)),
      fc.constantFrom('', 'again', '\ud83d', '\ude00'),
    );
    fc.assert(
      fc.property(fc.array(text, { maxLength: 300 }), (texts) => {
        expect(sameGraph(texts, roundTrip(texts))).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });

  it.each([127, 128, 4095, 4096, 4097, 9000])('F17: %i texts come back, whether many of them are the same or few', (length) => {
    for (const different of [1, 111, 112, 113, 255, 257, 4096, 4097, length]) {
      const texts = Array.from({ length }, (_, i) => `text ${i % different}`);
      // Where they are told in pieces, too.
      const records = texts.map((name, id) => ({ id, name, more: id % 700 === 699 ? null : name }));
      expect(sameGraph([texts, records], roundTrip([texts, records])), `${different} different`).toBeUndefined();
    }
  });
});

describe('bytes of anybody', () => {
  it.each(['graph-1', 'tree-1'])('F33: whatever is given to %s, decoding ends with a value or a typed error', (encoding) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect([undefined, 'ERR_CKPT_DECODE', 'ERR_CKPT_IMAGE_LIMIT']).toContain(decode(encoding, bytes));
      }),
      { numRuns: 3000 },
    );
  });
});
