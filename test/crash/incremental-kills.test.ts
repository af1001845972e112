/** A real program with large state that is killed again and again: each start continues from incremental images, exactly. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

const STEPS = 60;
const PROGRAM = `
  const ckpt = await open({ keep: 2 });
  const s = ckpt.state('s', () => ({ step: 0, grid: new Float64Array(1 << 18), shared: new Float64Array(new SharedArrayBuffer(1 << 20)) }));
  const { restarted } = await ckpt.start();
  say('from', { step: s.step, restarted });
  // A state of one instant: each step writes its number to places that the step alone decides.
  const check = () => {
    const expected = new Float64Array(s.grid.length);
    for (let step = 1; step <= s.step; step++) for (let i = 0; i < 40; i++) expected[(step * 7919 + i * 6007) % expected.length] = step;
    for (let i = 0; i < expected.length; i++) if (s.grid[i] !== expected[i]) throw new Error('cell ' + i + ' at step ' + s.step);
    for (let step = 1; step <= s.step; step++) if (s.shared[step * 512] !== step) throw new Error('shared at step ' + step);
  };
  check();
  while (s.step < ${STEPS}) {
    s.step++;
    for (let i = 0; i < 40; i++) s.grid[(s.step * 7919 + i * 6007) % s.grid.length] = s.step;
    s.shared[s.step * 512] = s.step;
    const { image, bytes } = await ckpt.checkpoint();
    say('image', { step: s.step, bytes, generation: image.generation });
  }
  check();
  await ckpt.finish();
  say('done', { step: s.step });
`;

test('F10, F52: killed at any moment of incremental checkpoints, a program goes on from exactly what was acknowledged', async () => {
  const lab = new Laboratory();
  let acknowledged = 0;
  let done = false;
  for (let life = 0; life < 12 && !done; life++) {
    const program = lab.start(PROGRAM);
    const from = await program.hear('from');
    expect(Number(from['step'])).toBeGreaterThanOrEqual(acknowledged);
    const timer = life < 11 ? setTimeout(() => program.kill('SIGKILL'), 20 + life * 13) : undefined;
    const ended = await program.ended;
    clearTimeout(timer);
    expect(ended.stderr).toBe('');
    const images = ended.said.filter(({ word }) => word === 'image');
    acknowledged = Math.max(acknowledged, ...images.map((image) => Number(image['step'])));
    done = ended.said.some(({ word }) => word === 'done');
  }
  expect(done).toBe(true);
}, 60_000);

test('the second image of a large state holds what changed, and the first is kept as its base', async () => {
  const lab = new Laboratory();
  const ended = await lab.start(PROGRAM).ended;
  const images = ended.said.filter(({ word }) => word === 'image') as unknown as {
    bytes: { state: number; dirty: number; stored: number };
  }[]; // as the program says it
  expect(images).toHaveLength(STEPS);
  expect(images[1]?.bytes.dirty).toBeLessThan(60 * 4096);
  expect(images[1]?.bytes.stored).toBeLessThan(70 * 4096);
  const folder = join(lab.store, 'images');
  const sizes = readdirSync(folder).map((file) => statSync(join(folder, file)).size);
  expect(sizes.length).toBeLessThanOrEqual(35);
});
