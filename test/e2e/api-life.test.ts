import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

test('a program that ends without finish() or close() exits by itself, with everything switched on', async () => {
  const lab = new Laboratory();
  const { code, stderr, said } = await lab.start(`
    const ckpt = await open({ every: '1h', signals: { SIGUSR1: 'checkpoint' }, requests: true });
    ckpt.state('s', () => ({}));
    await ckpt.start();
    await ckpt.checkpoint();
    say('end');
  `).ended;
  expect({ code, stderr, said: said.length }).toEqual({ code: 0, stderr: '', said: 1 });
});

test('a checkpointer that was only opened, or waits for somebody to come to a safepoint, holds nothing', async () => {
  const lab = new Laboratory();
  expect((await lab.start(`await open({ every: 10, requests: true });`).ended).code).toBe(0);
  const waiting = await lab.start(`
    const ckpt = await open({ signals: { SIGUSR1: 'checkpoint' }, quiesceTimeout: 10 });
    ckpt.state('s', () => ({}));
    ckpt.on('waiting', () => say('waiting'));
    await ckpt.start();
    process.kill(process.pid, 'SIGUSR1');
    setTimeout(() => {}, 60);
  `).ended;
  expect(waiting.code).toBe(0);
  expect(waiting.said.length).toBeGreaterThan(0);
  expect(lab.images()).toEqual([]);
});

test('an awaited safe() keeps the program alive although nothing else does', async () => {
  const lab = new Laboratory();
  const program = lab.start(`
    const ckpt = await open({ signals: { SIGTERM: 'checkpoint-and-exit' } });
    ckpt.state('s', () => ({}));
    await ckpt.start();
    say('ready');
    await ckpt.safe(new Promise(() => {}));
  `);
  await program.hear('ready');
  await new Promise((resolve) => setTimeout(resolve, 200));
  program.kill('SIGTERM');
  expect(await program.ended).toMatchObject({ code: 85, signal: null });
});

test('a commit under way is completed before the program ends by itself', async () => {
  const lab = new Laboratory();
  const ended = await lab.start(`
    const ckpt = await open({ signals: { SIGUSR1: 'checkpoint' } });
    ckpt.state('s', () => ({ field: new Float64Array(8_000_000).fill(1) }));
    ckpt.on('captured', () => say('captured'));
    ckpt.on('committed', () => say('committed'));
    await ckpt.start();
    const captured = new Promise((resolve) => ckpt.once('captured', resolve));
    process.kill(process.pid, 'SIGUSR1');
    while (ckpt.safepoint() === undefined || (await Promise.race([captured.then(() => 'yes'), turn()])) !== 'yes');
    say('end');
  `).ended;
  expect(ended.code).toBe(0);
  expect(ended.said.map(({ word }) => word)).toEqual(['captured', 'end', 'committed']);
  expect(lab.images()).toHaveLength(1);
  expect(lab.leftovers()).toEqual([]);
});

test('F12: process.exit() in the middle of a checkpoint leaves the image before', async () => {
  const lab = new Laboratory();
  const source = `
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ n: 0, field: new Float64Array(8_000_000).fill(1) }));
    const { image } = await ckpt.start();
    say('start', { n: s.n, generation: image?.generation });
    s.n = 1;
    const { image: first } = await ckpt.checkpoint();
    say('first', { generation: first.generation });
    s.n = 2;
    s.field.fill(2);
    ckpt.on('captured', () => process.exit(3));
    await ckpt.checkpoint();
  `;
  expect((await lab.start(source).ended).code).toBe(3);
  const again = await lab.start(source).ended;
  expect(again.said.find(({ word }) => word === 'start')).toMatchObject({ n: 1, generation: 1 });
  expect(lab.leftovers().length).toBeLessThanOrEqual(1);
});

