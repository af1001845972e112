import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

test('events come in order and with their facts, to listeners and to node:diagnostics_channel alike', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const { subscribe } = await import('node:diagnostics_channel');
    const ckpt = await open({ keep: 1 });
    ckpt.state('s', () => ({}));
    const names = ['requested', 'quiesced', 'captured', 'committed', 'failed', 'waiting', 'restarted', 'fallback', 'pruned'];
    const heard = [];
    const published = [];
    for (const name of names) {
      ckpt.on(name, (facts) => heard.push([name, facts]));
      subscribe('ckpt:' + name, (facts) => published.push([name, facts]));
    }
    await ckpt.start();
    const first = await ckpt.checkpoint();
    const second = await ckpt.checkpoint('two');
    await ckpt.close();
    say('events', {
      names: heard.map(([name]) => name), same: heard.every(([name, facts], at) => published[at][0] === name && published[at][1] === facts),
      facts: Object.fromEntries(heard.slice(4)), committed: heard.filter(([name]) => name === 'committed').map(([, { image }]) => image.id),
      ids: [first.image.id, second.image.id],
    });
  `);
  const one = ['requested', 'quiesced', 'captured', 'committed'];
  const { names, same, facts, committed, ids } = said['events'] as unknown as {
    names: string[];
    same: boolean;
    facts: object;
    committed: string[];
    ids: string[];
  };
  expect(names).toEqual([...one, ...one, 'pruned']);
  expect(same).toBe(true);
  expect(committed).toEqual(ids);
  const ms = expect.any(Number);
  expect(facts).toMatchObject({
    requested: { reason: 'call', name: 'two' },
    quiesced: { reason: 'call', quiesceMs: ms },
    captured: { reason: 'call', captureMs: ms, freezeMs: ms, stateBytes: ms },
    committed: { reason: 'call', image: { name: 'two' } },
    pruned: { images: [ids[0]] },
  });
});

test('a listener that throws or rejects is logged and disturbs neither the others nor the checkpoint', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const logged = [];
    const ckpt = await open({ logger: { warn() {}, error: (message) => logged.push(message) } });
    ckpt.state('s', () => ({}));
    const heard = [];
    for (const event of ['requested', 'quiesced', 'captured', 'committed']) {
      ckpt.on(event, () => { throw new Error('bad listener'); });
      ckpt.on(event, async () => { throw new Error('worse listener'); });
      ckpt.on(event, () => heard.push(event));
    }
    await ckpt.start();
    await ckpt.checkpoint();
    await ckpt.close();
    say('seen', { heard, logged: logged.length, text: logged.join() });
  `);
  expect(said['seen']).toMatchObject({ heard: ['requested', 'quiesced', 'captured', 'committed'], logged: 8 });
  expect(said['seen']?.['text']).toMatch(/committed.*bad listener/);
});

test('a logger that throws disturbs nothing either', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const fail = () => { throw new Error('the disk of the log is full'); };
    const ckpt = await open({ logger: { warn: fail, error: fail } });
    ckpt.state('s', () => ({}));
    let broken = true;
    ckpt.atCheckpoint(() => { if (broken) throw new Error('no'); });
    ckpt.on('committed', fail);
    await ckpt.start();
    const first = await codeOf(() => ckpt.checkpoint());
    broken = false;
    say('codes', { first, second: await codeOf(() => ckpt.checkpoint()), third: await codeOf(() => ckpt.finish()) });
  `);
  expect(said['codes']).toMatchObject({ first: 'ERR_CKPT_HANDLER', second: 'ok', third: 'ok' });
});

test('on, once and off do what they say; an unknown event is a TypeError', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    const counts = { on: 0, once: 0, off: 0, onceOff: 0 };
    const off = () => counts.off++;
    const onceOff = () => counts.onceOff++;
    const chained = ckpt.on('committed', () => counts.on++).once('committed', () => counts.once++).on('committed', off).once('committed', onceOff).off('committed', off).off('committed', onceOff) === ckpt;
    const codes = [await codeOf(() => ckpt.on('commited', () => {})), await codeOf(() => ckpt.once('error', () => {})), await codeOf(() => ckpt.on('committed', 1))];
    await ckpt.start();
    await ckpt.checkpoint();
    await ckpt.checkpoint();
    await ckpt.close();
    say('seen', { counts, chained, codes });
  `);
  expect(said['seen']).toMatchObject({
    counts: { on: 2, once: 1, off: 0, onceOff: 0 },
    chained: true,
    codes: ['TypeError', 'TypeError', 'ERR_INVALID_ARG_TYPE'],
  });
});

test('no event is lost: every request that was told of ends as committed or failed', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open({ signals: { SIGUSR2: 'checkpoint' } });
    ckpt.state('s', () => ({ field: new Float64Array(1_000_000).fill(1) }));
    const events = [];
    for (const event of ['requested', 'committed', 'failed']) ckpt.on(event, (facts) => events.push([event, facts.reason ?? 'call', facts.name ?? facts.image?.name, facts.error?.code]));
    await ckpt.start();
    const running = ckpt.checkpoint('runs');
    await ckpt.safepoint();
    const withdrawn = new AbortController();
    const gone = codeOf(() => ckpt.checkpoint('withdrawn', { signal: withdrawn.signal }));
    withdrawn.abort();
    await gone;
    await running;
    process.kill(process.pid, 'SIGUSR2');
    await new Promise((resolve) => { const held = setInterval(() => {}, 1_000); ckpt.once('requested', () => { clearInterval(held); resolve(); }); });
    await ckpt.close();
    say('events', { events });
  `);
  expect(said['events']).toMatchObject({
    events: [
      ['requested', 'call', 'runs', null],
      ['requested', 'call', 'withdrawn', null],
      ['failed', 'call', 'withdrawn', 'ERR_CKPT_ABORTED'],
      ['committed', 'call', 'runs', null],
      ['requested', 'signal', null, null],
      ['failed', 'signal', null, 'ERR_CKPT_CLOSED'],
    ],
  });
});

test('F55: the timer asks again after each capture, whatever asked for it, and goes on after a failure', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open({ every: '40ms' });
    const s = ckpt.state('s', () => ({ step: 0 }));
    let fail = true;
    ckpt.atCheckpoint(() => { if (fail) throw new Error('first time'); });
    const ends = [];
    ckpt.on('failed', ({ reason }) => { fail = false; ends.push('failed ' + reason); });
    ckpt.on('committed', ({ reason }) => ends.push(reason));
    await ckpt.start();
    while (ends.length < 3) { s.step++; await ckpt.safepoint(); if (s.step % 100 === 0) await turn(); }
    // The loop is blocked for many intervals: one checkpoint catches up.
    const blocked = performance.now() + 400;
    while (performance.now() < blocked);
    const before = ends.length;
    const soon = performance.now() + 20;
    while (performance.now() < soon) { await ckpt.safepoint(); await turn(); }
    say('ends', { ends: ends.slice(0, 3), caughtUp: ends.length - before });
    await ckpt.close();
  `);
  expect(said['ends']).toMatchObject({ ends: ['failed timer', 'timer', 'timer'] });
  expect(Number(said['ends']?.['caughtUp'])).toBeLessThanOrEqual(2);
});
