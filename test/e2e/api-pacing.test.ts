/** `every: 'auto'` in real programs; when it asks is told by test/unit/auto-pace.test.ts. */
import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

const PROGRAM = `
  const { statImage } = await import('@ckpt/sdk/images');
  const ckpt = await open({ dir: './store', every: { overhead: 0.02, mtbf: '6h', deadline: new Date(Date.now() + 3_600_000) } });
  ckpt.state('s', () => ({ step: 0 }));
  const { restarted } = await ckpt.start();
  const costs = [];
  for (let i = 0; i < 2; i++) {
    const { image, times } = await ckpt.checkpoint();
    const { members } = await statImage('./store', image.id);
    costs.push(members.find(({ name }) => name === 'main').cost ?? null);
    say('took', { restarted, freezeMs: times.freezeMs, persistMs: times.persistMs });
  }
  say('costs', { restarted, costs });
  process.kill(process.pid, 'SIGKILL');
`;

test('what checkpoints cost is in the images, and known to the first checkpoint of the next life', async () => {
  const lab = new Laboratory();
  const first = await lab.start(PROGRAM).ended;
  const took = first.said.filter(({ word }) => word === 'took');
  const told = first.said.find(({ word }) => word === 'costs');
  const cost = { freezeMs: took[0]?.['freezeMs'], persistMs: took[0]?.['persistMs'] };
  expect(told).toMatchObject({ restarted: false, costs: [null, cost] });
  const second = await lab.start(PROGRAM).ended;
  expect(second.said.find(({ word }) => word === 'costs')).toMatchObject({ restarted: true, costs: [cost, expect.any(Object)] });
});

test('before a deadline the program is checkpointed in time, by the timer', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const deadline = Date.now() + 7_000;
    const ckpt = await open({ every: { deadline } });
    const s = ckpt.state('s', () => ({ step: 0 }));
    await ckpt.start();
    let result;
    ckpt.on('committed', (committed) => { result = committed; });
    while (result === undefined) {
      s.step++;
      await ckpt.safepoint();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    say('committed', { reason: result.reason, inTime: Date.now() < deadline });
    await ckpt.close();
  `);
  expect(said['committed']).toMatchObject({ reason: 'timer', inTime: true });
});
