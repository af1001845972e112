/** Forked processes as members: captured with the program, ended with it, and never beside a life after. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { JOIN, KILLED_AFTER_AN_IMAGE, killing, RING_ENDS } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';
import { seeded } from '../fixtures/seeded.js';

/** Hands a number on to the next of a ring, in each step; members 0 and 2 are processes, 1 and 3 threads. */
const RING_MEMBER = `
${JOIN}
const [i, n, steps] = workerData ?? process.argv.slice(2).map(Number);
const s = ckpt.state('s', () => ({ step: 0, x: i + 1, field: new Float64Array(2000).fill(i) }));
await ckpt.start();
const to = ckpt.channel('halo', 'w' + ((i + 1) % n));
const from = ckpt.channel('halo', 'w' + ((i + n - 1) % n));
while (s.step < steps) {
  await ckpt.safepoint(s.step);
  to.send({ step: s.step, x: s.x, bytes: s.field.subarray(s.step % 100, s.step % 100 + 3) });
  const m = await from.receive();
  if (m.step !== s.step) throw new Error('step ' + m.step + ' at ' + s.step);
  s.x = (s.x * 31 + m.x) % 1000003;
  s.field[s.step % 2000] += m.bytes[1] + s.x;
  s.step++;
}
ckpt.channel('result', 'main').send({ x: s.x, sum: s.field.reduce((a, b) => a + b) });
await ckpt.finish();
`;

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const RING = `
const n = 4;
const ckpt = await open({ dir: 'store', every: 5, openFiles: 'error' });
const seen = ckpt.state('seen', () => ({ results: [] }));
const steps = Number(process.env.STEPS);
const members = Array.from({ length: n }, (_, i) => {
  const program = new URL('./member.mjs', import.meta.url);
  return i % 2 === 0 ? ckpt.fork('w' + i, program, [i, n, steps].map(String)) : ckpt.worker('w' + i, program, { workerData: [i, n, steps] });
});
const start = await ckpt.start();
if (start.finished) { say('results', seen); process.exit(); }
${KILLED_AFTER_AN_IMAGE}${RING_ENDS}`;

/** Writes a line as often as it can, without a turn of its event loop. */
const WRITER = `
import { appendFileSync } from 'node:fs';
${JOIN}
await ckpt.start();
for (;;) {
  appendFileSync('lines.txt', process.pid + '\\n');
  ckpt.safepointSync();
}
`;

const PARENT = `
const ckpt = await open({ dir: 'store', lockWait: process.env.WAIT ?? '30s' });
const kid = ckpt.fork('kid', './writer.mjs');
await ckpt.start();
say('kid', { pid: kid.pid, parent: process.pid });
if (process.env.IMAGES) await ckpt.checkpoint();
say('image');
await ckpt.safe(kid.done);
`;

