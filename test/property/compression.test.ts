import { describe, expect, it } from 'vitest';
import { encodeMember } from '../../packages/sdk/src/codec/codec.js';
import { readImage } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { AVAILABLE, compressed, rows } from '../fixtures/compressed.js';
import { testClasses } from '../fixtures/graph-classes.js';
import { imageOf, memorySource, noBases, pattern, section } from '../fixtures/memory-image.js';
import { randomRoots } from '../fixtures/random-graph.js';
import { type Seeded, seeded, testSeed } from '../fixtures/seeded.js';
import { inputOf } from '../fixtures/state-image.js';

const SEED = testSeed(34);
const ROUNDS = 60;
const DISTURBED = 400;

/** Bytes that get smaller, that do not, and zeros, in runs of any length and cut anywhere. */
function anyChunks(random: Seeded): Uint8Array[] {
  return Array.from({ length: 1 + random.whole(6) }, () => {
    const length = random.whole(random.pick([5, 5000, 700_000]));
    return random.pick([rows, (bytes: number) => pattern(bytes, random.whole(1000)), (bytes: number) => new Uint8Array(bytes)])(length);
  });
}

describe.each(AVAILABLE)(`any state, compressed with %s (seed ${SEED})`, (method) => {
  it('is the same sections as without', { timeout: 120_000 }, async () => {
    const random = seeded(SEED);
    for (let round = 0; round < ROUNDS; round++) {
      const chunks = [anyChunks(random), anyChunks(random)];
      const sections = chunks.map((parts, index) => section(`s${index}`, parts));
      const image = await imageOf({
        sections: compressed(sections, method),
        buffers: [{ member: 'main', kind: 'ArrayBuffer', chunks: anyChunks(random) }],
      });
      const read = await readImage(memorySource(image), noBases);
      for (const [index, parts] of chunks.entries())
        expect([round, Buffer.compare(read.sections[index] ?? pattern(1), Buffer.concat(parts))]).toEqual([round, 0]);
      expect(await verifyImage(memorySource(image), noBases)).toEqual([]);
    }
  });

  it('F23, F24: flipped bits and cuts anywhere are found', { timeout: 120_000 }, async () => {
    const random = seeded(SEED);
    const roots = randomRoots(SEED, { objects: 200 });
    const member = encodeMember(roots.set('rows', { text: Buffer.from(rows(40_000)).toString() }), testClasses());
    const { sections, buffers } = inputOf(member);
    const image = await imageOf({ sections: compressed(sections, method), buffers });
    expect(await verifyImage(memorySource(image), noBases)).toEqual([]);
    for (let round = 0; round < DISTURBED; round++) {
      const bytes = image.slice(0, round % 4 === 0 ? random.whole(image.length) : image.length);
      if (bytes.length === image.length) {
        const at = random.whole(image.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.whole(8));
      }
      const read = await readImage(memorySource(bytes), noBases).then(
        () => 'read',
        ({ code }: { code: string }) => code,
      );
      const [damage] = await verifyImage(memorySource(bytes), noBases).catch(({ code }: { code: string }) => [{ code }]);
      expect([round, read]).toEqual([round, expect.stringMatching(/^ERR_CKPT_IMAGE_(CORRUPT|INCOMPLETE)$/)]);
      expect([round, damage?.code]).toEqual([round, expect.stringMatching(/^ERR_CKPT_IMAGE_(CORRUPT|INCOMPLETE)$/)]);
    }
  });
});