test('F78: finish(), start again and finish() again: no image is written, no file of the store is touched, exit 0', async () => {
  const lab = new Laboratory();
  const source = `
    const ckpt = await open({ requests: true, signals: { SIGUSR1: 'checkpoint' }, every: 20 });
    const s = ckpt.state('s', () => ({ step: 0 }));
    const events = [];
    for (const event of ['requested', 'committed', 'failed', 'restarted']) ckpt.on(event, () => events.push(event));
    const { restarted, finished, image, lostMs } = await ckpt.start();
    say('start', { restarted, finished, marked: image?.finished, step: s.step, lostMs });
    while (s.step < 100) { s.step++; await ckpt.safepoint(); }
    await ckpt.safepoint();
    ckpt.safepointSync();
    const passed = await ckpt.safe(5);
    const code = finished ? (await ckpt.checkpoint('again')).image.id === image.id : 'none';
    const end = performance.now() + 60;
    while (finished && performance.now() < end) { await ckpt.safepoint(); await turn(); }
    const result = await ckpt.finish();
    say('end', { code, passed, finished: result?.image.finished, reason: result?.reason, events });
  `;
  const first = await lab.run(source);
  expect(first['start']).toMatchObject({ restarted: false, finished: false, step: 0, lostMs: 0 });
  expect(first['end']).toMatchObject({ finished: true, reason: 'finish' });
  const images = (): readonly unknown[] =>
    lab.images().map((name) => {
      const path = join(lab.store, 'images', name);
      return [name, statSync(path).mtimeMs, readFileSync(path).byteLength];
    });
  const before = images();
  for (let at = 0; at < 2; at++) {
    const again = await lab.run(source);
    expect(again['start']).toMatchObject({ restarted: true, finished: true, marked: true, step: 100 });
    expect(again['end']).toMatchObject({ code: true, passed: 5, events: ['restarted'] });
    expect(again['end']?.['finished']).toBeUndefined();
    expect(images()).toEqual(before);
  }
  expect((await lab.run(source, { env: { CKPT_RESTART: 'never' } }))['start']).toMatchObject({
    restarted: false,
    finished: false,
    step: 0,
  });
});

test('close() writes no image, waits for a commit under way, refuses what has not begun and may be called twice', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({ field: new Float64Array(4_000_000).fill(1) }));
    await ckpt.start();
    const running = ckpt.checkpoint();
    await ckpt.safepoint();
    const queued = codeOf(() => ckpt.checkpoint('late'));
    let committed = false;
    ckpt.on('committed', () => { committed = true; });
    const closing = ckpt.close();
    const again = ckpt.close();
    await closing;
    await again;
    const atOnce = committed;
    say('end', {
      atOnce, running: await codeOf(() => running), queued: await queued,
      after: [await codeOf(() => ckpt.safepoint()), await codeOf(() => ckpt.safepointSync()), await codeOf(() => ckpt.safe(1)), await codeOf(() => ckpt.checkpoint()), await codeOf(() => ckpt.finish()), await codeOf(() => ckpt.close())],
    });
  `);
  const closed = 'ERR_CKPT_CLOSED';
  expect(said['end']).toMatchObject({ atOnce: true, running: 'ok', after: [closed, closed, closed, closed, closed, 'ok'] });
  expect(['ok', closed]).toContain(said['end']?.['queued']);
  expect(lab.images().length).toBe(said['end']?.['queued'] === 'ok' ? 2 : 1);
});

test('close() during start() waits for what it does, and start() says that the checkpointer was closed', async () => {
  const lab = new Laboratory();
  const { code, said } = await lab.start(`
    const ckpt = await open({ every: 10 });
    ckpt.state('s', () => ({}));
    ckpt.on('failed', ({ error }) => say('failed', { code: error.code }));
    const started = codeOf(() => ckpt.start());
    await ckpt.close();
    say('end', { started: await started, after: await codeOf(() => ckpt.checkpoint()) });
    const again = await open();
    again.state('s', () => ({}));
    say('again', { code: await codeOf(() => again.start()) });
  `).ended;
  const closed = 'ERR_CKPT_CLOSED';
  expect({ code, said }).toMatchObject({
    code: 0,
    said: [
      { word: 'end', started: closed, after: closed },
      { word: 'again', code: 'ok' },
    ],
  });
});

test('the end of an `await using` block closes the checkpointer, and the store can be opened again in the same process', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    await ckpt.start();
    await ckpt[Symbol.asyncDispose]();
    const again = await open({ lockWait: 0 });
    again.state('s', () => ({}));
    const { incarnation, restarted } = await again.start();
    say('again', { code: await codeOf(() => ckpt.safepoint()), incarnation, restarted });
    await again.finish();
  `);
  expect(said['again']).toMatchObject({ code: 'ERR_CKPT_CLOSED', incarnation: 2, restarted: false });
});

