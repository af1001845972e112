import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

/** Awaits safepoints until it is told to end by a file, so that it runs whatever comes. */
const RUN = `const run = async (more = () => true) => { while (more() && !fs.existsSync('end')) { s.step++; await ckpt.safepoint(); if (s.step % 50 === 0) await turn(); } };`;

test('SIGUSR1 asks for a checkpoint by default; the program goes on', async () => {
  const lab = new Laboratory();
  const program = lab.start(`
    const ckpt = await openCheckpointer({ app: { name: 'api' }, requests: false });
    const s = ckpt.state('s', () => ({ step: 0 }));
    ckpt.on('committed', ({ reason, image }) => say('committed', { reason, path: image.path }));
    await ckpt.start();
    ${RUN}
    say('ready');
    await run();
    await ckpt.finish();
  `);
  await program.hear('ready');
  program.kill('SIGUSR1');
  expect(await program.hear('committed')).toMatchObject({ reason: 'signal' });
  writeFileSync(join(lab.folder, 'end'), '');
  expect(await program.ended).toMatchObject({ code: 0, stderr: '' });
});

test('checkpoint-and-exit stays stopped until the commit, runs no atResume handler and exits with 85', async () => {
  const lab = new Laboratory();
  const source = `
    const ckpt = await open({ signals: { SIGTERM: 'checkpoint-and-exit' } });
    const s = ckpt.state('s', () => ({ step: 0 }));
    let captured = -1;
    ckpt.provide('step', { capture: () => (captured = s.step), restore(step) { say('restored', { same: step === s.step }); } });
    ckpt.atResume(() => say('resumed'));
    ckpt.on('committed', ({ reason }) => say('committed', { reason, stopped: s.step === captured }));
    process.on('exit', (code) => say('exit', { code, stopped: s.step === captured }));
    const { restarted, lostMs } = await ckpt.start();
    ${RUN}
    say('ready', { restarted });
    await run();
  `;
  const program = lab.start(source);
  await program.hear('ready');
  program.kill('SIGTERM');
  const ended = await program.ended;
  expect(ended).toMatchObject({ code: 85, signal: null });
  expect(ended.said.map(({ word }) => word)).toEqual(['ready', 'committed', 'exit']);
  expect(ended.said.slice(1)).toMatchObject([
    { reason: 'signal', stopped: true },
    { code: 85, stopped: true },
  ]);
  const again = lab.start(source);
  expect(await again.hear('ready')).toMatchObject({ restarted: true });
  expect(await again.hear('restored')).toMatchObject({ same: true });
});

test('a checkpoint-and-exit that fails lets the program go on with its atResume handlers; a second such signal exits with 1', async () => {
  const lab = new Laboratory();
  const program = lab.start(`
    const ckpt = await open({ signals: { SIGTERM: 'checkpoint-and-exit', SIGUSR2: 'checkpoint-and-exit' } });
    const s = ckpt.state('s', () => ({ step: 0 }));
    ckpt.atCheckpoint(() => { throw new Error('not now'); });
    ckpt.atResume(() => say('resumed'));
    ckpt.on('failed', ({ error, reason }) => setImmediate(() => say('failed', { code: error.code, reason, step: s.step })));
    await ckpt.start();
    ${RUN}
    say('ready');
    let told = false;
    ckpt.on('failed', () => { const at = s.step; const watch = setInterval(() => { if (s.step > at) { clearInterval(watch); say('goes on'); } }, 5); });
    await run();
  `);
  await program.hear('ready');
  program.kill('SIGTERM');
  expect(await program.hear('failed')).toMatchObject({ code: 'ERR_CKPT_HANDLER', reason: 'signal' });
  await program.hear('resumed');
  await program.hear('goes on');
  program.kill('SIGUSR2');
  expect(await program.ended).toMatchObject({ code: 1, signal: null });
});

