import { describe, expect, it } from 'vitest';
import { decodeSection, encodeMember } from '../../packages/sdk/src/codec/codec.js';
import { readImage } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { imageOf, memorySource, noBases, pattern, section } from '../fixtures/memory-image.js';

const GIB = 2 ** 30;

describe('an image with a buffer of more than 4 GiB', () => {
  it('comes back, with what lies beyond 4 GiB where it was', { timeout: 300_000 }, async () => {
    const memory = new ArrayBuffer(5 * GIB + 24);
    const far = new Float64Array(memory, 4.5 * GIB, 100);
    far.set(Array.from(pattern(100), Number));
    const member = encodeMember(new Map([['sim', { far, end: new Uint8Array(memory, 5 * GIB, 24).fill(7) }]]));
    const chunks = Array.from({ length: 6 }, (_, i) => new Uint8Array(memory, i * GIB, Math.min(GIB, memory.byteLength - i * GIB)));
    const image = await imageOf({
      sections: member.sections.map(({ name, bytes, buffers }) => section(name, [bytes], buffers)),
      buffers: [{ member: 'main', kind: 'ArrayBuffer', chunks }],
    });
    expect(image.length).toBeLessThan(2 ** 21);
    expect(await verifyImage(memorySource(image), noBases)).toEqual([]);
    const contents = await readImage(memorySource(image), noBases);
    expect(contents.buffers[0]?.byteLength).toBe(memory.byteLength);
    const bytes = contents.sections[0] ?? new Uint8Array();
    const back = decodeSection({ name: 'sim', encoding: 'graph-1', bytes, imports: [] }, contents.buffers);
    expect(back.value).toEqual({ far, end: new Uint8Array(24).fill(7) });
  });
});
