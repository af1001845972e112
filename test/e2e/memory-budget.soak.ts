/** A state beyond 4 GiB in one buffer, with a budget that is far too small for a copy of it. Needs 14 GiB of free memory. */
import { freemem } from 'node:os';
import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

const GiB = 2 ** 30;
const STATE_BYTES = 6 * GiB + 8 * 1234;
const STATE = `
  const BYTES = ${STATE_BYTES};
  const BLOCK = 2 ** 20;
  const block = new Float64Array(BLOCK / 8).map((_, i) => Math.sin(i) * 1e6);
  const blockOf = (at, step) => { block[0] = at + step / 1024; return new Uint8Array(block.buffer, 0, Math.min(BLOCK, BYTES - at)); };
  const fill = (memory, step) => { for (let at = 0; at < BYTES; at += BLOCK) { const bytes = blockOf(at, step); new Uint8Array(memory, at, bytes.length).set(bytes); } };
  const firstDifference = (memory, step) => {
    for (let at = 0; at < BYTES; at += BLOCK) {
      const bytes = blockOf(at, step);
      if (Buffer.compare(bytes, new Uint8Array(memory, at, bytes.length)) !== 0) return at;
    }
    return -1;
  };
  const peak = () => process.resourceUsage().maxRSS * 1024 - BYTES;
  const make = () => { const memory = new ArrayBuffer(BYTES); fill(memory, 0); return { step: 0, field: new Float64Array(memory) }; };
`;

test('a state of 6 GiB with a budget of 1 GiB is written and comes back exactly, within 1.25 GiB beyond the state', async (context) => {
  if (freemem() < 14 * GiB) context.skip('less than 14 GiB of memory are free');
  const lab = new Laboratory();
  const first = await lab.run(
    `${STATE}
    const ckpt = await open({ memoryBudget: '1GiB', keep: 1 });
    const s = ckpt.state('s', make);
    await ckpt.start();
    await ckpt.checkpoint();
    s.step = 1;
    fill(s.field.buffer, 1);
    const { bytes, times } = await ckpt.checkpoint();
    say('written', { bytes, times, peak: peak() });
    await ckpt.close();
  `,
    { patienceMs: 600_000 },
  );
  expect(first['written']).toMatchObject({ bytes: { uncopied: STATE_BYTES } });
  expect(Number(first['written']?.['peak'])).toBeLessThan(1.25 * GiB);
  const second = await lab.run(
    `${STATE}
    const ckpt = await open({ memoryBudget: '1GiB', restart: 'must' });
    const s = ckpt.state('s', make);
    await ckpt.start();
    say('back', { step: s.step, bytes: s.field.byteLength, kind: s.field.constructor.name, difference: firstDifference(s.field.buffer, 1), peak: peak() });
    await ckpt.close();
  `,
    { patienceMs: 600_000 },
  );
  expect(second['back']).toMatchObject({ step: 1, bytes: STATE_BYTES, kind: 'Float64Array', difference: -1 });
  expect(Number(second['back']?.['peak'])).toBeLessThan(1.25 * GiB);
});
