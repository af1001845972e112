/** Why a checkpoint does not come: who is missing, from where, since when and doing what, in the error, the log and the command. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { JOIN } from '../fixtures/member-ring.js';
import { nodePath } from '../fixtures/node.js';
import { Laboratory } from '../fixtures/sdk-program.js';

const cli = fileURLToPath(new URL('../../packages/sdk/dist/cli.js', import.meta.url));

async function command(lab: Laboratory, ...args: readonly string[]): Promise<{ code: unknown; out: string; err: string }> {
  const child = spawn(nodePath, [cli, ...args], {
    cwd: lab.folder,
    env: { ...process.env, CKPT_DIR: lab.store },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (written.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (written.err += text));
  const [code] = await once(child, 'close');
  return { code, ...written };
}

interface Missing {
  readonly task: string;
  readonly registeredAt: string;
  readonly sinceMs: number;
  readonly lastSafepoint: string;
}

const LATE = `${JOIN}
await ckpt.start();
await Promise.all([
  ckpt.task('reader', async () => { await ckpt.safepoint(); await new Promise((resolve) => setTimeout(resolve, 1e6)); }),
  ckpt.task('writer', () => ckpt.safe(ckpt.channel('never', 'main').receive())),
]);
`;

it('ckpt create --wait says which member and task did not come, where each was begun, since when, and what they do; so do log and error', async () => {
  const lab = new Laboratory({ 'late.mjs': LATE });
  const program = lab.start(`
const ckpt = await open({ dir: 'store', requests: true, quiesceTimeout: 700, logger: { warn() {}, error: (text) => say('log', { text }) } });
ckpt.worker('late', new URL('./late.mjs', import.meta.url));
await ckpt.start();
ckpt.on('failed', ({ error }) => say('failed', { code: error.code, member: error.member, missing: error.missing }));
ckpt.on('waiting', ({ missing }) => say('waiting', { missing }));
say('ready');
for (;;) {
  await ckpt.safepoint();
  await new Promise((resolve) => setTimeout(resolve, 1));
}
`);
  await program.hear('ready');
  const told = await command(lab, 'create', '--wait', '--timeout', '20s');
  expect(told).toMatchObject({ out: '', err: expect.stringContaining('ERR_CKPT_TIMEOUT') });
  expect(told.code).not.toBe(0);
  const { missing, ...failed } = await program.hear('failed');
  expect(failed).toMatchObject({ code: 'ERR_CKPT_TIMEOUT', member: 'late' });
  const [late, ...others] = missing as readonly Missing[];
  expect(others).toEqual([]);
  expect(late).toMatchObject({ task: 'late', registeredAt: expect.stringMatching(/program-1\.mjs:\d+:6$/) });
  expect(late?.sinceMs).toBeGreaterThanOrEqual(700);
  expect(late?.sinceMs).toBeLessThan(20_000);
  expect(late?.lastSafepoint).toMatch(
    /^task 'reader' \(begun at .*late\.mjs:8:8\) last seen at .*late\.mjs:8:\d+, .*'writer' stands in safe\(\) at .*late\.mjs:9:/,
  );
  const report = `'late' (from ${late?.registeredAt}, asked ${late?.sinceMs} ms ago: ${late?.lastSafepoint})`;
  expect(told.err).toContain(report);
  expect((await program.hear('log'))['text']).toContain(report);
  expect((await program.hear('waiting'))['missing']).toMatchObject([{ task: 'late', registeredAt: late?.registeredAt }]);
  const json = await command(lab, 'create', '--wait', '--timeout', '20s', '--json');
  expect(JSON.parse(json.err || json.out)).toMatchObject({
    error: { code: 'ERR_CKPT_TIMEOUT', missing: [{ task: 'late', registeredAt: late?.registeredAt, sinceMs: expect.any(Number) }] },
  });
}, 60_000);

it('a task of the program is named with where it was begun, and a safe() that is over with it', async () => {
  const lab = new Laboratory({ 'fine.mjs': `${JOIN}\nawait ckpt.start();\nfor (;;) await ckpt.safepoint();\n` });
  const said = await lab.run(`
const ckpt = await open({ dir: 'store', quiesceTimeout: 300 });
ckpt.worker('fine', new URL('./fine.mjs', import.meta.url));
await ckpt.start();
const reader = ckpt.task('reader', async () => { await ckpt.safe(1); await new Promise((resolve) => setTimeout(resolve, 2000)); });
const [error] = await Promise.all([ckpt.checkpoint().catch((error) => error), reader]);
say('error', { code: error.code, missing: error.missing });
process.exit();
`);
  expect(said['error']).toMatchObject({
    code: 'ERR_CKPT_TIMEOUT',
    missing: [
      {
        task: 'reader',
        registeredAt: expect.stringMatching(/program-1\.mjs:\d+:21$/),
        lastSafepoint: expect.stringMatching(/program-1\.mjs:\d+:\d+, in safe\(\), whose promise has settled$/),
      },
    ],
  });
}, 60_000);

it('F45: a member that is ended during a quiesce is waited for no more, whether it had come to stand or not, and in a capture as well', async () => {
  const lab = new Laboratory({
    'w.mjs': `${JOIN}
const nap = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
if (workerData === 'captures') ckpt.provide('p', { capture: () => { for (;;) nap(); }, restore() {} });
await ckpt.start();
ckpt.channel('runs', 'main').send(true);
if (workerData === 'hangs') {
  // Not before the program has heard of it.
  await ckpt.channel('runs', 'main').receive();
  for (;;) nap();
}
for (;;) await ckpt.safepoint();
`,
  });
  const said = await lab.run(`
const { statImage } = await import('@ckpt/sdk/images');
const ckpt = await open({ dir: 'store', quiesceTimeout: '20s', handlerTimeout: '20s' });
const begin = (name) => ckpt.worker(name, new URL('./w.mjs', import.meta.url), { workerData: name });
const [stands, hangs] = ['stands', 'hangs', 'stays'].map(begin);
await ckpt.start();
for (const name of ['stands', 'hangs', 'stays']) await ckpt.channel('runs', name).receive();
ckpt.channel('runs', 'hangs').send(true);
const first = ckpt.checkpoint();
await new Promise((resolve) => setTimeout(resolve, 200));
await stands.terminate();
await hangs.terminate();
await first;
const names = async () => (await statImage('store')).members.map(({ name }) => name);
say('quiesce', { names: await names(), done: [await codeOf(() => stands.done), await codeOf(() => hangs.done)] });
const captures = begin('captures');
await ckpt.safe(ckpt.channel('runs', 'captures').receive());
const second = ckpt.checkpoint();
await new Promise((resolve) => setTimeout(resolve, 500));
await captures.terminate();
say('capture', { code: await codeOf(() => second), next: await codeOf(() => ckpt.checkpoint()), names: await names() });
process.exit();
`);
  expect(said['quiesce']).toMatchObject({ names: ['main', 'stays'], done: ['ok', 'ok'] });
  expect(said['capture']).toMatchObject({ next: 'ok', names: ['main', 'stays'] });
  expect(['ok', 'ERR_CKPT_MEMBER']).toContain(said['capture']?.['code']);
}, 60_000);

it('F45: a member that hangs in a loop is named with the safepoint it was last seen at, though no checkpoint has met it before', async () => {
  const hang = `${JOIN}
await ckpt.start();
for (let i = 0; i < 50; i++) {
  await ckpt.safepoint();
  await new Promise((resolve) => setTimeout(resolve, 1));
}
ckpt.channel('ready', 'main').send(true);
await new Promise((resolve) => setTimeout(resolve, 20));
for (;;);
`;
  const said = await new Laboratory({ 'hang.mjs': hang }).run(`
const ckpt = await open({ dir: 'store', quiesceTimeout: 300 });
for (const kind of ['worker', 'fork']) {
  const hung = ckpt[kind](kind, new URL('./hang.mjs', import.meta.url));
  if (kind === 'worker') await ckpt.start();
  await ckpt.safe(ckpt.channel('ready', kind).receive());
  const error = await ckpt.checkpoint().catch((error) => error);
  say(kind, { code: error.code, missing: error.missing });
  await hung.terminate();
}
process.exit();
`);
  const missing = [{ lastSafepoint: expect.stringMatching(/^last seen at .*hang\.mjs:8:/) }];
  expect(said).toMatchObject({ worker: { code: 'ERR_CKPT_TIMEOUT', missing }, fork: { code: 'ERR_CKPT_TIMEOUT', missing } });
}, 60_000);

it('a thread that throws is told of with the place where it threw', async () => {
  const said = await new Laboratory({ 'throws.mjs': `${JOIN}\nawait ckpt.start();\nthrow new Error('no such luck');\n` }).run(`
const log = [];
const ckpt = await open({ dir: 'store', logger: { warn: (line) => log.push(String(line)), error() {} } });
const w = ckpt.worker('w', new URL('./throws.mjs', import.meta.url));
await ckpt.start();
await ckpt.safe(w.done.catch(() => {}));
say('log', { log });
process.exit();
`);
  expect(said['log']?.['log']).toContainEqual(expect.stringMatching(/'w' ended without finish\(\): no such luck[\s\S]*throws\.mjs:7:7/));
});
