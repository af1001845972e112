import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

const TOLD = `
const order = [];
const told = (what) => (ctx) => void order.push(what + ':' + ctx.reason + ':' + ctx.name + ':' + (ctx.image?.name ?? '-') + ':' + ctx.signal.aborted);
`;

test('atCheckpoint handlers run newest first, atResume and atRestart handlers oldest first, each told why and for which name', async () => {
  const lab = new Laboratory();
  const source = `${TOLD}
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    for (const which of ['a', 'b']) {
      ckpt.atCheckpoint(async (ctx) => { await turn(); told('checkpoint-' + which)(ctx); });
      ckpt.atResume(told('resume-' + which));
      ckpt.atRestart(async (ctx) => { await turn(); told('restart-' + which)(ctx); });
    }
    await ckpt.start();
    await ckpt.checkpoint('mark', { replace: true });
    say('order', { order });
    await ckpt.close();
  `;
  const rest = [
    'checkpoint-b:call:mark:-:false',
    'checkpoint-a:call:mark:-:false',
    'resume-a:call:mark:-:false',
    'resume-b:call:mark:-:false',
  ];
  expect((await lab.run(source))['order']).toMatchObject({ order: rest });
  expect((await lab.run(source))['order']).toMatchObject({
    order: ['restart-a:restart:mark:mark:false', 'restart-b:restart:mark:mark:false', ...rest],
  });
});

test('F19: every handler runs although others fail, all failures are kept in order, and the image before stays the newest', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    let failing = false;
    let ran = [];
    ckpt.atCheckpoint(() => { ran.push(1); if (failing) throw new Error('one'); });
    ckpt.atCheckpoint(() => { ran.push(2); });
    ckpt.atCheckpoint(async () => { ran.push(3); await turn(); if (failing) throw new Error('three'); });
    ckpt.atResume(() => { ran.push('resume'); });
    await ckpt.start();
    const before = await ckpt.checkpoint();
    failing = true;
    ran = [];
    await ckpt.checkpoint('lost').catch((error) => say('failed', {
      code: error.code, phase: error.phase, aggregate: error.cause instanceof AggregateError, messages: error.cause.errors.map((one) => one.message), ran,
    }));
    failing = false;
    const after = await ckpt.checkpoint('lost');
    say('after', { parent: after.image.parent === before.image.id, name: after.image.name });
    await ckpt.close();
  `);
  expect(said['failed']).toMatchObject({
    code: 'ERR_CKPT_HANDLER',
    phase: 'handlers',
    aggregate: true,
    messages: ['three', 'one'],
    ran: [3, 2, 1, 'resume'],
  });
  expect(said['after']).toMatchObject({ parent: true, name: 'lost' });
  expect(lab.images()).toHaveLength(2);
  expect(lab.leftovers()).toEqual([]);
});

test('F19: a handler that never settles is named with its limit, and its signal is aborted; the program goes on', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open({ handlerTimeout: 40 });
    ckpt.state('s', () => ({}));
    let aborted = 0;
    let hang = true;
    let resumed = 0;
    ckpt.atCheckpoint(({ signal }) => hang ? new Promise(() => { signal.addEventListener('abort', () => { aborted++; }); }) : undefined);
    ckpt.atResume(() => { resumed++; });
    await ckpt.start();
    await ckpt.checkpoint().catch((error) => say('failed', { code: error.code, phase: error.phase, message: error.message, handler: error.context.handler, aborted, resumed }));
    hang = false;
    say('after', { generation: (await ckpt.checkpoint()).image.generation, aborted });
    await ckpt.close();
  `);
  expect(said['failed']).toMatchObject({ code: 'ERR_CKPT_TIMEOUT', phase: 'handlers', aborted: 1, resumed: 1 });
  expect(said['failed']?.['message']).toMatch(/atCheckpoint.*program-1\.mjs:\d+:\d+.*40 ms/);
  expect(said['failed']?.['handler']).toMatch(/program-1\.mjs:\d+:\d+$/);
  expect(said['after']).toMatchObject({ aborted: 1 });
});

