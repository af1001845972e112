import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

/** A loop that never lets the event loop turn, until it has seen enough or a generous limit is over. */
const LOOP = `const loop = (enough) => { const end = performance.now() + 10_000; while (!enough() && performance.now() < end) { s.step++; ckpt.safepointSync(); } };`;

test('in a synchronous loop the timer is answered at a safepointSync()', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open({ every: 30 });
    const s = ckpt.state('s', () => ({ step: 0 }));
    await ckpt.start();
    ${LOOP}
    const reasons = [];
    ckpt.on('committed', ({ reason }) => reasons.push(reason));
    loop(() => reasons.length >= 3);
    say('reasons', { reasons });
    await ckpt.close();
  `);
  expect(said['reasons']).toMatchObject({ reasons: ['timer', 'timer', 'timer'] });
});

test('in a synchronous loop a request file is answered, with its nonce', async () => {
  const lab = new Laboratory();
  const program = lab.start(`
    const ckpt = await open({ requests: true });
    const s = ckpt.state('s', () => ({ step: 0 }));
    await ckpt.start();
    ${LOOP}
    const images = [];
    ckpt.on('committed', ({ image, reason }) => images.push([reason, image.name]));
    say('ready');
    loop(() => images.length > 0);
    say('images', { images });
    await ckpt.close();
  `);
  await program.hear('ready');
  writeFileSync(join(lab.store, 'requests/checkpoint'), JSON.stringify({ name: 'asked', nonce: 'n1' }));
  expect(await program.hear('images')).toMatchObject({ images: [['request-file', 'asked']] });
  expect(await program.ended).toMatchObject({ code: 0 });
  expect(JSON.parse(readFileSync(join(lab.store, 'requests/n1.result'), 'utf8'))).toMatchObject({
    ok: true,
    result: { image: { name: 'asked' } },
  });
});

test('checkpoint-and-exit reaches a synchronous loop, which ends with 85 and its answer on disk', async () => {
  const lab = new Laboratory();
  const program = lab.start(`
    const ckpt = await open({ requests: true });
    const s = ckpt.state('s', () => ({ step: 0 }));
    ckpt.atResume(() => say('resumed'));
    await ckpt.start();
    ${LOOP}
    say('ready');
    loop(() => false);
    say('went on');
  `);
  await program.hear('ready');
  writeFileSync(join(lab.store, 'requests/checkpoint-and-exit'), JSON.stringify({ nonce: 'n2' }));
  const { code, said } = await program.ended;
  expect(code).toBe(85);
  expect(said.map(({ word }) => word)).toEqual(['ready']);
  expect(JSON.parse(readFileSync(join(lab.store, 'requests/n2.result'), 'utf8'))).toMatchObject({ ok: true });
  expect(lab.images()).toHaveLength(1);
});

test('a checkpoint that the loop asks for is taken at its next safepointSync(); the result arrives at the next turn', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ step: 0 }));
    await ckpt.start();
    const results = [];
    const committed = [];
    ckpt.on('committed', ({ image }) => committed.push([image.name, s.step]));
    for (s.step = 0; s.step < 30; s.step++) {
      if (s.step % 10 === 0) ckpt.checkpoint('at-' + s.step).then(({ image }) => results.push(image.name));
      ckpt.safepointSync();
    }
    const during = [...results];
    await turn();
    say('results', { during, results, committed });
    await ckpt.close();
  `);
  const steps = ['at-0', 'at-10', 'at-20'];
  expect(said['results']).toMatchObject({
    during: [],
    results: steps,
    committed: [
      ['at-0', 0],
      ['at-10', 10],
      ['at-20', 20],
    ],
  });
});

