import { beforeAll, describe, expect, it } from 'vitest';
import { encodeMember } from '../../packages/sdk/src/codec/codec.js';
import { readImage } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { imageOf, memorySource, noBases, pattern, section } from '../fixtures/memory-image.js';

const ACCEPTED = new Set(['ERR_CKPT_IMAGE_CORRUPT', 'ERR_CKPT_IMAGE_INCOMPLETE']);

let image: Uint8Array;

beforeAll(async () => {
  const member = encodeMember(
    new Map<string, unknown>([
      ['sim', { step: 3, grid: [1, 2, 3.5], name: 'é' }],
      ['rng', new Map([['state', 12345n]])],
    ]),
  );
  image = await imageOf({
    sections: member.sections.map(({ name, bytes, buffers }) => section(name, [bytes], buffers)),
    buffers: [
      { member: 'main', kind: 'ArrayBuffer', chunks: [pattern(333)] },
      { member: 'main', kind: 'SharedArrayBuffer', chunks: [new Uint8Array(50), pattern(40), new Uint8Array(5)] },
    ],
  });
});

/** What readImage and verifyImage say about these bytes: codes, or undefined where they find nothing. */
async function verdicts(bytes: Uint8Array): Promise<(string | undefined)[]> {
  const read = await readImage(memorySource(bytes), noBases).then(() => undefined, codeOf);
  const verified = await verifyImage(memorySource(bytes), noBases).then((damages) => damages[0]?.code, codeOf);
  return [read, verified];
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : `not typed: ${String(error)}`;
}

describe('a damaged image', () => {
  it('is found sound before any damage', async () => {
    expect(image.length).toBeLessThanOrEqual(8192);
    expect(await verdicts(image)).toEqual([undefined, undefined]);
  });

  it('F23: every single flipped bit is detected', { timeout: 120_000 }, async () => {
    const bytes = image.slice();
    const missed: string[] = [];
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const at = bit >> 3;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
      for (const code of await verdicts(bytes)) if (code === undefined || !ACCEPTED.has(code)) missed.push(`bit ${bit}: ${code}`);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
    }
    expect(missed).toEqual([]);
  });

  it('F24: a cut at any byte is detected, and so is an empty or zero-filled file', { timeout: 60_000 }, async () => {
    const missed: string[] = [];
    for (let length = 0; length < image.length; length++) {
      const zeroed = new Uint8Array(image.length);
      zeroed.set(image.subarray(0, length));
      for (const code of [...(await verdicts(image.subarray(0, length))), ...(await verdicts(zeroed))]) {
        if (code === undefined || !ACCEPTED.has(code)) missed.push(`${length}: ${code}`);
      }
    }
    expect(missed).toEqual([]);
  });

  it('F25: trailing garbage is detected, also when it is zeros or a whole second trailer', async () => {
    for (const garbage of [Uint8Array.of(0), new Uint8Array(8), new Uint8Array(4096), pattern(128), image.slice(-128), image]) {
      for (const code of await verdicts(Buffer.concat([image, garbage]))) expect(ACCEPTED).toContain(code);
    }
  });
});
