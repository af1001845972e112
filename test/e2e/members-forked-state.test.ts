/** The state of forked members, which comes to the program after everybody has gone on. */
import { describe, expect, it } from 'vitest';
import { JOIN } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';

/** Much more than a stream holds by itself. */
const BYTES = 24 * 2 ** 20;

/** Does what it is told on a channel, and says what it holds. Its state changes with each step. */
const MEMBER = `
import * as fs from 'node:fs';
${JOIN}
const s = ckpt.state('s', () => ({ step: 0, got: [], field: new Float64Array(Number(process.argv[2]) / 8).map((_, i) => i), bytes: new Uint8Array(1000) }));
const { restarted, finished } = await ckpt.start();
const orders = ckpt.channel('orders', 'main');
const said = () => ({ restarted, step: s.step, got: [...s.got], whole: s.field.every((x, i) => x === i + s.step), bytes: s.bytes.every((x) => x === s.step) });
const advance = () => { s.step++; s.field.forEach((x, i) => { s.field[i] = x + 1; }); s.bytes.fill(s.step); };
if (finished) { fs.writeFileSync('finished.json', JSON.stringify(said())); process.exit(0); }
for (;;) {
  const order = await ckpt.safe(orders.receive());
  if (order === 'advance') advance();
  else if (order === 'finish') { await ckpt.finish(); break; }
  else if (order === 'exit') process.exit(0);
  else if (order === 'finish soon') {
    orders.send('soon');
    await new Promise((resolve) => setTimeout(resolve, 300));
    void ckpt.finish();
    setTimeout(() => fs.writeFileSync('finishing', ''), 300);
    break;
  }
  else if (order !== 'say') s.got.push(order);
  orders.send(said());
}
`;

/**
 * A stopped member sends nothing more: whatever comes to its program afterwards was in the stream before. \`captured\` resolves
 * with the capture of the checkpoint under way, in which the member \`name\` is stopped at once.
 */
const PROGRAM = `
const ckpt = await open({ dir: 'store' });
const log = ckpt.state('log', () => ({ steps: 0 }));
const child = (name, bytes = ${BYTES}) => ckpt.fork(name, './member.mjs', [String(bytes)]);
const order = async (name, what) => { const channel = ckpt.channel('orders', name); channel.send(what); return await channel.receive(); };
const stopping = (handle) => new Promise((resolve) => ckpt.once('captured', () => { process.kill(handle.pid, 'SIGSTOP'); resolve(); }));
const settled = (promise) => Promise.race([promise.then(() => true, () => true), new Promise((resolve) => setTimeout(resolve, 200, false))]);
const outcome = (promise) => promise.then(() => ({ code: 'ok' }), ({ code, message, context }) => ({ code, message, member: context?.member }));
`;

const ANSWERS = `
const restored = async (name) => await order(name, 'say');
`;

