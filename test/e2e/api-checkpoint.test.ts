import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

test('a result tells the image, the reason, the time of every step and the bytes; it comes after the commit', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ field: new Float64Array(4096).fill(1) }));
    await ckpt.start();
    const first = await ckpt.checkpoint();
    const there = fs.existsSync(first.image.path);
    const second = await ckpt.checkpoint('two');
    say('results', { first, second, there, pid: process.pid });
    await ckpt.close();
  `);
  const amount = expect.any(Number);
  const shape = {
    reason: 'call',
    times: { quiesceMs: amount, freezeMs: amount, captureMs: amount, persistMs: amount, totalMs: amount },
    bytes: { state: amount, dirty: amount, uncopied: 0, stored: amount },
  };
  const { first, second, there } = said['results'] as unknown as Record<
    string,
    { image: Record<string, unknown>; bytes: Record<string, number> }
  >;
  expect(there).toBe(true);
  expect(first).toMatchObject({
    ...shape,
    image: { id: expect.stringMatching(/^[0-9a-f]{32}$/), names: [], generation: 1, epoch: 1, finished: false },
  });
  expect(first?.image['parent']).toBeUndefined();
  expect(second).toMatchObject({ ...shape, image: { name: 'two', names: ['two'], generation: 2, parent: first?.image['id'] } });
  expect(Math.abs(Number(second?.image['createdAt']) - Date.now())).toBeLessThan(60_000);
  expect(first?.bytes['state']).toBeGreaterThanOrEqual(32_768);
  expect(first?.bytes['stored']).toBeGreaterThanOrEqual(32_768);
});

test('requests that come while a checkpoint runs become one more image, which carries all their names', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    const more = [];
    ckpt.atCheckpoint(async () => {
      if (more.length > 0) return;
      // Outside of the handler, though while it runs.
      await new Promise((resolve) => outside.once('ask', () => {
        for (const name of ['a', 'b', undefined, undefined, 'c']) more.push(ckpt.checkpoint(name));
        resolve();
      }));
    });
    const { EventEmitter } = await import('node:events');
    const outside = new EventEmitter();
    await ckpt.start();
    const running = ckpt.checkpoint('running');
    await turn();
    await new Promise((resolve) => { setImmediate(() => { outside.emit('ask'); resolve(); }); });
    const first = await running;
    const rest = await Promise.all(more);
    say('images', { first: first.image.names, rest: rest.map(({ image }) => image.id === rest[0].image.id), names: rest[0].image.names, generation: rest[0].image.generation });
    await ckpt.close();
  `);
  expect(said['images']).toMatchObject({ first: ['running'], rest: [true, true, true, true, true], names: ['a', 'b', 'c'], generation: 2 });
  expect(lab.images()).toHaveLength(2);
});

test('many calls of one turn share one image', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    await ckpt.start();
    const results = await Promise.all([ckpt.checkpoint('x'), ...Array.from({ length: 50 }, () => ckpt.checkpoint()), ckpt.checkpoint('y')]);
    say('images', { ids: new Set(results.map(({ image }) => image.id)).size, names: results[0].image.names });
    await ckpt.close();
  `);
  expect(said['images']).toMatchObject({ ids: 1, names: ['x', 'y'] });
});

test('a name that cannot be one is a TypeError, and nothing is asked for', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    let requested = 0;
    ckpt.on('requested', () => requested++);
    await ckpt.start();
    const bad = ['', 'a/b', '..', '.a', '-a', 'a b', 'x'.repeat(65), 'latest', 'never', 'auto', 'must', '0'.repeat(32), 1, null, {}];
    const codes = [];
    for (const name of bad) codes.push(await codeOf(() => ckpt.checkpoint(name)));
    const options = [null, 1, { signal: {} }, { replace: 'yes' }, { replacing: true }];
    for (const one of options) codes.push(await codeOf(() => ckpt.checkpoint('good', one)));
    say('codes', { codes: [...new Set(codes)], requested, good: [await codeOf(() => ckpt.checkpoint('x'.repeat(64))), await codeOf(() => ckpt.checkpoint('0_A.b-c'))] });
    await ckpt.close();
  `);
  expect(said['codes']).toMatchObject({ codes: ['TypeError'], requested: 0, good: ['ok', 'ok'] });
});

