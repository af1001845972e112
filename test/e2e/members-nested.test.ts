/** Members of members: declared by a member, started by the program, captured and brought back with the whole set. */
import { describe, expect, it } from 'vitest';
import { JOIN, KILLED_AFTER_AN_IMAGE, killing } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';
import { seeded } from '../fixtures/seeded.js';

/** Asks its nested member for a number in each step, and tells the program what both have come to. */
const PARENT = `${JOIN}
const steps = 300;
const s = ckpt.state('s', () => ({ step: 0, sent: 0, sum: 0 }));
const leaf = process.env.LEAF === 'process'
  ? ckpt.fork('leaf', './leaf.mjs', ['7'])
  : ckpt.worker('leaf', new URL('./leaf.mjs', import.meta.url), { workerData: { factor: 7 } });
const { finished } = await ckpt.start();
if (!finished) {
  const up = ckpt.channel('up', 'leaf');
  while (s.step < steps) {
    if (s.sent === s.step) up.send(s.sent++);
    const { step, value } = await ckpt.safe(up.receive());
    if (step !== s.step) throw new Error('step ' + step + ' at ' + s.step);
    s.sum = (s.sum * 31 + value) % 1000003;
    s.step++;
  }
  if (s.sent === steps) up.send('end');
  s.sent = steps + 1;
  await ckpt.safe(leaf.done);
  ckpt.channel('result', 'main').send(s.sum);
  await ckpt.finish();
}
`;

const LEAF = `${JOIN}
const factor = workerData?.factor ?? Number(process.argv[2]);
const s = ckpt.state('s', () => ({ seen: 0 }));
const { finished } = await ckpt.start();
if (!finished) {
  const up = ckpt.channel('up', 'parent');
  const numbers = ckpt.channel('numbers', 'main');
  for await (const step of up) {
    if (step === 'end') break;
    s.seen++;
    await numbers.send(s.seen * factor);
    up.send({ step, value: s.seen * factor });
  }
  await ckpt.finish();
}
`;

const PROGRAM = `
const ckpt = await open({ dir: 'store', every: 5 });
const seen = ckpt.state('seen', () => ({ count: 0, sum: 0, result: null }));
const parent = process.env.PARENT === 'process'
  ? ckpt.fork('parent', './parent.mjs')
  : ckpt.worker('parent', new URL('./parent.mjs', import.meta.url));
const start = await ckpt.start();
if (start.finished) { say('results', seen); process.exit(); }
${KILLED_AFTER_AN_IMAGE}const numbers = ckpt.channel('numbers', 'leaf');
while (seen.count < 300) {
  const number = await ckpt.safe(numbers.receive());
  seen.count++;
  seen.sum += number;
  if (number !== seen.count * 7) throw new Error('number ' + number + ' at ' + seen.count);
}
seen.result = await ckpt.safe(ckpt.channel('result', 'parent').receive());
await ckpt.safe(parent.done);
say('results', seen);
await ckpt.finish();
`;

const FILES = { 'parent.mjs': PARENT, 'leaf.mjs': LEAF };

/** A parent that goes on until it is told to end, and its nested member, which goes on for ever. */
const RESTING = {
  'parent.mjs': `${JOIN}
const leaf = process.env.ORPHAN ? undefined : ckpt.worker('leaf', new URL('./leaf.mjs', import.meta.url), { workerData: { from: process.env.LIFE ?? 'first' } });
const { restarted } = await ckpt.start();
ckpt.channel('told', 'main').send({ restarted });
const word = await ckpt.safe(ckpt.channel('word', 'main').receive());
if (word === 'throw') throw new Error('told to');
if (word === 'leave') process.exit(0);
if (word === 'dismiss') { await ckpt.safe(leaf.terminate()); await ckpt.safe(leaf.done); ckpt.channel('told', 'main').send('dismissed'); }
await ckpt.safe(new Promise((r) => setTimeout(r, 1e6)));
`,
  'leaf.mjs': `${JOIN}
const s = ckpt.state('s', () => ({ lives: 0 }));
s.lives++;
const { restarted } = await ckpt.start();
ckpt.channel('leaf', 'main').send({ restarted, lives: s.lives, data: workerData });
await ckpt.safe(new Promise((r) => setTimeout(r, 1e6)));
`,
};

const BEGIN = `
const { statImage } = await import('@ckpt/sdk/images');
const ckpt = await open({ dir: 'store' });
const parent = ckpt.worker('parent', new URL('./parent.mjs', import.meta.url));
const { restarted } = await ckpt.start();
const leaf = await ckpt.safe(ckpt.channel('leaf', 'leaf').receive());
`;