test('F19: a provider that throws or returns a promise is named, and the checkpoint after it works', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    let capture = () => { throw new Error('no such thing'); };
    ckpt.provide('tricky', { capture: () => capture(), restore: () => {} });
    await ckpt.start();
    const failure = () => ckpt.checkpoint().then(() => 'ok', ({ code, provider, phase }) => ({ code, provider, phase }));
    const threw = await failure();
    capture = async () => 1;
    const promised = await failure();
    capture = () => Promise.reject(new Error('later'));
    const rejected = await failure();
    capture = () => () => {};
    const unsupported = await failure();
    capture = () => 1;
    say('failures', { threw, promised, rejected, unsupported, mended: await failure() });
    await ckpt.close();
  `);
  const named = { code: 'ERR_CKPT_PROVIDER', provider: 'tricky', phase: 'capture' };
  expect(said['failures']).toMatchObject({
    threw: named,
    promised: named,
    rejected: named,
    unsupported: { code: 'ERR_CKPT_UNSUPPORTED_VALUE', provider: 'tricky' },
    mended: 'ok',
  });
  expect(lab.images()).toHaveLength(1);
  expect(lab.leftovers()).toEqual([]);
});

test('F19: a restore function that rejects or never settles fails the start by name', async () => {
  const lab = new Laboratory();
  const program = (restore: string): string => `
    const ckpt = await open({ handlerTimeout: 40 });
    ckpt.provide('tricky', { capture: () => 1, restore: ${restore} });
    const started = await ckpt.start().then(() => 'ok', ({ code, provider, phase }) => ({ code, provider, phase }));
    say('started', { started });
    if (started === 'ok') await ckpt.checkpoint();
    await ckpt.close();
  `;
  await lab.run(program('() => {}'));
  const named = { provider: 'tricky', phase: 'apply' };
  expect((await lab.run(program('() => new Promise(() => {})')))['started']).toMatchObject({
    started: { code: 'ERR_CKPT_TIMEOUT', ...named },
  });
  expect((await lab.run(program('async () => { await turn(); throw new Error("no"); }')))['started']).toMatchObject({
    started: { code: 'ERR_CKPT_RESTORE', ...named },
  });
  expect((await lab.run(program('async () => { await turn(); }')))['started']).toMatchObject({ started: 'ok' });
});

test('an atResume handler that fails is told by event and costs no image; after a failed checkpoint both failures are told as one', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    let resumes = 0;
    let fail = false;
    const failures = [];
    ckpt.on('failed', ({ error }) => failures.push([error.code, error.message.includes('cannot stop'), error.message.includes('cannot resume')]));
    ckpt.atCheckpoint(() => { if (fail) throw new Error('cannot stop'); });
    ckpt.atResume(() => { resumes++; throw new Error('cannot resume'); });
    await ckpt.start();
    const { image } = await ckpt.checkpoint();
    fail = true;
    const error = await ckpt.checkpoint().catch((error) => error);
    say('end', { generation: image.generation, resumes, failures, code: error.code, causes: error.cause.errors.length });
    await ckpt.close();
  `);
  expect(said['end']).toMatchObject({
    generation: 1,
    resumes: 2,
    failures: [
      ['ERR_CKPT_HANDLER', false, true],
      ['ERR_CKPT_HANDLER', true, true],
    ],
    code: 'ERR_CKPT_HANDLER',
    causes: 2,
  });
});