test('a name is given once in an incarnation, unless it may be replaced, and is free again after a failure', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    let failing = false;
    ckpt.atCheckpoint(() => { if (failing) throw new Error('no'); });
    await ckpt.start();
    const codes = [await codeOf(() => ckpt.checkpoint('x')), await codeOf(() => ckpt.checkpoint('x'))];
    const both = await Promise.allSettled([ckpt.checkpoint('y'), ckpt.checkpoint('y')]);
    codes.push(...both.map((one) => one.reason?.code ?? 'ok'));
    failing = true;
    codes.push(await codeOf(() => ckpt.checkpoint('z')), await codeOf(() => ckpt.checkpoint('x', { replace: true })));
    failing = false;
    codes.push(await codeOf(() => ckpt.checkpoint('z')), await codeOf(() => ckpt.checkpoint('x')));
    const moved = await ckpt.checkpoint('x', { replace: true });
    say('codes', { codes, names: moved.image.names });
    await ckpt.close();
  `);
  const taken = 'ERR_CKPT_NAME_TAKEN';
  expect(said['codes']).toMatchObject({
    codes: ['ok', taken, 'ok', taken, 'ERR_CKPT_HANDLER', 'ERR_CKPT_HANDLER', 'ok', taken],
    names: ['x'],
  });
  const restarted = await lab.run(
    `const ckpt = await open(); ckpt.state('s', () => ({})); const { image } = await ckpt.start(); say('image', { generation: image.generation, name: image.name }); await ckpt.close();`,
    { env: { CKPT_RESTART: 'x' } },
  );
  expect(restarted['image']).toMatchObject({ name: 'x', generation: 4 });
});

test('F70: a checkpoint named in the program works again after a restart from it, and the name moves', async () => {
  const lab = new Laboratory();
  const source = `
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ year: 0 }));
    const { restarted, image } = await ckpt.start();
    say('start', { restarted, year: s.year, from: image?.generation });
    for (;;) {
      if (s.year === 3) say('named', { code: await codeOf(async () => say('moved', (await ckpt.checkpoint('y3')).image)), year: s.year });
      if (s.year === 5) process.exit(0);
      s.year++;
      await ckpt.safepoint();
    }
  `;
  const first = await lab.run(source);
  const again = await lab.run(source, { env: { CKPT_RESTART: 'y3' } });
  expect(again['start']).toMatchObject({ restarted: true, year: 3, from: first['moved']?.['generation'] });
  expect(again['named']).toMatchObject({ code: 'ok', year: 3 });
  const third = await lab.run(source, { env: { CKPT_RESTART: 'y3' } });
  expect(third['start']).toMatchObject({ restarted: true, from: again['moved']?.['generation'] });
});

test('an AbortSignal takes a request back before its checkpoint begins, and frees its name', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ whole: true }));
    const seen = [];
    let release;
    ckpt.atCheckpoint(() => new Promise((resolve) => { release = resolve; }));
    ckpt.provide('seen', { capture: () => { seen.push(s.whole); return 1; }, restore() {} });
    await ckpt.start();
    const aborted = AbortSignal.abort(new Error('changed my mind'));
    const before = await ckpt.checkpoint('n', { signal: aborted }).catch((error) => [error.code, error.cause.message]);

    // Queued behind a running one: withdrawn.
    const running = ckpt.checkpoint();
    await turn();
    const queued = new AbortController();
    const waiting = ckpt.checkpoint('n', { signal: queued.signal }).catch((error) => error.code);
    queued.abort();
    const withdrawn = await Promise.race([waiting, turn().then(turn).then(() => 'still waiting')]);
    release();
    const withdrawnInTheEnd = await waiting;
    await running;

    // Under way: it runs on, and the caller stays until the capture.
    const late = new AbortController();
    const call = ckpt.checkpoint('n', { signal: late.signal }).catch((error) => error.code);
    await turn();
    late.abort();
    let over = false;
    void call.then(() => { over = true; s.whole = false; });
    await turn();
    const stayed = !over;
    release();
    const code = await call;
    await new Promise((resolve) => ckpt.once('committed', resolve));
    say('codes', { before, withdrawn, withdrawnInTheEnd, stayed, code, seen, taken: await codeOf(() => ckpt.checkpoint('n')) });
    process.exit(0);
  `);
  const aborted = 'ERR_CKPT_ABORTED';
  expect(said['codes']).toMatchObject({
    before: [aborted, 'changed my mind'],
    withdrawn: 'still waiting',
    withdrawnInTheEnd: aborted,
    stayed: true,
    code: aborted,
    seen: [true, true],
    taken: 'ERR_CKPT_NAME_TAKEN',
  });
  expect(lab.images()).toHaveLength(2);
});