test('calls at the wrong time are refused by code', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    const all = async () => [await codeOf(() => ckpt.safepoint()), await codeOf(() => ckpt.safepointSync()), await codeOf(() => ckpt.safe(1)), await codeOf(() => ckpt.checkpoint()), await codeOf(() => ckpt.finish())];
    const before = await all();
    await ckpt.start();
    const twice = await codeOf(() => ckpt.start());
    await ckpt.finish();
    say('codes', { before, twice, after: await all(), start: await codeOf(() => ckpt.start()), close: await codeOf(() => ckpt.close()) });
  `);
  const phase = Array(5).fill('ERR_CKPT_PHASE');
  expect(said['codes']).toMatchObject({ before: phase, twice: 'ERR_CKPT_PHASE', after: phase, start: 'ERR_CKPT_PHASE', close: 'ok' });
});

test('a finish() that fails can be tried again', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    let fail = true;
    ckpt.atCheckpoint(() => { if (fail) throw new Error('no'); });
    await ckpt.start();
    const first = await codeOf(() => ckpt.finish());
    const between = await codeOf(() => ckpt.safepoint());
    fail = false;
    say('codes', { first, between, second: await codeOf(() => ckpt.finish()) });
  `);
  expect(said['codes']).toMatchObject({ first: 'ERR_CKPT_HANDLER', between: 'ok', second: 'ok' });
  expect(lab.images()).toHaveLength(1);
});

test('finish() writes one final image, also for those who asked at the same time, and lets go of the store at once', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    await ckpt.start();
    const [asked, final] = await Promise.all([ckpt.checkpoint('end'), ckpt.finish()]);
    const again = await open({ lockWait: 0 });
    again.state('s', () => ({}));
    say('end', { same: asked.image.id === final.image.id, names: final.image.names, finished: final.image.finished, started: (await again.start()).finished });
    await again.close();
  `);
  expect(said['end']).toMatchObject({ same: true, names: ['end'], finished: true, started: true });
  expect(lab.images()).toHaveLength(1);
});

test('a program without a file of its own works, and its store is private', async () => {
  const lab = new Laboratory();
  const { code, stderr } = await lab.start(
    `const ckpt = await openCheckpointer(); ckpt.state('s', () => ({})); await ckpt.start(); await ckpt.checkpoint(); await ckpt.close();`,
    { evaluate: true },
  ).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(statSync(lab.store).mode & 0o777).toBe(0o700);
  for (const name of lab.images()) expect(statSync(join(lab.store, 'images', name)).mode & 0o777).toBe(0o600);
  expect(readdirSync(lab.folder)).toContain('store');
});

test('the package can be required as well as imported', async () => {
  const lab = new Laboratory();
  const said = await lab.run(
    `
    const { createRequire } = await import('node:module');
    const require = createRequire(import.meta.url);
    say('required', { same: require('@ckpt/sdk').openCheckpointer === openCheckpointer, images: typeof require('@ckpt/sdk/images').listImages });
  `,
    { flags: ['--no-warnings'] },
  );
  expect(said['required']).toMatchObject({ same: true, images: 'function' });
});

test('F15: close() lets go of a store that was deleted, with a warning and without an error of its own', async () => {
  const lab = new Laboratory();
  const { code, said, stderr } = await lab.start(`
    const { rmSync } = await import('node:fs');
    const ckpt = await open({ logger: console });
    ckpt.state('s', () => ({}));
    await ckpt.start();
    rmSync(process.env.CKPT_DIR, { recursive: true });
    await ckpt.close();
    say('closed');
  `).ended;
  expect({ code, said: said.length }).toEqual({ code: 0, said: 1 });
  expect(stderr).toContain('letting go of the store');
});