test('F22: every call that waits for a checkpoint is refused inside a handler, after an await too, and nothing deadlocks', async () => {
  const lab = new Laboratory();
  const source = `
    const ckpt = await open();
    const codes = {};
    const tryAll = async (where) => {
      codes[where] = [
        await codeOf(() => ckpt.checkpoint()), await codeOf(() => ckpt.checkpoint('named')), await codeOf(() => ckpt.safepoint()),
        await codeOf(() => ckpt.safe(turn())), await codeOf(() => ckpt.safepointSync()), await codeOf(() => ckpt.finish()), await codeOf(() => ckpt.close()),
      ];
    };
    ckpt.state('s', () => ({}));
    ckpt.provide('p', { capture: () => { void codeOf(() => ckpt.checkpoint()).then((code) => { codes.capture = code; }); return 1; }, restore: () => {} });
    ckpt.atCheckpoint(() => tryAll('at once'));
    ckpt.atCheckpoint(async () => { await turn(); await tryAll('after an await'); });
    ckpt.atResume(() => tryAll('resume'));
    ckpt.atRestart(() => tryAll('restart'));
    await ckpt.start();
    await ckpt.checkpoint();
    await turn();
    say('codes', { codes, after: [await codeOf(() => ckpt.safepoint()), await codeOf(() => ckpt.checkpoint())] });
    await ckpt.close();
  `;
  const refused = Array(7).fill('ERR_CKPT_REENTRANT');
  const everywhere = { 'at once': refused, 'after an await': refused, resume: refused, capture: 'ERR_CKPT_REENTRANT' };
  expect((await lab.run(source))['codes']).toMatchObject({ codes: everywhere, after: ['ok', 'ok'] });
  expect((await lab.run(source))['codes']).toMatchObject({ codes: { ...everywhere, restart: refused } });
});

test('F22: a handler that lets the refusal through fails the checkpoint with the same code, and the next one works', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    let nest = true;
    ckpt.atCheckpoint(async () => { if (nest) await ckpt.checkpoint(); });
    await ckpt.start();
    const first = await codeOf(() => ckpt.checkpoint());
    nest = false;
    say('codes', { first, second: await codeOf(() => ckpt.checkpoint()) });
    await ckpt.close();
  `);
  expect(said['codes']).toMatchObject({ first: 'ERR_CKPT_REENTRANT', second: 'ok' });
});

test('F72: an atRestart handler that fails undoes the start, and the next start takes the image it would have taken', async () => {
  const lab = new Laboratory();
  const program = (handler: string): string => `
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ n: 0 }));
    ckpt.atRestart(${handler});
    const code = await codeOf(() => ckpt.start());
    say('started', { code, n: s.n, after: await codeOf(() => ckpt.safepoint()) });
    if (code === 'ok') { s.n++; await ckpt.checkpoint('at-' + s.n); }
    await ckpt.close();
  `;
  const good = program('() => {}');
  const failing = program('() => { throw new Error("not today"); }');
  await lab.run(good);
  await lab.run(good);
  for (const from of ['latest', 'at-1']) {
    expect((await lab.run(failing, { env: { CKPT_RESTART: from } }))['started']).toMatchObject({
      code: 'ERR_CKPT_HANDLER',
      after: 'ERR_CKPT_CLOSED',
    });
  }
  // The start from the older image was undone, so the newer one is still the newest of its lineage.
  expect((await lab.run(good))['started']).toMatchObject({ code: 'ok', n: 2 });
});

test('nothing is registered after start(), nor after the end', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    const tryAll = async () => [
      await codeOf(() => ckpt.state('late', () => ({}))), await codeOf(() => ckpt.provide('late', { capture: () => 1, restore() {} })),
      await codeOf(() => ckpt.random('late', 1)), await codeOf(() => ckpt.atCheckpoint(() => {})), await codeOf(() => ckpt.atResume(() => {})),
      await codeOf(() => ckpt.atRestart(() => {})), await codeOf(() => ckpt.start()),
    ];
    const starting = ckpt.start();
    const during = await tryAll();
    await starting;
    const after = await tryAll();
    await ckpt.close();
    say('codes', { during, after, closed: await tryAll() });
  `);
  const refused = Array(7).fill('ERR_CKPT_PHASE');
  expect(said['codes']).toMatchObject({ during: refused, after: refused, closed: Array(7).fill('ERR_CKPT_CLOSED') });
});
