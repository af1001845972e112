/**
 * Worker members with real threads, kills and messages: one image of all of them, at one step, and no message lost or doubled.
 */
import { describe, expect, it } from 'vitest';
import { HALO, JOIN, KILLED_AFTER_AN_IMAGE, killing, RING } from '../fixtures/member-ring.js';
import { type Ended, Laboratory } from '../fixtures/sdk-program.js';
import { seeded } from '../fixtures/seeded.js';

function wordsOf({ said }: Ended, word: string): readonly Record<string, unknown>[] {
  return said.filter((one) => one.word === word);
}

describe('members', () => {
  it('F47, F66: members that exchange halos are captured at one step, and restarts end as if nothing had happened', async () => {
    const env = { STEPS: '600' };
    const undisturbed = await new Laboratory({ 'halo.mjs': HALO }).run(RING, { env });
    const killed = new Laboratory({ 'halo.mjs': HALO });
    const random = seeded(66);
    let committed = 0;
    for (let life = 0; life < 4; life++) {
      const ended = await killed.start(RING, { env: { ...env, ...killing(random) } }).ended;
      expect(wordsOf(ended, 'failed')).toEqual([]);
      committed += wordsOf(ended, 'committed').length;
    }
    expect((await killed.run(RING, { env }))['results']).toEqual(undisturbed['results']);
    expect(committed).toBeGreaterThan(0);
  }, 120_000);

  const PIPE = `
const ckpt = await open({ dir: 'store', every: 3 });
const s = ckpt.state('s', () => ({ next: 0, sum: null }));
const sink = ckpt.worker('sink', new URL('./sink.mjs', import.meta.url));
await ckpt.start();
const numbers = ckpt.channel('numbers', 'sink');
${KILLED_AFTER_AN_IMAGE}while (s.next <= 3000) {
  await ckpt.safepoint();
  await numbers.send(s.next === 3000 ? 'end' : s.next);
  s.next++;
}
s.sum ??= await ckpt.safe(ckpt.channel('sum', 'sink').receive());
say('sum', s.sum);
await ckpt.close();
`;
  const SINK = `${JOIN}
const s = ckpt.state('s', () => ({ count: 0, sum: 0, order: true }));
await ckpt.start();
for await (const number of ckpt.channel('numbers', 'main')) {
  if (number === 'end') break;
  if (number !== s.count) s.order = false;
  s.count++;
  s.sum += number;
}
ckpt.channel('sum', 'main').send({ ...s });
await ckpt.finish();
`;

  it('F47, F67: each message is received exactly once over all lives, also one that arrives during a capture', async () => {
    const lab = new Laboratory({ 'sink.mjs': SINK });
    const random = seeded(67);
    let committed = 0;
    for (let life = 0; life < 4; life++) {
      const ended = await lab.start(PIPE, { env: killing(random) }).ended;
      committed += wordsOf(ended, 'committed').length;
      expect(wordsOf(ended, 'failed')).toEqual([]);
      if (wordsOf(ended, 'sum').length > 0) break;
    }
    expect(committed).toBeGreaterThan(0);
    const { sum } = await lab.run(PIPE);
    expect(sum).toMatchObject({ count: 3000, sum: 4_498_500, order: true });
  }, 120_000);

  it('F47: a message that was not sent yet arrives although its sender is past the channel and never opens it again', async () => {
    const lab = new Laboratory({
      'w.mjs': `${JOIN}
const s = ckpt.state('s', () => ({ sent: false }));
await ckpt.start();
if (!s.sent) ckpt.channel('back', 'main').send('from w');
s.sent = true;
ckpt.channel('sent', 'main').send(true);
const got = await ckpt.safe(ckpt.channel(process.env.LATE ? 'there' : 'never', 'main').receive());
ckpt.channel('got', 'main').send(got);
await ckpt.finish();
`,
    });
    const program = `
const ckpt = await open({ dir: 'store' });
const s = ckpt.state('s', () => ({ sent: false }));
ckpt.worker('w', new URL('./w.mjs', import.meta.url));
const { restarted } = await ckpt.start();
if (!s.sent) ckpt.channel('there', 'w').send('from main');
s.sent = true;
await ckpt.safe(ckpt.channel('sent', 'w').receive());
if (!process.env.LATE) { say('asking'); await ckpt.checkpoint(); process.kill(process.pid, 'SIGKILL'); }
say('got', { restarted, back: await ckpt.safe(ckpt.channel('back', 'w').receive()), there: await ckpt.safe(ckpt.channel('got', 'w').receive()) });
await ckpt.close();
`;
    expect(await lab.start(program).ended).toMatchObject({ said: [{ word: 'asking' }], stderr: '' });
    expect((await lab.run(program, { env: { LATE: '1' } }))['got']).toMatchObject({ restarted: true, back: 'from w', there: 'from main' });
  });

  it('F76: a member that waits for ever and one that has finished do not hold up checkpoints', async () => {
    const lab = new Laboratory({
      'idle.mjs': `${JOIN}\nawait ckpt.start();\nawait ckpt.safe(ckpt.channel('never', 'main').receive());\n`,
      'quick.mjs': `${JOIN}\nconst s = ckpt.state('s', () => ({ ran: 0 }));\nconst r = await ckpt.start();\nif (!r.finished) { s.ran++; await ckpt.finish(); }\n`,
    });
    const program = `
const ckpt = await open({ dir: 'store' });
const idle = ckpt.worker('idle', new URL('./idle.mjs', import.meta.url));
const quick = ckpt.worker('quick', new URL('./quick.mjs', import.meta.url));
const start = await ckpt.start();
await ckpt.safe(quick.done);
for (let i = 0; i < 3; i++) await ckpt.checkpoint();
say('done', { restarted: start.restarted });
process.exit();
`;
    expect((await lab.run(program))['done']).toMatchObject({ restarted: false });
    expect((await lab.run(program))['done']).toMatchObject({ restarted: true });
  });

  it('F46: a recorded member that the program does not declare is asked for through onMember, else the start is refused', async () => {
    const worker = `${JOIN}\nconst s = ckpt.state('s', () => ({ from: workerData.from }));\nawait ckpt.start();\nckpt.channel('hello', 'main').send({ ...s, data: workerData.from });\nawait ckpt.safe(new Promise((r) => setTimeout(r, 1e6)));\n`;
    const lab = new Laboratory({ 'w.mjs': worker });
    await lab.run(`
const ckpt = await open({ dir: 'store' });
ckpt.worker('w', new URL('./w.mjs', import.meta.url), { workerData: { from: 'first life' } });
await ckpt.start();
await ckpt.channel('hello', 'w').receive();
await ckpt.checkpoint();
process.exit();
`);
    const refused = await lab.run(`
const ckpt = await open({ dir: 'store' });
const plan = await ckpt.planRestart();
say('plan', { refused: plan.refused, members: plan.members });
say('code', { code: await codeOf(() => ckpt.start()) });
process.exit();
`);
    expect(refused['plan']).toMatchObject({ refused: true, members: [{ name: 'w', kind: 'worker', outcome: 'refused', finished: false }] });
    expect(refused['code']).toMatchObject({ code: 'ERR_CKPT_UNCLAIMED' });
    const answered = await lab.run(`
const ckpt = await open({ dir: 'store' });
ckpt.onMember((recorded) => { say('asked', recorded); return new URL('./w.mjs', import.meta.url); });
ckpt.worker('other', new URL('./w.mjs', import.meta.url), { workerData: {} });
say('plan', { plan: (await ckpt.planRestart()).members.map(({ name, outcome }) => [name, outcome]) });
await ckpt.start();
say('hello', await ckpt.safe(ckpt.channel('hello', 'w').receive()));
process.exit();
`);
    expect(answered['plan']).toMatchObject({
      plan: [
        ['other', 'new'],
        ['w', 'answered'],
      ],
    });
    expect(answered['asked']).toMatchObject({ name: 'w', finished: false, workerData: { from: 'first life' } });
    expect(answered['hello']).toMatchObject({ from: 'first life', data: 'first life' });
  });

  it('F45: a member that dies refuses images until it is dismissed; the program and older images go on', async () => {
    const lab = new Laboratory({
      'w.mjs': `${JOIN}\nawait ckpt.start();\nconst c = ckpt.channel('c', 'main');\nif ((await ckpt.safe(c.receive())) === 'die') process.exit(3);\n`,
    });
    const said = await lab.run(`
const ckpt = await open({ dir: 'store' });
const w = ckpt.worker('w', new URL('./w.mjs', import.meta.url));
await ckpt.start();
await ckpt.checkpoint();
ckpt.channel('c', 'w').send('die');
say('done', { code: await codeOf(() => ckpt.safe(w.done)) });
say('refused', { code: await codeOf(() => ckpt.checkpoint()), images: fs.readdirSync('store/images').length });
await w.terminate();
say('after', { code: await codeOf(() => ckpt.checkpoint()) });
await ckpt.close();
`);
    expect(said['done']).toMatchObject({ code: 'ERR_CKPT_MEMBER' });
    expect(said['refused']).toMatchObject({ code: 'ERR_CKPT_MEMBER', images: 1 });
    expect(said['after']).toMatchObject({ code: 'ok' });
  });

  it('F45: with exclude, images go on without a member that died', async () => {
    const lab = new Laboratory({ 'w.mjs': `${JOIN}\nawait ckpt.start();\nthrow new Error('broken');\n` });
    const said = await lab.run(`
const ckpt = await open({ dir: 'store', onMemberError: 'exclude' });
const w = ckpt.worker('w', new URL('./w.mjs', import.meta.url));
await ckpt.start();
say('done', { code: await codeOf(() => ckpt.safe(w.done)) });
say('after', { code: await codeOf(() => ckpt.checkpoint()) });
await ckpt.close();
`);
    expect(said['done']).toMatchObject({ code: 'ERR_CKPT_MEMBER' });
    expect(said['after']).toMatchObject({ code: 'ok' });
  });

  it('F45: a member that hangs is named with what it was last seen doing, and everybody goes on', async () => {
    const lab = new Laboratory({
      'hang.mjs': `${JOIN}\nawait ckpt.start();\nawait ckpt.channel('never', 'main').receive();\n`,
      'fine.mjs': `${JOIN}\nconst s = ckpt.state('s', () => ({ step: 0 }));\nawait ckpt.start();\nfor (;;) { await ckpt.safepoint(s.step); s.step++; }\n`,
    });
    const said = await lab.run(`
const ckpt = await open({ dir: 'store', quiesceTimeout: 200 });
ckpt.worker('fine', new URL('./fine.mjs', import.meta.url));
const hang = ckpt.worker('hang', new URL('./hang.mjs', import.meta.url));
await ckpt.start();
const error = await ckpt.checkpoint().catch((error) => error);
say('error', { code: error.code, missing: error.missing });
await hang.terminate();
say('after', { code: await codeOf(() => ckpt.checkpoint()) });
process.exit();
`);
    expect(said['error']).toMatchObject({
      code: 'ERR_CKPT_TIMEOUT',
      missing: [{ task: 'hang', lastSafepoint: expect.stringContaining('waiting in receive()') }],
    });
    expect(said['after']).toMatchObject({ code: 'ok' });
  });

  it('F45: a handler of a member that throws fails the checkpoint alone', async () => {
    const lab = new Laboratory({
      'w.mjs': `${JOIN}\nlet times = 0;\nckpt.atCheckpoint(() => { if (times++ === 0) throw new Error('not now'); });\nawait ckpt.start();\nfor (;;) await ckpt.safepoint();\n`,
    });
    const said = await lab.run(`
const ckpt = await open({ dir: 'store' });
ckpt.worker('w', new URL('./w.mjs', import.meta.url));
await ckpt.start();
say('first', { code: await codeOf(() => ckpt.checkpoint()) });
say('second', { code: await codeOf(() => ckpt.checkpoint()) });
process.exit();
`);
    expect(said).toMatchObject({ first: { code: 'ERR_CKPT_HANDLER' }, second: { code: 'ok' } });
  });

  it('F45: one that hangs in its capture function is named, and everybody goes on; with exclude, images go on without it', async () => {
    const lab = new Laboratory({
      'w.mjs': `${JOIN}
let hang = workerData;
ckpt.provide('p', { capture: () => { while (hang) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000); return 1; }, restore() {} });
await ckpt.start();
for (;;) await ckpt.safepoint();
`,
    });
    const program = (onMemberError: string): string => `
const ckpt = await open({ dir: 'store-${onMemberError}', handlerTimeout: '4s', onMemberError: '${onMemberError}', quiesceTimeout: 150 });
const [fine, hang] = [false, true].map((hangs) => ckpt.worker(hangs ? 'hang' : 'fine', new URL('./w.mjs', import.meta.url), { workerData: hangs }));
await ckpt.start();
for (const word of ['first', 'second']) {
  const outcome = await ckpt.checkpoint().catch((error) => error);
  say(word, { code: outcome.code, member: outcome.member, images: fs.existsSync('store-${onMemberError}/images') && fs.readdirSync('store-${onMemberError}/images').length });
}
await hang.terminate();
say('third', { code: await codeOf(() => ckpt.checkpoint()) });
process.exit();
`;
    const [cancelled, excluded] = await Promise.all([lab.run(program('cancel')), lab.run(program('exclude'))]);
    expect(cancelled).toMatchObject({
      first: { code: 'ERR_CKPT_TIMEOUT', member: 'hang', images: 0 },
      second: { code: 'ERR_CKPT_TIMEOUT', images: 0 },
    });
    expect(excluded).toMatchObject({ first: { images: 1 }, second: { images: 2 } });
    expect(cancelled['third']).toMatchObject({ code: 'ok' });
    expect(excluded['third']).toMatchObject({ code: 'ok' });
    const members = await lab.run(`
const { statImage } = await import('@ckpt/sdk/images');
say('members', { names: (await statImage('store-exclude')).members.map(({ name }) => name) });
`);
    expect(members['members']).toMatchObject({ names: ['main', 'fine'] });
  });

  it('F45: a member that is ended at any step of a checkpoint costs that checkpoint at most, and no image is without it', async () => {
    const lab = new Laboratory({
      'w.mjs': `${JOIN}
const end = (at) => workerData === at && ckpt.channel('c', 'main').send('now') === undefined && Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100) && process.exit(4);
ckpt.atCheckpoint(() => void end('handler'));
ckpt.provide('p', { capture: () => (end('capture'), 1), restore() {} });
ckpt.atResume(() => void end('resume'));
await ckpt.start();
for (;;) { end('loop'); await ckpt.safepoint(); }
`,
    });
    const lives = ['loop', 'handler', 'capture', 'resume'].map(async (at) => {
      const said = await lab.run(`
const ckpt = await open({ dir: 'store-${at}', quiesceTimeout: '3s', handlerTimeout: '3s' });
const w = ckpt.worker('w', new URL('./w.mjs', import.meta.url), { workerData: '${at}' });
await ckpt.start();
const code = await codeOf(() => ckpt.checkpoint());
await w.done.catch(() => {});
say('codes', { code, later: await codeOf(() => ckpt.checkpoint()), images: fs.readdirSync('store-${at}/images').length });
process.exit();
`);
      expect(said['codes'], at).toMatchObject(
        at === 'resume'
          ? { code: 'ok', later: 'ERR_CKPT_MEMBER', images: 1 }
          : { code: 'ERR_CKPT_MEMBER', later: 'ERR_CKPT_MEMBER', images: 0 },
      );
    });
    await Promise.all(lives);
  });

  it('shared memory is stored once and comes back to every member, also in synchronous loops', async () => {
    const lab = new Laboratory({
      'w.mjs': `${JOIN}
const s = ckpt.state('s', () => ({ step: 0 }));
const counter = new Int32Array(ckpt.shared('counter', 8));
await ckpt.start();
for (; s.step < 3000; s.step++) {
  ckpt.safepointSync(s.step);
  Atomics.add(counter, 0, 1);
}
await ckpt.finish();
`,
    });
    const program = `
const ckpt = await open({ dir: 'store' });
const counter = new Int32Array(ckpt.shared('counter', 8));
const members = ['a', 'b'].map((name) => ckpt.worker(name, new URL('./w.mjs', import.meta.url)));
const start = await ckpt.start();
const first = ckpt.checkpoint();
await first;
if (process.env.STOP) { say('stopped', { count: Atomics.load(counter, 0) }); process.exit(); }
await ckpt.safe(Promise.all(members.map((member) => member.done)));
say('count', { count: Atomics.load(counter, 0), restarted: start.restarted });
await ckpt.close();
`;
    await lab.run(program, { env: { STOP: '1' } });
    expect((await lab.run(program))['count']).toMatchObject({ count: 6000, restarted: true });
  });
});
