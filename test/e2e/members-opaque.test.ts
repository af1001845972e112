/** Children that never join: told of and started again, or left alone, and never waited for. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { JOIN } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';

/** Says that it runs, with what it was started with, and goes on until it is ended. */
const DEAF = `
import { appendFileSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';
appendFileSync('deaf.txt', JSON.stringify({ pid: process.pid, given: isMainThread ? process.argv.slice(2) : workerData }) + '\\n');
setInterval(() => {}, 1000);
`;

function lives(lab: Laboratory): readonly { readonly pid: number; readonly given: unknown }[] {
  const path = join(lab.folder, 'deaf.txt');
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const WAIT = `
const lives = (n) => new Promise((resolve) => { const look = () => fs.existsSync('deaf.txt') && fs.readFileSync('deaf.txt', 'utf8').split('\\n').length > n ? resolve() : setTimeout(look, 10); look(); });
`;

function alive(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

async function gone(pid: number): Promise<void> {
  while (alive(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('opaque children', () => {
  it('a child that never joins fails the start, which names it, where it was declared, how long was waited and what to do; it is ended', async () => {
    const lab = new Laboratory({ 'deaf.mjs': DEAF });
    const said = await lab.run(`
const ckpt = await open({ dir: 'store', handlerTimeout: '3s' });
const kid = ckpt.fork('kid', './deaf.mjs');
const error = await ckpt.start().catch((error) => error);
say('error', { code: error.code, member: error.member, message: error.message });
`);
    expect(said['error']).toMatchObject({ code: 'ERR_CKPT_TIMEOUT', member: 'kid' });
    expect(said['error']?.['message']).toMatch(
      /'kid' \(declared at .*program-1\.mjs:\d+:\d+\) did not call start\(\) within 3000 ms.*opaque: 'restart' or 'exclude'/,
    );
    for (const { pid } of lives(lab)) await gone(pid);
  });

  for (const kind of ['process', 'worker']) {
    const declare = (policy: string, given: string): string =>
      kind === 'process'
        ? `ckpt.fork('kid', './deaf.mjs', ['${given}'], { opaque: '${policy}' })`
        : `ckpt.worker('kid', new URL('./deaf.mjs', import.meta.url), { workerData: ['${given}'], opaque: '${policy}' })`;
    const program = (policy: string, given: string): string => `${WAIT}
const warnings = [];
const ckpt = await open({ dir: 'store', handlerTimeout: '20s', quiesceTimeout: '10s', logger: { warn: (text) => warnings.push(text), error: (text) => warnings.push(text) } });
const kid = ${declare(policy, given)};
say('plan', { members: (await ckpt.planRestart()).members });
const { restarted } = await ckpt.start();
if (process.env.LIVES) await lives(Number(process.env.LIVES));
const { image } = await ckpt.checkpoint();
const { statImage } = await import('@ckpt/sdk/images');
say('image', { restarted, members: (await statImage('store')).members, warnings, same: ckpt.member('kid') === kid });
process.exit();
`;

    it(`a ${kind} that is to be restarted is started again with what it was first started with, and told of in image, plan and log`, async () => {
      const lab = new Laboratory({ 'deaf.mjs': DEAF });
      const first = await lab.run(program('restart', 'first'), { env: { LIVES: '1' } });
      expect(first['plan']).toMatchObject({ members: [{ name: 'kid', outcome: 'new', opaque: 'restart' }] });
      expect(first['image']).toMatchObject({
        restarted: false,
        same: true,
        members: [{ name: 'main' }, { name: 'kid', kind, opaque: 'restart', finished: false }],
        warnings: [expect.stringMatching(/'kid' is opaque/)],
      });
      const second = await lab.run(program('restart', 'second'), { env: { LIVES: '2' } });
      expect(second['plan']).toMatchObject({ members: [{ name: 'kid', outcome: 'match', opaque: 'restart' }] });
      expect(second['image']).toMatchObject({ restarted: true, members: [{ name: 'main' }, { name: 'kid', opaque: 'restart' }] });
      expect(lives(lab).map(({ given }) => given)).toEqual([['first'], ['first']]);
      if (kind === 'process') for (const { pid } of lives(lab)) await gone(pid);
    });

    it(`a ${kind} that is excluded is told of and not started by a restart, whether the program declares it or not`, async () => {
      const lab = new Laboratory({ 'deaf.mjs': DEAF });
      await lab.run(program('exclude', 'first'), { env: { LIVES: '1' } });
      const second = await lab.run(program('exclude', 'second'));
      expect(second['plan']).toMatchObject({ members: [{ name: 'kid', outcome: 'excluded', opaque: 'exclude' }] });
      expect(second['image']).toMatchObject({
        restarted: true,
        members: [{ name: 'main' }, { name: 'kid', opaque: 'exclude' }],
        warnings: [],
      });
      const third = await lab.run(`
const ckpt = await open({ dir: 'store' });
const { refused, members } = await ckpt.planRestart();
const { restarted } = await ckpt.start();
say('third', { refused, members, restarted });
process.exit();
`);
      expect(third['third']).toMatchObject({
        refused: false,
        restarted: true,
        members: [{ name: 'kid', outcome: 'excluded', opaque: 'exclude' }],
      });
      expect(lives(lab)).toHaveLength(1);
    });
  }

  it('one that had ended by itself stays ended, one that died is told of and started again; images go on without either', async () => {
    const lab = new Laboratory({
      'ends.mjs': `import { appendFileSync } from 'node:fs';\nappendFileSync('ends.txt', process.argv[2]);\nprocess.exitCode = Number(process.argv[2]);\n`,
    });
    const program = `
const warnings = [];
const ckpt = await open({ dir: 'store', logger: { warn: (text) => warnings.push(text), error() {} } });
const [well, ill] = ['0', '3'].map((code) => ckpt.fork('ends-' + code, './ends.mjs', [code], { opaque: 'restart' }));
await ckpt.start();
await ckpt.safe(well.done);
say('ends', { ill: await codeOf(() => ckpt.safe(ill.done)), image: await codeOf(() => ckpt.checkpoint()), told: warnings.filter((text) => text.includes('code 3')).length });
await ckpt.close();
`;
    for (const _ of [1, 2]) expect((await lab.run(program))['ends']).toMatchObject({ ill: 'ERR_CKPT_MEMBER', image: 'ok', told: 1 });
    expect([...readFileSync(join(lab.folder, 'ends.txt'), 'utf8')].sort().join('')).toBe('033');
  });

  it('a recorded one that the program does not declare is asked for, with its policy; one whose state is recorded cannot become opaque', async () => {
    const lab = new Laboratory({
      'deaf.mjs': DEAF,
      'w.mjs': `${JOIN}\nckpt.state('s', () => ({}));\nawait ckpt.start();\nfor (;;) await ckpt.safepoint();\n`,
    });
    await lab.run(`${WAIT}
const ckpt = await open({ dir: 'store' });
ckpt.fork('kid', './deaf.mjs', ['first'], { opaque: 'restart' });
const w = ckpt.worker('w', new URL('./w.mjs', import.meta.url));
await ckpt.start();
await lives(1);
await ckpt.checkpoint();
process.exit();
`);
    const refused = await lab.run(`
const ckpt = await open({ dir: 'store' });
ckpt.onMember((recorded) => void say('asked-' + recorded.name, recorded));
ckpt.worker('w', new URL('./w.mjs', import.meta.url), { opaque: 'restart' });
const error = await ckpt.start().catch((error) => error);
say('refused', { code: error.code, member: error.member, message: error.message });
process.exit();
`);
    expect(refused['asked-kid']).toMatchObject({ kind: 'process', args: ['first'], opaque: 'restart' });
    expect(refused['refused']).toMatchObject({ code: 'ERR_CKPT_UNCLAIMED', member: 'w', message: expect.stringContaining('as opaque') });
    const answered = await lab.run(`${WAIT}
const ckpt = await open({ dir: 'store' });
ckpt.onMember(({ name }) => new URL(name === 'kid' ? './deaf.mjs' : './w.mjs', import.meta.url));
await ckpt.start();
await lives(2);
process.exit();
`);
    expect(answered).toEqual({});
    expect(lives(lab).map(({ given }) => given)).toEqual([['first'], ['first']]);
  });

  it('joining is refused to one that was declared opaque, as a thread and as a process', async () => {
    const lab = new Laboratory({
      'late.mjs': `
import { appendFileSync } from 'node:fs';
import { joinCheckpointer } from '@ckpt/sdk/member';
const error = await joinCheckpointer().catch((error) => error);
appendFileSync('late.txt', JSON.stringify({ code: error.code, member: error.member, message: error.message }) + '\\n');
`,
    });
    await lab.run(`
const ckpt = await open({ dir: 'store' });
const kids = [ckpt.fork('kid', './late.mjs', [], { opaque: 'restart' }), ckpt.worker('thread', new URL('./late.mjs', import.meta.url), { opaque: 'exclude' })];
await ckpt.start();
await ckpt.safe(Promise.all(kids.map(({ done }) => done)));
await ckpt.close();
`);
    const late = readFileSync(join(lab.folder, 'late.txt'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(late.map(({ member }) => member).sort()).toEqual(['kid', 'thread']);
    for (const one of late) expect(one).toMatchObject({ code: 'ERR_CKPT_MEMBER', message: expect.stringContaining('opaque') });
  });

  it('F64: one that its killed program has left behind refuses the next start, and is ended when the store is taken over', async () => {
    const lab = new Laboratory({ 'deaf.mjs': DEAF });
    const program = `${WAIT}
const ckpt = await open({ dir: 'store', lockWait: '300ms' });
ckpt.fork('kid', './deaf.mjs', ['first'], { opaque: 'restart' });
await ckpt.start();
await lives(Number(process.env.LIVES));
await ckpt.checkpoint();
say('image');
await ckpt.safe(new Promise(() => {}));
`;
    const first = lab.start(program, { env: { LIVES: '1' } });
    await first.hear('image');
    const [{ pid } = { pid: 0 }] = lives(lab);
    first.kill('SIGKILL');
    const refused = await lab.start(program, { env: { LIVES: '2' } }).ended;
    expect(refused.stderr).toContain('ERR_CKPT_LOCKED');
    expect(refused.stderr).toContain(`process ${pid} `);
    expect(lives(lab)).toHaveLength(1);
    const taking = lab.start(program, { env: { LIVES: '2', CKPT_TAKE_OVER: '1' } });
    await taking.hear('image');
    await first.ended; // its output is held open as long as the child lives
    const kid = lives(lab).at(-1)?.pid ?? 0;
    taking.kill('SIGKILL');
    process.kill(kid, 'SIGKILL');
    await taking.ended;
  });

  it('names are used once, and wrong policies are refused', async () => {
    const lab = new Laboratory({ 'deaf.mjs': DEAF });
    const said = await lab.run(`
const ckpt = await open({ dir: 'store' });
const kid = (options) => () => ckpt.fork('kid', './deaf.mjs', [], options);
say('codes', { wrong: await codeOf(kid({ opaque: 'never' })), one: await codeOf(kid({ opaque: 'restart' })), two: await codeOf(kid({})), three: await codeOf(kid({ opaque: 'exclude' })) });
const other = ckpt.fork('other', './deaf.mjs');
say('other', { code: await codeOf(() => ckpt.fork('other', './deaf.mjs', [], { opaque: 'restart' })) });
process.exit();
`);
    expect(said['codes']).toMatchObject({ wrong: 'TypeError', one: 'ok', two: 'ERR_CKPT_EXISTS', three: 'ERR_CKPT_EXISTS' });
    expect(said['other']).toMatchObject({ code: 'ERR_CKPT_EXISTS' });
  });
});
