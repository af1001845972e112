import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

/** Blocks the event loop, as a long step of a program does. */
const BUSY = 'const busy = (ms) => { const end = performance.now() + ms; while (performance.now() < end); };';

test('safepoint() returns undefined while nothing is due and the event loop has just turned', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    ${BUSY}
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    await ckpt.start();
    let promises = 0;
    let calls = 0;
    for (let round = 0; round < 30; round++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      let turn;
      for (let at = 0; at < 100; at++) { calls++; turn = ckpt.safepoint() ?? turn; }
      if (turn !== undefined) promises++;
    }
    let turned = false;
    setImmediate(() => { turned = true; });
    let due;
    for (let at = 0; at < 3 && due === undefined; at++) { busy(30); due = ckpt.safepoint(); }
    await due;
    say('seen', { calls, promises, promise: due instanceof Promise, turned });
    await ckpt.close();
  `);
  expect(said['seen']).toMatchObject({ calls: 3000, promise: true, turned: true });
  // A round that is held up for 5 ms between two lines may see a promise now and then.
  expect(Number(said['seen']?.['promises'])).toBeLessThan(10);
});

test('in a loop that only awaits safepoints timers and signals arrive', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open({ signals: { SIGUSR1: 'checkpoint' } });
    const s = ckpt.state('s', () => ({ step: 0 }));
    await ckpt.start();
    let image;
    ckpt.on('committed', (result) => { image = result; });
    let ticks = 0;
    const ticking = setInterval(() => { ticks++; }, 10);
    setTimeout(() => process.kill(process.pid, 'SIGUSR1'), 50);
    const end = performance.now() + 5_000;
    const begin = performance.now();
    while ((image === undefined || ticks < 10) && performance.now() < end) { s.step++; await ckpt.safepoint(); }
    clearInterval(ticking);
    say('seen', { ticks, reason: image?.reason, per: (performance.now() - begin) / ticks });
    await ckpt.close();
  `);
  expect(said['seen']).toMatchObject({ reason: 'signal' });
  expect(Number(said['seen']?.['ticks'])).toBeGreaterThanOrEqual(10);
});

test('a loop whose steps suddenly become slow lets timers in at every step', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    ${BUSY}
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    await ckpt.start();
    for (let step = 0; step < 200_000; step++) await ckpt.safepoint();
    let turns = 0;
    let counting = true;
    const count = () => { turns++; if (counting) setTimeout(count, 0); };
    setTimeout(count, 0);
    for (let step = 0; step < 20; step++) { busy(15); await ckpt.safepoint(); }
    counting = false;
    say('seen', { turns });
    await ckpt.close();
  `);
  expect(Number(said['seen']?.['turns'])).toBeGreaterThanOrEqual(10);
});

test('safepoint() resolves after the capture and before the commit', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ field: new Float64Array(4_000_000).fill(1) }));
    await ckpt.start();
    const order = [];
    for (const event of ['requested', 'quiesced', 'captured', 'committed']) ckpt.on(event, () => order.push(event));
    const result = ckpt.checkpoint();
    await ckpt.safepoint();
    order.push('safepoint');
    await result;
    order.push('result');
    say('order', { order });
    await ckpt.close();
  `);
  expect(said['order']).toMatchObject({ order: ['requested', 'quiesced', 'captured', 'safepoint', 'committed', 'result'] });
});

test('two safepoints of one task at once are an error that names both places', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    await ckpt.start();
    let settle;
    const lasting = ckpt.safe(new Promise((resolve) => { settle = resolve; }));
    const failure = async (work) => { try { await work(); return 'ok'; } catch (error) { return [error.code, error.message.match(/program-1\\.mjs:\\d+/g)]; } };
    const failures = [await failure(() => ckpt.safepoint()), await failure(() => ckpt.safe(1)), await failure(() => ckpt.safepointSync())];
    const beside = await codeOf(() => ckpt.checkpoint());
    settle();
    await lasting;
    say('failures', { failures, beside, after: await codeOf(() => ckpt.safepoint()), one: await codeOf(() => Promise.all([ckpt.safepoint(), ckpt.safepoint()])) });
    await ckpt.close();
  `);
  const failures = said['failures']?.['failures'] as [string, string[]][];
  for (const [code, places] of failures.slice(0, 2)) {
    expect(code).toBe('ERR_CKPT_CONCURRENT_SAFEPOINT');
    expect(new Set(places).size).toBe(2);
  }
  expect(said['failures']).toMatchObject({ beside: 'ok', after: 'ok', one: 'ok' });
});

test('two safepoints at once while a checkpoint is due: the second one is the error, and the checkpoint is taken', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    await ckpt.start();
    const asked = ckpt.checkpoint();
    const first = codeOf(() => ckpt.safepoint());
    const second = codeOf(() => ckpt.safepoint());
    say('codes', { first: await first, second: await second, asked: await codeOf(() => asked), after: await codeOf(() => ckpt.safepoint()) });
    await ckpt.close();
  `);
  expect(said['codes']).toMatchObject({ first: 'ok', second: 'ERR_CKPT_CONCURRENT_SAFEPOINT', asked: 'ok', after: 'ok' });
});