test('handlers of a synchronous loop run in the same order; one that returns a promise is named, and the loop goes on', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open({ every: 20 });
    const s = ckpt.state('s', () => ({ step: 0 }));
    const order = [];
    let asynchronous = false;
    ckpt.atCheckpoint(() => { order.push('checkpoint-a'); });
    ckpt.atCheckpoint(() => { order.push('checkpoint-b'); if (asynchronous) return Promise.reject(new Error('nobody waits for this')); });
    ckpt.atResume(() => { order.push('resume-a'); });
    ckpt.atResume(() => { order.push('resume-b'); });
    await ckpt.start();
    ${LOOP}
    let committed = 0;
    const failures = [];
    ckpt.on('committed', () => committed++);
    ckpt.on('failed', ({ error }) => failures.push(error));
    loop(() => committed === 1);
    const first = order.splice(0);
    asynchronous = true;
    loop(() => failures.length > 0);
    const second = order.splice(0);
    asynchronous = false;
    loop(() => committed === 2);
    await turn();
    say('seen', { first, second, codes: failures.map(({ code }) => code), handler: failures[0]?.context.handler, phase: failures[0]?.phase });
    await ckpt.close();
  `);
  const order = ['checkpoint-b', 'checkpoint-a', 'resume-a', 'resume-b'];
  expect(said['seen']).toMatchObject({
    first: order,
    second: order,
    codes: ['ERR_CKPT_ASYNC_HANDLER'],
    handler: expect.stringMatching(/program-1\.mjs:\d+:\d+$/),
    phase: 'handlers',
  });
});

test('F22: calls inside the handlers of a synchronous checkpoint are refused', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open({ every: 20 });
    const s = ckpt.state('s', () => ({ step: 0 }));
    const codes = [];
    const sync = (work) => { try { work(); return 'ok'; } catch (error) { return error.code; } };
    const handler = () => { codes.push(sync(() => ckpt.safepointSync())); void codeOf(() => ckpt.checkpoint()).then((code) => codes.push(code)); void codeOf(() => ckpt.safepoint()).then((code) => codes.push(code)); };
    ckpt.atCheckpoint(handler);
    ckpt.atResume(handler);
    await ckpt.start();
    ${LOOP}
    let committed = 0;
    ckpt.on('committed', () => committed++);
    loop(() => committed > 0);
    await ckpt.close();
    say('codes', { codes });
  `);
  const codes = said['codes']?.['codes'] as string[];
  expect(codes.length).toBeGreaterThanOrEqual(6);
  expect(new Set(codes)).toEqual(new Set(['ERR_CKPT_REENTRANT']));
});

test('what a synchronous loop captured is what a restart goes on with', async () => {
  const lab = new Laboratory();
  const source = `
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ step: 0, sum: 0, field: new Float64Array(2000) }));
    await ckpt.start();
    say('start', { step: s.step });
    while (s.step < 300_000) {
      if (s.step % 100_000 === 99_999) void ckpt.checkpoint();
      s.field[s.step % 2000] += s.step;
      s.sum += s.field[(s.step * 7) % 2000];
      s.step++;
      ckpt.safepointSync();
      if (s.step === 250_000 && process.env.KILL) process.kill(process.pid, 'SIGKILL');
    }
    say('end', { sum: s.sum });
    await ckpt.close();
  `;
  const undisturbed = await new Laboratory().run(source);
  expect((await lab.start(source, { env: { KILL: '1' } }).ended).signal).toBe('SIGKILL');
  const said = await lab.run(source);
  expect(said['start']).toMatchObject({ step: 200_000 });
  expect(said['end']).toEqual(undisturbed['end']);
});

test('a helper thread that ends in the middle of a synchronous checkpoint fails it, and its replacement takes the next one', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    // Ends the thread, not the program.
    fs.writeFileSync('./dying-clock.mjs', \`
      import { isMainThread } from 'node:worker_threads';
      import { existsSync, writeFileSync } from 'node:fs';
      if (!isMainThread && !existsSync('./died')) setTimeout(() => { writeFileSync('./died', ''); process.exit(9); }, 2_000);
    \`);
    const { pathToFileURL } = await import('node:url');
    const ckpt = await open({ every: 20, ports: pathToFileURL('./dying-clock.mjs').href });
    const s = ckpt.state('s', () => ({ step: 0 }));
    await ckpt.start();
    ${LOOP}
    let failed = [];
    let committed = 0;
    ckpt.on('failed', ({ error }) => failed.push(error.code));
    ckpt.on('committed', () => { if (fs.existsSync('./died')) committed++; });
    loop(() => committed >= 3);
    say('after', { committed, failed: [...new Set(failed)] });
    await ckpt.close();
  `);
  expect(said['after']).toMatchObject({ committed: 3 });
  expect(said['after']).toMatchObject({ failed: ['ERR_CKPT_THREAD'] });
});