describe('forked members', () => {
  it('F47, F66: processes and threads that exchange halos are captured at one step, and restarts end as if nothing had happened', async () => {
    const env = { STEPS: '200' };
    const undisturbed = await new Laboratory({ 'member.mjs': RING_MEMBER }).run(RING, { env });
    const killed = new Laboratory({ 'member.mjs': RING_MEMBER });
    const random = seeded(64);
    let committed = 0;
    for (let life = 0; life < 2; life++) {
      const ended = await killed.start(RING, { env: { ...env, ...killing(random) } }).ended;
      expect(ended.said.filter(({ word }) => word === 'failed')).toEqual([]);
      committed += ended.said.filter(({ word }) => word === 'committed').length;
    }
    expect((await killed.run(RING, { env }))['results']).toEqual(undisturbed['results']);
    expect(committed).toBeGreaterThan(0);
  }, 60_000);

  it('F64: a child in a synchronous loop ends when its parent is killed, and the next life begins after it', async () => {
    const lab = new Laboratory({ 'writer.mjs': WRITER });
    const first = lab.start(PARENT, { env: { IMAGES: '1' } });
    await first.hear('image');
    first.kill('SIGKILL');
    await first.ended;
    const second = lab.start(PARENT, { env: { IMAGES: '1' } });
    const { pid } = await second.hear('kid');
    await second.hear('image');
    second.kill('SIGKILL');
    await second.ended;
    const pids = readFileSync(join(lab.folder, 'lines.txt'), 'utf8').trimEnd().split('\n').map(Number);
    expect(pids.at(-1)).toBe(pid);
    expect(new Set(pids).size).toBe(2);
    expect(pids.lastIndexOf(pids[0] ?? 0)).toBeLessThan(pids.indexOf(Number(pid)));
  });

  it('F64: a child that is stopped when its parent dies refuses the next start, and is ended when the store is taken over', async () => {
    const lab = new Laboratory({ 'writer.mjs': WRITER });
    const first = lab.start(PARENT, { env: { IMAGES: '1' } });
    const pid = Number((await first.hear('kid'))['pid']);
    await first.hear('image');
    process.kill(pid, 'SIGSTOP');
    first.kill('SIGKILL');
    const refused = await lab.start(PARENT, { env: { WAIT: '300ms' } }).ended;
    expect(refused.stderr).toContain('ERR_CKPT_LOCKED');
    expect(refused.stderr).toContain(`process ${pid} `);
    const taking = lab.start(PARENT, { env: { CKPT_TAKE_OVER: '1' } });
    await taking.hear('image');
    await first.ended; // its output is held open as long as the child lives
    taking.kill('SIGKILL');
    await taking.ended;
  });

  it('a child that dies is reported and refuses images until it is dismissed; one that ends with 0 has left', async () => {
    const lab = new Laboratory({
      'w.mjs': `${JOIN}\nawait ckpt.start();\nprocess.exit(Number(await ckpt.safe(ckpt.channel('c', 'main').receive())));\n`,
    });
    const said = await lab.run(`
const ckpt = await open({ dir: 'store' });
const [one, two] = ['one', 'two'].map((name) => ckpt.fork(name, './w.mjs'));
await ckpt.start();
say('first', { code: await codeOf(() => ckpt.checkpoint()) });
ckpt.channel('c', 'one').send(3);
ckpt.channel('c', 'two').send(0);
await ckpt.safe(two.done);
say('died', { code: await codeOf(() => one.done), message: await one.done.catch(({ message }) => message) });
say('second', { code: await codeOf(() => ckpt.checkpoint()) });
await one.terminate();
const { image } = await ckpt.checkpoint();
say('third', { restored: image.generation > 0 });
process.exit();
`);
    expect(said).toMatchObject({
      first: { code: 'ok' },
      died: { code: 'ERR_CKPT_MEMBER' },
      second: { code: 'ERR_CKPT_MEMBER' },
      third: { restored: true },
    });
    expect(said['died']?.['message']).toContain('its process exited with code 3');
  });

  it('a checkpoint that ends the program ends all of its members, and the next life goes on from it', async () => {
    const lab = new Laboratory({
      'w.mjs': `${JOIN}
const s = ckpt.state('s', () => ({ step: 0 }));
await ckpt.start();
const said = ckpt.channel('said', 'main');
said.send(process.pid);
said.send(s.step);
for (;;) {
  await ckpt.safepoint(s.step);
  s.step++;
  await new Promise((resolve) => setTimeout(resolve, 1));
}
`,
    });
    const program = `
const ckpt = await open({ dir: 'store', signals: { SIGTERM: 'checkpoint-and-exit' } });
const s = ckpt.state('s', () => ({ step: 0 }));
ckpt.fork('kid', './w.mjs');
ckpt.worker('thread', new URL('./w.mjs', import.meta.url));
const { restarted } = await ckpt.start();
const [kid, thread] = ['kid', 'thread'].map((name) => ckpt.channel('said', name));
const pid = await kid.receive();
await thread.receive();
say('runs', { pid, restarted, step: s.step, steps: [await kid.receive(), await thread.receive()] });
while (!restarted) {
  await ckpt.safepoint(s.step);
  s.step++;
  await new Promise((resolve) => setTimeout(resolve, 1));
}
process.exit();
`;
    const first = lab.start(program);
    const { pid } = await first.hear('runs');
    first.kill('SIGTERM');
    expect((await first.ended).code).toBe(85);
    // It ends by itself once it sees that its parent is gone, and that is not before its parent is.
    await expect.poll(() => isThere(Number(pid)), { timeout: 10_000 }).toBe(false);
    const second = (await lab.run(program))['runs'];
    expect(second?.['restarted']).toBe(true);
    const step = second?.['step'];
    expect(Number(step)).toBeGreaterThan(0);
    expect(second?.['steps']).toEqual([step, step]);
  });

  it('a process that is forked while an image is being written is no untracked descriptor of that image', async () => {
    const lab = new Laboratory({ 'kid.mjs': `${JOIN}\nawait ckpt.start();\n` });
    const said = await lab.run(`
const ckpt = await open({ dir: 'store', openFiles: 'error' });
const s = ckpt.state('s', () => ({ kids: 0 }));
await ckpt.start();
const kids = [];
ckpt.on('captured', () => kids.push(ckpt.fork('kid-' + s.kids++, './kid.mjs')));
const codes = [];
for (let i = 0; i < 5; i++) codes.push(await codeOf(() => ckpt.checkpoint()));
await ckpt.safe(Promise.all(kids.map(({ done }) => done)));
say('codes', { codes });
await ckpt.close();
`);
    expect(said['codes']).toMatchObject({ codes: Array.from({ length: 5 }, () => 'ok') });
  });

  it('a recorded process that the program does not declare is asked for with its arguments', async () => {
    const worker = `${JOIN}\nconst s = ckpt.state('s', () => ({ from: process.argv[2] }));\nawait ckpt.start();\nckpt.channel('hello', 'main').send({ ...s, args: process.argv.slice(2) });\nawait ckpt.safe(new Promise((r) => setTimeout(r, 1e6)));\n`;
    const lab = new Laboratory({ 'w.mjs': worker });
    await lab.run(`
const ckpt = await open({ dir: 'store' });
ckpt.fork('w', './w.mjs', ['first life', '--fast']);
await ckpt.start();
await ckpt.channel('hello', 'w').receive();
await ckpt.checkpoint();
process.exit();
`);
    const answered = await lab.run(`
const ckpt = await open({ dir: 'store' });
ckpt.onMember((recorded) => { say('asked', recorded); return new URL('./w.mjs', import.meta.url); });
await ckpt.start();
say('hello', await ckpt.safe(ckpt.channel('hello', 'w').receive()));
process.exit();
`);
    expect(answered['asked']).toMatchObject({ name: 'w', kind: 'process', finished: false, args: ['first life', '--fast'] });
    expect(answered['hello']).toMatchObject({ from: 'first life', args: ['first life', '--fast'] });
  });
});