test('a checkpoint-and-exit whose image cannot be written goes on as well, and 85 is never the code of a failure', async () => {
  const lab = new Laboratory();
  const program = lab.start(`
    const ckpt = await open({ signals: { SIGTERM: 'checkpoint-and-exit' } });
    const s = ckpt.state('s', () => ({ step: 0 }));
    ckpt.atResume(() => say('resumed'));
    await ckpt.start();
    ${RUN}
    fs.rmSync(process.env.CKPT_DIR, { recursive: true });
    ckpt.on('failed', ({ error }) => setImmediate(() => say('failed', { code: error.code })));
    say('ready');
    await run();
    say('went on');
    process.exit(0);
  `);
  await program.hear('ready');
  program.kill('SIGTERM');
  await program.hear('failed');
  await program.hear('resumed');
  writeFileSync(join(lab.folder, 'end'), '');
  await program.hear('went on');
  expect((await program.ended).code).toBe(0);
});

test('F57: a storm of signals while a checkpoint runs makes at most one more', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open({ signals: { SIGUSR1: 'checkpoint' } });
    const s = ckpt.state('s', () => ({ step: 0 }));
    let images = 0;
    let release = () => {};
    ckpt.on('committed', () => images++);
    ckpt.atCheckpoint(() => (images === 0 ? new Promise((resolve) => { release = resolve; }) : undefined));
    await ckpt.start();
    const running = ckpt.checkpoint();
    await turn();
    for (let at = 0; at < 50; at++) { process.kill(process.pid, 'SIGUSR1'); if (at % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1)); }
    await new Promise((resolve) => setTimeout(resolve, 20));
    release();
    await running;
    ${RUN}
    await run(() => images < 2);
    const end = performance.now() + 100;
    await run(() => performance.now() < end);
    say('images', { images });
    await ckpt.close();
  `);
  expect(said['images']).toMatchObject({ images: 2 });
});

test('F60: a signal and a request file that come before start() are remembered', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const opening = open({ signals: { SIGUSR1: 'checkpoint' }, requests: true });
    process.kill(process.pid, 'SIGUSR1');
    const ckpt = await opening;
    const s = ckpt.state('s', () => ({ step: 0 }));
    const reasons = [];
    ckpt.on('requested', ({ reason }) => reasons.push(reason));
    const held = setInterval(() => {}, 1_000);
    const { setTimeout: pause } = await import('node:timers/promises');
    while (!fs.existsSync(process.env.CKPT_DIR + '/requests')) await pause(5);
    fs.writeFileSync(process.env.CKPT_DIR + '/requests/checkpoint', '{"name":"early"}');
    while (!reasons.includes('request-file')) await pause(5);
    clearInterval(held);
    const before = fs.readdirSync(process.env.CKPT_DIR + '/images').length;
    const committed = new Promise((resolve) => ckpt.once('committed', resolve));
    await ckpt.start();
    await ckpt.safepoint();
    const { image } = await ckpt.safe(committed);
    say('seen', { before, reasons, names: image.names, inspector: (await import('node:inspector')).url() ?? 'none' });
    await ckpt.close();
  `);
  expect(said['seen']).toMatchObject({ before: 0, names: ['early'], inspector: 'none' });
});

test('without signals none is listened to; a late one after close() does no harm', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const none = await open({ signals: {} });
    none.state('s', () => ({}));
    await none.start();
    const listeners = process.listenerCount('SIGUSR1');
    await none.close();
    const ckpt = await open({ signals: { SIGUSR1: 'checkpoint', SIGUSR2: 'checkpoint-and-exit' } });
    ckpt.state('s', () => ({}));
    await ckpt.start();
    await ckpt.close();
    process.kill(process.pid, 'SIGUSR1');
    process.kill(process.pid, 'SIGUSR2');
    await new Promise((resolve) => setTimeout(resolve, 20));
    say('end', { listeners, inspector: (await import('node:inspector')).url() ?? 'none' });
  `);
  expect(said['end']).toMatchObject({ listeners: 0, inspector: 'none' });
});
