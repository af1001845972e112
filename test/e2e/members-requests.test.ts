/** Requests over channels: each is handed out and answered once over all lives, and its reply comes to who asks. */
import { expect, it } from 'vitest';
import { JOIN, KILLED_AFTER_AN_IMAGE, killing } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';
import { seeded } from '../fixtures/seeded.js';

/** Adds up what it is asked, and answers with the sum so far, later: some requests are owed while images are taken. */
const SERVER = `${JOIN}
const s = ckpt.state('s', () => ({ sum: 0, owed: [], over: false }));
await ckpt.start();
const sums = ckpt.channel('sums', 'main');
const serve = async () => {
  if (s.over) return;
  for await (const { id, value } of sums.requests()) {
    s.sum += value;
    s.owed.push({ id, sum: s.sum });
    if (value < 0) break;
  }
  s.over = true;
};
const answer = async () => {
  while (!s.over || s.owed.length > 0) {
    await ckpt.safe(new Promise((resolve) => setTimeout(resolve, 2)));
    for (const { id, sum } of s.owed.splice(0)) sums.reply(id, sum);
  }
};
await Promise.all([ckpt.task('serve', serve), ckpt.task('answer', answer)]);
await ckpt.finish();
`;

const CLIENT = `
const ckpt = await open({ dir: 'store', every: 3 });
const s = ckpt.state('s', () => ({ lanes: [0, 1, 2].map((lane) => ({ next: lane, got: [] })), end: null }));
const server = process.env.FORK ? ckpt.fork('server', './server.mjs') : ckpt.worker('server', new URL('./server.mjs', import.meta.url));
await ckpt.start();
const sums = ckpt.channel('sums', 'server');
${KILLED_AFTER_AN_IMAGE}
await Promise.all(s.lanes.map((lane, index) => ckpt.task('lane-' + index, async () => {
  for (; lane.next < 150; lane.next += 3) {
    const sum = await ckpt.safe(sums.request(lane.next));
    lane.got.push(sum);
  }
})));
s.end ??= await ckpt.safe(sums.request(-3));
say('end', { end: s.end, answers: s.lanes.flatMap(({ got }) => got).length, distinct: new Set(s.lanes.flatMap(({ got }) => got)).size });
await ckpt.safe(server.done);
await ckpt.finish();
`;

for (const [kind, env, seed] of [
  ['a thread', {}, 21],
  ['a process', { FORK: '1' }, 22],
] as const) {
  it(`F47: requests to ${kind} are served once and replies on their way arrive, however often the program is killed`, async () => {
    const lab = new Laboratory({ 'server.mjs': SERVER });
    const random = seeded(seed);
    let committed = 0;
    for (let life = 0; life < 3; life++) {
      const ended = await lab.start(CLIENT, { env: { ...env, ...killing(random) } }).ended;
      expect(ended.said.filter(({ word }) => word === 'failed')).toEqual([]);
      committed += ended.said.filter(({ word }) => word === 'committed').length;
    }
    expect(committed).toBeGreaterThan(0);
    // 0 + 1 + … + 149, less 3: each was added once.
    expect((await lab.run(CLIENT, { env }))['end']).toMatchObject({ end: 11_172, answers: 150, distinct: 150 });
  }, 240_000);
}

it('a reply that was under way is delivered after the restart, and one that nobody waits for is told and dropped', async () => {
  const lab = new Laboratory({
    'w.mjs': `${JOIN}
const s = ckpt.state('s', () => ({ served: 0 }));
const { restarted } = await ckpt.start();
const jobs = ckpt.channel('jobs', 'main');
for await (const { id, value } of jobs.requests()) {
  s.served++;
  if (value === 'refused') jobs.refuse(id, 'not here');
  else jobs.reply(id, { value, served: s.served });
  try { jobs.reply(id, 2); } catch ({ code }) { ckpt.channel('codes', 'main').send(code); }
}
`,
  });
  const program = (rest: string): string => `
const ckpt = await open({ dir: 'store', logger: { warn: (message) => say('warned', { message }), error() {} } });
const w = ckpt.worker('w', new URL('./w.mjs', import.meta.url));
await ckpt.start();
const jobs = ckpt.channel('jobs', 'w');
${rest}
`;
  // The program stands in checkpoint() when the replies arrive: it has not gone on with them.
  await lab.run(
    program(`
for (const value of ['asked again', 'forgotten']) void jobs.request(value);
await ckpt.checkpoint();
process.exit();
`),
  );
  const second = await lab.run(
    program(`
say('reply', await ckpt.safe(jobs.request('asked again')));
say('refused', { code: await codeOf(() => ckpt.safe(jobs.request('refused'))) });
say('twice', { code: await ckpt.channel('codes', 'w').receive() });
await w.terminate();
await ckpt.finish();
process.exit();
`),
  );
  expect(second).toMatchObject({
    reply: { value: 'asked again', served: 1 },
    refused: { code: 'ERR_CKPT_MEMBER' },
    twice: { code: 'ERR_CKPT_PHASE' },
    warned: { message: expect.stringContaining('waits for no reply') },
  });
}, 240_000);

it('F47: a reply that could not be sent yet arrives although who gave it is past the channel and never opens it again', async () => {
  const lab = new Laboratory({
    'w.mjs': `${JOIN}
const s = ckpt.state('s', () => ({ at: 'asked', id: null }));
await ckpt.start();
const told = ckpt.channel('told', 'main');
if (s.at === 'taken') {
  ckpt.channel('jobs', 'main').reply(s.id, 'the answer');
  s.at = 'replied';
  told.send(s.at);
}
if (s.at === 'asked') {
  for await (const { id } of ckpt.channel('jobs', 'main').requests()) {
    s.id = id;
    break;
  }
  s.at = 'taken';
  told.send(s.at);
}
await ckpt.safe(new Promise((resolve) => setTimeout(resolve, 1e6)));
`,
  });
  const program = `
const ckpt = await open({ dir: 'store' });
ckpt.worker('w', new URL('./w.mjs', import.meta.url));
await ckpt.start();
const life = process.env.LIFE;
if (life === '1') void ckpt.channel('jobs', 'w').request('the question');
if (life === '3') say('reply', { reply: await ckpt.safe(ckpt.channel('jobs', 'w').request('the question')) });
else {
  say('told', { at: await ckpt.safe(ckpt.channel('told', 'w').receive()) });
  await ckpt.checkpoint();
}
process.exit();
`;
  expect((await lab.run(program, { env: { LIFE: '1' } }))['told']).toMatchObject({ at: 'taken' });
  // Here the program does not open the channel: the reply waits in the image.
  expect((await lab.run(program, { env: { LIFE: '2' } }))['told']).toMatchObject({ at: 'replied' });
  expect((await lab.run(program, { env: { LIFE: '3' } }))['reply']).toMatchObject({ reply: 'the answer' });
}, 240_000);