describe('the state of forked members', () => {
  it('F47: everybody goes on while it is sent: the program makes steps before the commit, and what is sent then is in no image', async () => {
    const lab = new Laboratory({ 'member.mjs': MEMBER });
    const said = await lab.run(`${PROGRAM}
const one = child('one');
await ckpt.start();
await order('one', 'advance');
let steps = 0;
const checkpoint = (async () => {
  const stopped = stopping(one);
  const committed = ckpt.checkpoint();
  committed.then(() => say('committed', { steps }), () => {});
  await stopped;
  return committed;
})();
await new Promise((resolve) => ckpt.once('captured', resolve));
ckpt.channel('orders', 'one').send('later');
for (; steps < 20; steps++) { await ckpt.safepoint(); log.steps++; await new Promise((resolve) => setTimeout(resolve, 5)); }
say('held', { committed: await settled(checkpoint) });
process.kill(one.pid, 'SIGCONT');
const { image, bytes } = await checkpoint;
say('received', await ckpt.channel('orders', 'one').receive());
say('afterwards', { ...(await order('one', 'advance')), images: image.generation, bytes });
process.exit();
`);
    expect(said['held']).toMatchObject({ committed: false });
    expect(said['committed']).toMatchObject({ steps: 20 });
    expect(said['received']).toMatchObject({ step: 1, got: ['later'], whole: true });
    expect(said['afterwards']).toMatchObject({ step: 2, got: ['later'], whole: true });
    const back = await lab.run(`${PROGRAM}${ANSWERS}
child('one');
const { restarted } = await ckpt.start();
say('back', { restarted, steps: log.steps, one: await restored('one') });
process.exit();
`);
    expect(back['back']).toMatchObject({ restarted: true, steps: 0, one: { restarted: true, step: 1, got: [], whole: true, bytes: true } });
  }, 60_000);

  it('F45: a member that is killed while it is sent makes that checkpoint fail by name; the program goes on, and so do its checkpoints', async () => {
    const lab = new Laboratory({ 'member.mjs': MEMBER });
    const said = await lab.run(`${PROGRAM}
const [one, two] = [child('one', ${3 * BYTES}), child('two', 800)]; // the second is quick to capture: one sends still
await ckpt.start();
say('first', { generation: (await ckpt.checkpoint()).image.generation });
await order('one', 'advance');
await order('two', 'advance');
const stopped = stopping(one);
const checkpoint = outcome(ckpt.checkpoint());
await stopped;
process.kill(one.pid, 'SIGKILL');
say('failed', await checkpoint);
say('done', await outcome(one.done));
say('two', await order('two', 'advance'));
say('refused', await outcome(ckpt.checkpoint()));
child('one');
say('again', await outcome(ckpt.checkpoint()));
process.exit();
`);
    expect(said['failed']).toMatchObject({ code: 'ERR_CKPT_MEMBER', member: 'one' });
    expect(said['failed']?.['message']).toContain('SIGKILL');
    expect(said['done']).toMatchObject({ code: 'ERR_CKPT_MEMBER' });
    expect(said['two']).toMatchObject({ step: 2, whole: true });
    expect(said['refused']).toMatchObject({ code: 'ERR_CKPT_MEMBER' });
    expect(said['again']).toMatchObject({ code: 'ok' });
    expect(lab.images()).toHaveLength(2);
    const back = await lab.run(`${PROGRAM}${ANSWERS}
child('one');
child('two');
await ckpt.start();
say('back', { one: await restored('one'), two: await restored('two') });
process.exit();
`);
    expect(back['back']).toMatchObject({ one: { step: 0, whole: true, bytes: true }, two: { step: 2, whole: true, bytes: true } });
  }, 60_000);

  it('a member that finishes or exits while it is sent sends all of it first; its last state follows', async () => {
    const lab = new Laboratory({ 'member.mjs': MEMBER });
    const said = await lab.run(`${PROGRAM}
const [one, two] = [child('one'), child('two')];
await ckpt.start();
await order('one', 'advance');
await order('two', 'advance');
const all = Promise.all([stopping(one), stopping(two)]);
const checkpoint = outcome(ckpt.checkpoint());
await all;
ckpt.channel('orders', 'one').send('finish');
ckpt.channel('orders', 'two').send('exit');
for (const { pid } of [one, two]) process.kill(pid, 'SIGCONT');
say('first', await checkpoint);
await ckpt.safe(Promise.all([one.done, two.done]));
say('second', await outcome(ckpt.checkpoint()));
process.exit();
`);
    expect(said).toMatchObject({ first: { code: 'ok' }, second: { code: 'ok' } });
    const back = await lab.run(`${PROGRAM}${ANSWERS}
const { listImages } = await import('@ckpt/sdk/images');
say('members', { images: (await listImages('store')).length });
child('one');
const { restarted } = await ckpt.start();
await ckpt.safe(ckpt.member('one').done); // it had finished: this does not wait for what it does now
while (!fs.existsSync('finished.json') || fs.readFileSync('finished.json').length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
say('back', { restarted, one: JSON.parse(fs.readFileSync('finished.json', 'utf8')) });
process.exit();
`);
    expect(back['members']).toMatchObject({ images: 2 });
    expect(back['back']).toMatchObject({ restarted: true, one: { restarted: true, step: 1, whole: true, bytes: true } });
  }, 60_000);

  it('F45: a member that is killed while its last state is sent has not finished: done and the image that waits for it tell it', async () => {
    const lab = new Laboratory({ 'member.mjs': MEMBER });
    const said = await lab.run(`${PROGRAM}
const one = child('one');
await ckpt.start();
await order('one', 'finish soon');
while (!fs.existsSync('finishing')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5); // nothing is read meanwhile
process.kill(one.pid, 'SIGSTOP');
const checkpoint = outcome(ckpt.checkpoint());
say('held', { checkpoint: await settled(checkpoint), done: await settled(one.done) });
process.kill(one.pid, 'SIGKILL');
say('ended', { checkpoint: await checkpoint, done: await outcome(one.done), next: await outcome(ckpt.checkpoint()) });
await one.terminate();
say('without', await outcome(ckpt.checkpoint()));
process.exit();
`);
    const died = { code: 'ERR_CKPT_MEMBER', member: 'one' };
    expect(said['held']).toMatchObject({ checkpoint: false, done: false });
    expect(said['ended']).toMatchObject({ checkpoint: died, done: died, next: died });
    expect(said['without']).toMatchObject({ code: 'ok' });
    expect(lab.images()).toHaveLength(1);
  }, 60_000);

  it('what there is no copy of is of the same instant: the program stands until its members have sent all', async () => {
    const lab = new Laboratory({ 'member.mjs': MEMBER });
    const options = `{ dir: 'store', memoryBudget: '1MiB' }`;
    const program = PROGRAM.replace(`{ dir: 'store' }`, options);
    const said = await lab.run(`${program}
const large = ckpt.state('large', () => ({ numbers: new Float64Array(2 ** 20), last: new Uint8Array(2 ** 22) }));
const one = child('one');
await ckpt.start();
await order('one', 'advance');
const timer = setInterval(() => { large.numbers[0]++; large.last[2 ** 22 - 1]++; }, 1);
const { bytes } = await ckpt.checkpoint();
clearInterval(timer);
say('bytes', bytes);
process.exit();
`);
    expect(Number(said['bytes']?.['uncopied'])).toBeGreaterThan(2 ** 22);
    const back = await lab.run(`${program}${ANSWERS}
const large = ckpt.state('large', () => ({}));
child('one');
await ckpt.start();
say('back', { equal: large.numbers[0] % 256 === large.last[2 ** 22 - 1], one: await restored('one') });
process.exit();
`);
    expect(back['back']).toMatchObject({ equal: true, one: { step: 1, whole: true, bytes: true } });
  }, 60_000);
});