test('F20: state that changes while the background writes is in the image as it was captured', async () => {
  const lab = new Laboratory();
  await lab.run(`
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ step: 1, list: ['one'], field: new Float64Array(4_000_000).fill(1), small: new Uint8Array(8).fill(1) }));
    const c = ckpt.collection('c');
    const heap = new WebAssembly.Memory({ initial: 32 });
    ckpt.wasm('heap', heap);
    await ckpt.start();
    new Uint8Array(heap.buffer).fill(1);
    c.set('kept', { n: 1, field: new Float64Array(100_000).fill(1) });
    const result = ckpt.checkpoint('cut');
    let captured = false;
    ckpt.once('captured', () => { captured = true; });
    let committed = false;
    void result.then(() => { committed = true; });
    while (!captured) await turn();
    for (let round = 2; !committed; round++) {
      s.step = round;
      s.list.push('more');
      s.field.fill(round);
      s.small.fill(round);
      c.get('kept').n = round;
      c.get('kept').field.fill(round);
      c.set(round, { n: round });
      new Uint8Array(heap.buffer).fill(round);
      if (s.field[3_999_999] !== round || s.small[7] !== (round & 255)) throw new Error('the program lost its memory');
      await turn();
    }
    process.exit(0);
  `);
  const said = await lab.run(`
    const ckpt = await open();
    const s = ckpt.state('s', () => { throw new Error('there is an image'); });
    const c = ckpt.collection('c');
    const heap = new WebAssembly.Memory({ initial: 32 });
    ckpt.wasm('heap', heap);
    await ckpt.start();
    const counts = [...c].map(([key, { n, field }]) => [key, n, field.every((value) => value === 1)]);
    say('others', { counts, heap: new Uint8Array(heap.buffer).every((value) => value === 1) });
    say('state', { step: s.step, list: s.list, same: s.field.every((value) => value === 1), small: [...s.small] });
    await ckpt.close();
  `);
  expect(said['state']).toMatchObject({ step: 1, list: ['one'], same: true, small: Array(8).fill(1) });
  expect(said['others']).toMatchObject({ counts: [['kept', 1, true]], heap: true });
});