test('a checkpoint that is asked for and not awaited is taken at the next safepoint', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ step: 0 }));
    ckpt.atCheckpoint(() => turn());
    await ckpt.start();
    const results = [];
    for (; s.step < 20; s.step++) {
      const at = s.step;
      if (at % 5 === 0) void ckpt.checkpoint('at-' + at).then(({ image }) => results.push(image.names.includes('at-' + at)));
      await ckpt.safepoint();
    }
    await ckpt.finish();
    say('results', { results });
  `);
  expect(said['results']).toMatchObject({ results: [true, true, true, true] });
});

test('F76: checkpoints go on while safe() waits, and the state is captured as it was on entry', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open({ requests: true });
    const s = ckpt.state('s', () => ({ taken: 0 }));
    await ckpt.start();
    const images = [];
    ckpt.on('committed', ({ image }) => images.push(image.id));
    let give;
    const waiting = ckpt.safe(new Promise((resolve) => { give = resolve; }));
    for (let at = 0; at < 3; at++) {
      fs.writeFileSync(process.env.CKPT_DIR + '/requests/checkpoint', '{}');
      await new Promise((resolve) => ckpt.once('committed', resolve));
    }
    give('value');
    s.taken += (await waiting) === 'value' ? 1 : 100;
    const passed = await ckpt.safe(5);
    const rejected = await codeOf(() => ckpt.safe(Promise.reject(new RangeError('mine'))));
    say('end', { images: new Set(images).size, taken: s.taken, passed, rejected });
    process.exit(0);
  `);
  expect(said['end']).toMatchObject({ images: 3, taken: 1, passed: 5, rejected: 'RangeError' });
});

test('F67: what safe() awaits is done again after a restart when it is a foreign promise', async () => {
  const lab = new Laboratory();
  const source = `
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ taken: [] }));
    await ckpt.start();
    say('taken before', { taken: s.taken });
    const receive = async () => { say('receiving'); await turn(); if (s.taken.length === 1) await ckpt.checkpoint(); return s.taken.length; };
    while (s.taken.length < 3) {
      s.taken.push(await ckpt.safe(receive()));
      if (s.taken.length === 2 && process.env.KILL) process.kill(process.pid, 'SIGKILL');
    }
    say('end', { taken: s.taken });
    await ckpt.close();
  `;
  const { signal } = await lab.start(source, { env: { KILL: '1' } }).ended;
  expect(signal).toBe('SIGKILL');
  const said = await lab.run(source);
  // The image was captured while the second element was awaited: it is received once more, and there is no third of it.
  expect(said['taken before']).toMatchObject({ taken: [0] });
  expect(said['end']).toMatchObject({ taken: [0, 1, 2] });
});

test('a safe() whose promise settles during a capture goes on only after it', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    const order = [];
    ckpt.provide('order', { capture: () => { order.push('capture'); return 1; }, restore() {} });
    let give;
    ckpt.atCheckpoint(async () => { give(); for (let at = 0; at < 5; at++) await turn(); });
    await ckpt.start();
    const waiting = ckpt.safe(new Promise((resolve) => { give = resolve; })).then(() => order.push('goes on'));
    await ckpt.checkpoint();
    await waiting;
    say('order', { order });
    await ckpt.close();
  `);
  expect(said['order']).toMatchObject({ order: ['capture', 'goes on'] });
});

test('a checkpoint waits for the program as long as it takes, and tells for whom', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open({ quiesceTimeout: 20, signals: { SIGUSR2: 'checkpoint' } });
    ckpt.state('s', () => ({}));
    await ckpt.start();
    await ckpt.safepoint();
    const waits = [];
    const held = setInterval(() => {}, 1_000);
    process.kill(process.pid, 'SIGUSR2');
    await new Promise((resolve) => ckpt.on('waiting', (facts) => { waits.push(facts); if (waits.length === 3) resolve(); }));
    const committed = new Promise((resolve) => ckpt.once('committed', resolve));
    await ckpt.safepoint();
    await committed;
    clearInterval(held);
    say('waits', { waits });
    await ckpt.close();
  `);
  const waits = said['waits']?.['waits'] as { reason: string; sinceMs: number; missing: { task: string; lastSafepoint: string }[] }[];
  expect(waits[0]).toMatchObject({ reason: 'signal', missing: [{ task: 'main' }] });
  expect(waits[2]?.sinceMs).toBeGreaterThan(waits[0]?.sinceMs ?? Number.POSITIVE_INFINITY);
});

test('a safe() that is refused is all that the caller hears of, also when what it was given fails later', async () => {
  const lab = new Laboratory();
  const { code, stderr, said } = await lab.start(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    const fails = async () => { await turn(); throw new Error('the work itself'); };
    const early = await codeOf(() => ckpt.safe(fails()));
    await turn();
    await ckpt.start();
    await ckpt.close();
    const late = await codeOf(() => ckpt.safe(fails()));
    await turn();
    await turn();
    say('codes', { early, late });
  `).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(said[0]).toMatchObject({ early: 'ERR_CKPT_PHASE', late: 'ERR_CKPT_CLOSED' });
});
