/** Tasks: concurrent activities of a program or of a member, each of which is whole in every image. */
import { expect, it } from 'vitest';
import { JOIN, KILLED_AFTER_AN_IMAGE, killing } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';
import { seeded } from '../fixtures/seeded.js';

/** Adds to `x`, turns, adds to `y`: where they differ, the image was taken in between. */
const COUNT = `
const count = async (own) => {
  while (own.x < 300) {
    await ckpt.safepoint();
    own.x++;
    await new Promise((resolve) => setImmediate(resolve));
    own.y++;
  }
};
`;

async function killedSometimes(lab: Laboratory, program: string, seed: number): Promise<number> {
  const random = seeded(seed);
  let committed = 0;
  for (let life = 0; life < 3; life++) {
    const ended = await lab.start(program, { env: killing(random) }).ended;
    expect(ended.said.filter(({ word }) => word === 'failed')).toEqual([]);
    committed += ended.said.filter(({ word }) => word === 'committed').length;
  }
  return committed;
}

it('tasks of a program are all whole in each image, however it is killed', async () => {
  const program = `
const ckpt = await open({ dir: 'store', every: 3 });
const s = ckpt.state('s', () => ({ a: { x: 0, y: 0 }, b: { x: 0, y: 0 } }));
await ckpt.start();
if (s.a.x !== s.a.y || s.b.x !== s.b.y) throw new Error('not whole: ' + JSON.stringify(s));
${KILLED_AFTER_AN_IMAGE}${COUNT}
const [one, two] = await Promise.all([ckpt.task('a', () => count(s.a)), ckpt.task('b', async () => { await count(s.b); return 'two'; })]);
say('end', { s, one, two, finish: await codeOf(() => ckpt.finish()) });
`;
  const lab = new Laboratory();
  expect(await killedSometimes(lab, program, 11)).toBeGreaterThan(0);
  const { end } = await lab.run(program, { env: { CKPT_RESTART: '' } });
  expect(end).toMatchObject({ s: { a: { x: 300, y: 300 }, b: { x: 300, y: 300 } }, two: 'two', finish: 'ok' });
}, 60_000);

it('F67: tasks of a member receive and count beside each other; no message is lost or taken twice', async () => {
  const worker = `${JOIN}
const s = ckpt.state('s', () => ({ a: { x: 0, y: 0 }, sum: 0, next: 0, order: true }));
await ckpt.start();
if (s.a.x !== s.a.y) throw new Error('not whole: ' + JSON.stringify(s));
${COUNT}
const numbers = ckpt.channel('numbers', 'main');
const receive = async () => {
  while (s.next < 1500) {
    const number = await ckpt.safe(numbers.receive());
    if (number !== s.next) s.order = false;
    s.next++;
    s.sum += number;
  }
};
await Promise.all([ckpt.task('count', () => count(s.a)), ckpt.task('receive', receive)]);
ckpt.channel('sum', 'main').send({ ...s });
await ckpt.finish();
`;
  const program = `
const ckpt = await open({ dir: 'store', every: 3 });
const s = ckpt.state('s', () => ({ next: 0, sum: null }));
ckpt.worker('w', new URL('./w.mjs', import.meta.url));
await ckpt.start();
${KILLED_AFTER_AN_IMAGE}
const numbers = ckpt.channel('numbers', 'w');
while (s.next < 1500) {
  await ckpt.safepoint();
  await numbers.send(s.next);
  s.next++;
}
s.sum ??= await ckpt.safe(ckpt.channel('sum', 'w').receive());
say('sum', s.sum);
await ckpt.close();
`;
  const lab = new Laboratory({ 'w.mjs': worker });
  expect(await killedSometimes(lab, program, 12)).toBeGreaterThan(0);
  expect((await lab.run(program))['sum']).toMatchObject({ a: { x: 300, y: 300 }, next: 1500, sum: 1_124_250, order: true });
}, 60_000);

it('a task that does not come is named; what goes on beside the tasks it has begun is refused', async () => {
  const lab = new Laboratory({
    'w.mjs': `${JOIN}
await ckpt.start();
await Promise.all([
  ckpt.task('late', async () => { await new Promise((resolve) => setTimeout(resolve, 1e6)); }),
  ckpt.task('fine', async () => { for (;;) await ckpt.safepoint(); }),
]);
`,
  });
  const said = await lab.run(`
const ckpt = await open({ dir: 'store', quiesceTimeout: 300 });
const w = ckpt.worker('w', new URL('./w.mjs', import.meta.url));
say('early', { code: await codeOf(() => ckpt.task('early', () => {})) });
await ckpt.start();
const error = await ckpt.checkpoint().catch((error) => error);
say('error', { code: error.code, missing: error.missing });
await w.terminate();
let stop = false;
const running = ckpt.task('one', async () => { while (!stop) await ckpt.safepoint(); });
say('twice', { code: await codeOf(() => ckpt.task('one', () => {})) });
await turn();
say('beside', { code: await codeOf(() => ckpt.safe(1)) });
say('image', { code: await codeOf(() => ckpt.checkpoint()) });
stop = true;
await running;
say('after', { code: await codeOf(() => ckpt.checkpoint()) });
await ckpt.close();
`);
  expect(said).toMatchObject({
    early: { code: 'ERR_CKPT_PHASE' },
    error: { code: 'ERR_CKPT_TIMEOUT', missing: [{ task: 'w', lastSafepoint: expect.stringContaining("task 'late'") }] },
    twice: { code: 'ERR_CKPT_EXISTS' },
    beside: { code: 'ERR_CKPT_CONCURRENT_SAFEPOINT' },
    image: { code: 'ok' },
    after: { code: 'ok' },
  });
}, 60_000);