test('F63: after a checkpoint that failed the next one holds everything that has changed', async () => {
  const lab = new Laboratory();
  await lab.run(`
    const ckpt = await open();
    let broken = false;
    const s = ckpt.state('s', () => ({ field: new Float64Array(10_000) }));
    ckpt.provide('gate', { capture: () => { if (broken) throw new Error('no'); return 1; }, restore() {} });
    await ckpt.start();
    await ckpt.checkpoint();
    s.field[5] = 5;
    broken = true;
    await codeOf(() => ckpt.checkpoint());
    broken = false;
    s.field[9_999] = 9;
    await ckpt.checkpoint();
    await ckpt.close();
  `);
  const said = await lab.run(`
    const ckpt = await open();
    const s = ckpt.state('s', () => ({}));
    ckpt.provide('gate', { capture: () => 1, restore() {} });
    await ckpt.start();
    say('field', { at: [s.field[5], s.field[9_999]] });
    await ckpt.close();
  `);
  expect(said['field']).toMatchObject({ at: [5, 9] });
});

test('the state that a program was given is the object that is captured, by reference', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    let inits = 0;
    const one = { n: 0 };
    const s = ckpt.state('s', () => { inits++; return one; });
    const list = ckpt.state('list', () => []);
    await ckpt.start();
    one.n = 7;
    list.push('x');
    await ckpt.checkpoint();
    say('state', { same: s === one, inits });
    await ckpt.close();
  `);
  expect(said['state']).toMatchObject({ same: true, inits: 1 });
  const again = await lab.run(`
    const ckpt = await open();
    const s = ckpt.state('s', () => say('init'));
    const list = ckpt.state('list', () => say('init'));
    say('at once', { n: s.n, list });
    await ckpt.start();
    s.n++;
    await ckpt.checkpoint();
    await ckpt.close();
    say('state', { n: s.n, list });
  `);
  expect(again['init']).toBeUndefined();
  expect(again['at once']).toMatchObject({ n: 7, list: ['x'] });
  expect(again['state']).toMatchObject({ n: 8, list: ['x'] });
});

test('F21: a name is registered once, whatever registers it; a bad registration takes no name', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    const again = await Promise.resolve().then(() => ckpt.state('s', () => ({}))).catch((error) => [error.code, error.provider, error.message.match(/program-1\\.mjs:\\d+/g).length]);
    const kinds = [await codeOf(() => ckpt.provide('s', { capture: () => 1, restore() {} })), await codeOf(() => ckpt.random('s', 1))];
    const bad = [];
    for (const init of [() => 1, () => null, () => undefined, () => 'text', () => () => {}, async () => ({}), 5, undefined]) bad.push(await codeOf(() => ckpt.state('t', init)));
    for (const name of ['', 1, undefined, 'x'.repeat(257)]) bad.push(await codeOf(() => ckpt.state(name, () => ({}))));
    for (const version of [0, 1.5, '1', null]) bad.push(await codeOf(() => ckpt.state('t', () => ({}), { version })));
    for (const options of [undefined, {}, { capture: () => 1 }, { restore() {} }, { capture: 1, restore: 2 }, { capture: () => 1, restore() {}, secret: true }]) bad.push(await codeOf(() => ckpt.provide('t', options)));
    bad.push(await codeOf(() => ckpt.random('t', {})), await codeOf(() => ckpt.state('t', () => ({}), { migrate: 5 })), await codeOf(() => ckpt.atCheckpoint('x')));
    const unsupported = await codeOf(() => ckpt.state('t', () => ({ f() {} })));
    const thrown = await codeOf(() => ckpt.state('t', () => { throw new RangeError('mine'); }));
    say('codes', { again, kinds, bad: [...new Set(bad)], unsupported, thrown, good: await codeOf(() => ckpt.state('t', () => ({}))), proto: await codeOf(() => ckpt.state('__proto__', () => ({}))) });
    await ckpt.start();
    await ckpt.checkpoint();
    await ckpt.close();
  `);
  expect(said['codes']).toMatchObject({
    again: ['ERR_CKPT_EXISTS', 's', 2],
    kinds: ['ERR_CKPT_EXISTS', 'ERR_CKPT_EXISTS'],
    bad: ['TypeError'],
    unsupported: 'ERR_CKPT_UNSUPPORTED_VALUE',
    thrown: 'RangeError',
    good: 'ok',
    proto: 'ok',
  });
});
