import { expect, it } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

/** One life: says what is left of the timer before and after an image, and whether it fires. */
const LIFE = `
  const ckpt = await open({ dir: 'store' });
  const s = ckpt.state('s', () => ({ fired: 0 }));
  let fire;
  const fired = new Promise((resolve) => { fire = resolve; });
  const timer = ckpt.timer('t', 2_000, () => { s.fired++; fire(); });
  await ckpt.start();
  const began = timer.left;
  if (process.env.WAIT === 'fire') await ckpt.safe(fired);
  else await new Promise((resolve) => setTimeout(resolve, 50));
  const before = timer.left;
  await ckpt.checkpoint();
  say('life', { began, before, after: timer.left, fired: s.fired });
  process.exit();
`;

it('a timer goes on with its rest, fires once over all lives, and stands while the program is down', async () => {
  const lab = new Laboratory();
  const first = (await lab.run(LIFE))['life'];
  expect(first).toMatchObject({ fired: 0 });
  const second = (await lab.run(LIFE, { env: { WAIT: 'fire' } }))['life'];
  expect(second).toMatchObject({ fired: 1 });
  expect(second?.['before']).toBeUndefined();
  expect(Number(second?.['began'])).toBeLessThanOrEqual(Number(first?.['before']));
  expect(Number(second?.['began'])).toBeGreaterThan(0);
  const third = (await lab.run(LIFE))['life'];
  expect(third).toMatchObject({ fired: 1 });
  expect(third?.['began']).toBeUndefined();
});

it('a timer can be cancelled and started anew, is refused twice, and never keeps the program alive', async () => {
  const said = await new Laboratory().run(`
    const ckpt = await open({ dir: 'store' });
    let count = 0;
    let done;
    const over = new Promise((resolve) => { done = resolve; });
    const again = ckpt.timer('again', 5, () => (++count < 3 ? again.start() : done()));
    const never = ckpt.timer('never', 1, () => say('fired'));
    ckpt.timer('long', 1e12, () => {});
    never.cancel();
    say('codes', { codes: [await codeOf(() => ckpt.timer('again', 5, () => {})), await codeOf(() => ckpt.timer('x', -1, () => {})), await codeOf(() => ckpt.timer('x', 1))] });
    await ckpt.start();
    await ckpt.safe(over);
    say('count', { count, left: [again.left, never.left] });
  `);
  expect(said['codes']).toMatchObject({ codes: ['ERR_CKPT_EXISTS', 'TypeError', 'TypeError'] });
  expect(said['count']).toMatchObject({ count: 3 });
  expect(said['fired']).toBeUndefined();
});