describe('nested members', () => {
  for (const [parent, leaf] of [
    ['thread', 'thread'],
    ['thread', 'process'],
    ['process', 'process'],
  ]) {
    it(`F47: a ${leaf} of a ${parent} exchanges messages with its parent and the program, and kills change nothing of the results`, async () => {
      const env = { PARENT: parent, LEAF: leaf };
      const undisturbed = await new Laboratory(FILES).run(PROGRAM, { env });
      const killed = new Laboratory(FILES);
      const random = seeded(leaf === 'thread' ? 50 : 51);
      let committed = 0;
      for (let life = 0; life < 3; life++) {
        const ended = await killed.start(PROGRAM, { env: { ...env, ...killing(random) } }).ended;
        expect(ended.said.filter(({ word }) => word === 'failed')).toEqual([]);
        committed += ended.said.filter(({ word }) => word === 'committed').length;
      }
      expect(committed).toBeGreaterThan(0);
      const last = await killed.run(PROGRAM, { env });
      expect(last['results']).toEqual(undisturbed['results']);
      expect((await killed.run(PROGRAM, { env }))['results']).toEqual(undisturbed['results']);
    }, 120_000);
  }

  it('one comes back with its state and what it was first started with; image, plan and names tell whose it is', async () => {
    const lab = new Laboratory(RESTING);
    const program = `${BEGIN}
await ckpt.checkpoint();
say('life', { restarted, leaf, members: (await statImage('store')).members, name: ckpt.member('leaf').name });
process.exit();
`;
    const first = await lab.run(program);
    const records = [{ name: 'main' }, { name: 'parent' }, { name: 'leaf', kind: 'worker', parent: 'parent', finished: false }];
    expect(first['life']).toMatchObject({
      restarted: false,
      leaf: { restarted: false, lives: 1, data: { from: 'first' } },
      members: records,
    });
    const second = await lab.run(program, { env: { LIFE: 'second' } });
    expect(second['life']).toMatchObject({
      restarted: true,
      leaf: { restarted: true, lives: 2, data: { from: 'first' } },
      members: records,
    });
  });

  it('F46: a plan accepts one whose parent is declared; without the parent, or where the parent declares it no more, the start is refused', async () => {
    const lab = new Laboratory(RESTING);
    await lab.run(`${BEGIN}\nawait ckpt.checkpoint();\nprocess.exit();\n`);
    const program = `
const ckpt = await open({ dir: 'store' });
if (process.env.PARENT) ckpt.worker('parent', new URL('./parent.mjs', import.meta.url));
ckpt.onMember((recorded) => void say('asked', recorded));
const { refused, members } = await ckpt.planRestart();
const error = await ckpt.start().catch((error) => error);
say('plan', { refused, members, code: error.code, member: error.member, message: error.message });
process.exit();
`;
    const without = await lab.run(program);
    expect(without['asked']).toMatchObject({ name: 'leaf', parent: 'parent' });
    expect(without['plan']).toMatchObject({
      refused: true,
      members: [
        { name: 'parent', outcome: 'refused' },
        { name: 'leaf', outcome: 'refused', parent: 'parent' },
      ],
      code: 'ERR_CKPT_UNCLAIMED',
    });
    const orphan = await lab.run(program, { env: { PARENT: '1', ORPHAN: '1' } });
    expect(orphan['plan']).toMatchObject({
      refused: false,
      members: [
        { name: 'parent', outcome: 'match' },
        { name: 'leaf', outcome: 'nested', parent: 'parent' },
      ],
      code: 'ERR_CKPT_UNCLAIMED',
      member: 'leaf',
      message: expect.stringContaining("which the member 'parent' had declared"),
    });
    expect((await lab.run(`${BEGIN}\nsay('leaf', leaf);\nprocess.exit();\n`))['leaf']).toMatchObject({ restarted: true, lives: 2 });
  });

  it('one ends with its parent, whether that is terminated, throws or leaves, and when its parent dismisses it', async () => {
    const lab = new Laboratory(RESTING);
    const lives = ['terminate', 'throw', 'leave', 'dismiss'].map(async (how) => {
      const said = await lab.run(`${BEGIN.replaceAll("'store'", `'store-${how}'`)}
const nested = ckpt.member('leaf');
const before = await ckpt.checkpoint();
${how === 'terminate' ? 'await parent.terminate();' : `ckpt.channel('word', 'parent').send('${how}');`}
await ckpt.safe(nested.done);
if ('${how}' === 'throw') { await ckpt.safe(parent.done.catch(() => {})); await parent.terminate(); }
await ckpt.checkpoint();
say('after', { members: (await statImage('store-${how}')).members.map(({ name }) => name) });
process.exit();
`);
      expect(said['after'], how).toMatchObject({ members: how === 'dismiss' ? ['main', 'parent'] : ['main'] });
    });
    await Promise.all(lives);
  });

  it('names are used once in the whole set, shared memory is no data for one, and a forked member has no threads that are members', async () => {
    const lab = new Laboratory({
      'parent.mjs': `${JOIN}
const how = workerData?.how ?? process.argv[2];
const program = new URL('./parent.mjs', import.meta.url);
const codeOf = (work) => { try { work(); return 'ok'; } catch (error) { return error.code ?? error.name; } };
if (how === 'thread') {
  await ckpt.start();
  ckpt.channel('code', 'main').send(codeOf(() => ckpt.worker('leaf', program)));
} else if (how === 'late') {
  await ckpt.start();
  ckpt.channel('code', 'main').send(await ckpt.worker('parent', program).done.catch(({ code }) => code));
} else {
  ckpt.worker(how === 'name' ? 'other' : 'leaf', program, { workerData: how === 'shared' ? new SharedArrayBuffer(8) : { how: 'leaf' } });
  await ckpt.start();
}
await ckpt.finish();
`,
    });
    const program = `
const ckpt = await open({ dir: 'store-' + process.env.HOW });
const program = new URL('./parent.mjs', import.meta.url);
if (process.env.HOW === 'thread') ckpt.fork('parent', program, ['thread']);
else ckpt.worker('parent', program, { workerData: { how: process.env.HOW } });
if (process.env.HOW === 'name') ckpt.worker('other', program, { workerData: { how: 'other' } });
const error = await ckpt.start().catch((error) => error);
say('code', { code: error.cause?.code ?? error.code ?? await ckpt.safe(ckpt.channel('code', 'parent').receive()), message: error.message });
process.exit();
`;
    const [thread, late, name, shared] = await Promise.all(
      ['thread', 'late', 'name', 'shared'].map((HOW) => lab.run(program, { env: { HOW } })),
    );
    expect(thread?.['code']).toMatchObject({ code: 'ERR_CKPT_MEMBER' });
    expect(late?.['code']).toMatchObject({ code: 'ERR_CKPT_EXISTS' });
    expect(name?.['code']).toMatchObject({ code: 'ERR_CKPT_EXISTS' });
    expect(shared?.['code']).toMatchObject({ code: 'ERR_CKPT_UNSUPPORTED_VALUE' });
  });

  it('an opaque child of a member is in the image with its parent, is started again with what it was given, and ends with its parent', async () => {
    const lab = new Laboratory({
      'parent.mjs': `${JOIN}
const deaf = ckpt.fork('deaf', './deaf.mjs', [process.env.LIFE], { opaque: 'restart' });
await ckpt.start();
await ckpt.safe(ckpt.channel('word', 'main').receive());
`,
      'deaf.mjs': `import { appendFileSync } from 'node:fs';\nappendFileSync('deaf.txt', process.pid + ' ' + process.argv[2] + '\\n');\nsetInterval(() => {}, 1000);\n`,
    });
    const program = `
const ckpt = await open({ dir: 'store' });
const parent = ckpt.worker('parent', new URL('./parent.mjs', import.meta.url));
const { members: plan } = await ckpt.planRestart();
await ckpt.start();
const lines = () => fs.existsSync('deaf.txt') ? fs.readFileSync('deaf.txt', 'utf8').trimEnd().split('\\n') : [];
while (lines().length < Number(process.env.LIFE)) await new Promise((resolve) => setTimeout(resolve, 10));
await ckpt.checkpoint();
const { statImage } = await import('@ckpt/sdk/images');
const { members } = await statImage('store');
const deaf = ckpt.member('deaf');
const { pid } = deaf;
await parent.terminate();
await deaf.done;
await deaf.terminate();
say('life', { plan, members, given: lines().map((line) => line.split(' ')[1]), same: lines().at(-1).startsWith(pid + ' '), alive: await codeOf(() => process.kill(pid, 0)) });
process.exit();
`;
    const first = await lab.run(program, { env: { LIFE: '1' } });
    const record = { name: 'deaf', kind: 'process', opaque: 'restart', parent: 'parent' };
    expect(first['life']).toMatchObject({
      members: [{ name: 'main' }, { name: 'parent' }, record],
      given: ['1'],
      same: true,
      alive: 'ESRCH',
    });
    const second = await lab.run(program, { env: { LIFE: '2' } });
    expect(second['life']).toMatchObject({
      plan: [
        { name: 'parent', outcome: 'match' },
        { name: 'deaf', outcome: 'nested', parent: 'parent', opaque: 'restart' },
      ],
      members: [{ name: 'main' }, { name: 'parent' }, record],
      given: ['1', '1'],
      alive: 'ESRCH',
    });
  });

  it('a member that is declared late and takes its time before start() begins all the same', async () => {
    const lab = new Laboratory({
      'late.mjs': `${JOIN}\nawait new Promise((resolve) => setTimeout(resolve, 50));\nawait ckpt.start();\nckpt.channel('hello', 'main').send('begun');\nawait ckpt.finish();\n`,
    });
    const said = await lab.run(`
const ckpt = await open({ dir: 'store' });
await ckpt.start();
ckpt.worker('late', new URL('./late.mjs', import.meta.url));
say('late', { hello: await ckpt.safe(ckpt.channel('hello', 'late').receive()) });
await ckpt.close();
`);
    expect(said['late']).toMatchObject({ hello: 'begun' });
  });
});
