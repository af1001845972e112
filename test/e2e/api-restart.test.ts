import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Laboratory, type StartOptions } from '../fixtures/sdk-program.js';

/** Starts, tells where from, adds one and checkpoints under a name; OPTIONS are options, NAME the name. */
const STEP = `
  const code = await codeOf(async () => {
    const ckpt = await open(JSON.parse(process.env.OPTIONS ?? '{}'));
    const s = ckpt.state('s', () => ({ n: 0 }));
    const { restarted, finished, image, incarnation, lostMs } = await ckpt.start();
    say('start', { restarted, finished, image, incarnation, lostMs, n: s.n });
    s.n++;
    const result = await ckpt.checkpoint(process.env.NAME || undefined);
    say('image', result.image);
    await ckpt.close();
  });
  say('code', { code });
`;
const named = (name: string, more: NodeJS.ProcessEnv = {}): StartOptions => ({ env: { NAME: name, ...more } });

test('a start goes on from the newest image; `restart` and CKPT_RESTART choose another, by name, id or id prefix', async () => {
  const lab = new Laboratory();
  const first = await lab.run(STEP, named('one'));
  const second = await lab.run(STEP, named('two'));
  expect(first['start']).toMatchObject({ restarted: false, finished: false, n: 0, incarnation: 1, lostMs: 0 });
  expect(first['start']?.['image']).toBeUndefined();
  expect(second['start']).toMatchObject({ restarted: true, n: 1, incarnation: 2, image: { id: first['image']?.['id'], name: 'one' } });
  expect(second['image']?.['parent']).toBe(first['image']?.['id']);
  expect((await lab.run(STEP, { env: { OPTIONS: '{"restart":{"image":"one"}}' } }))['start']).toMatchObject({
    n: 1,
    image: { name: 'one' },
  });
  expect((await lab.run(STEP, { env: { CKPT_RESTART: String(second['image']?.['id']) } }))['start']).toMatchObject({
    n: 2,
    image: { name: 'two' },
  });
  expect((await lab.run(STEP, { env: { CKPT_RESTART: 'two', OPTIONS: '{"restart":{"image":"one"}}' } }))['start']).toMatchObject({ n: 2 });
  expect((await lab.run(STEP, { env: { CKPT_RESTART: 'latest', OPTIONS: '{"restart":"never"}' } }))['start']).toMatchObject({ n: 3 });
  expect((await lab.run(STEP, { env: { CKPT_RESTART: 'never' } }))['start']).toMatchObject({ restarted: false, n: 0 });
  expect((await lab.run(STEP, { env: { OPTIONS: '{"restart":"must"}' } }))['start']).toMatchObject({ restarted: true, n: 1 });
});

test('what cannot be started from is refused by code', async () => {
  const lab = new Laboratory();
  const code = async (env: NodeJS.ProcessEnv): Promise<unknown> => (await lab.run(STEP, { env }))['code']?.['code'];
  expect(await code({ CKPT_RESTART: 'latest' })).toBe('ERR_CKPT_NO_IMAGE');
  expect(await code({ OPTIONS: '{"restart":"must"}' })).toBe('ERR_CKPT_NO_IMAGE');
  expect(await code({ CKPT_RESTART: 'nobody' })).toBe('ERR_CKPT_NOT_FOUND');
  expect(await code({ OPTIONS: '{"restart":{"image":"nobody"}}' })).toBe('ERR_CKPT_NOT_FOUND');
  expect(await code({ CKPT_RESTART: '../nobody' })).toBe('TypeError');
  expect(await code({})).toBe('ok');
});

test('F36: the image of another program is refused, whatever its version', async () => {
  const lab = new Laboratory();
  await lab.run(STEP, { env: { OPTIONS: '{"app":{"name":"mine","version":"1.0.0"}}' } });
  expect((await lab.run(STEP, { env: { OPTIONS: '{"app":{"name":"mine","version":"2.0.0"}}' } }))['start']).toMatchObject({
    restarted: true,
  });
  expect((await lab.run(STEP, { env: { OPTIONS: '{"app":{"name":"other"}}' } }))['code']).toMatchObject({ code: 'ERR_CKPT_WRONG_APP' });
  expect((await lab.run(STEP, { env: { OPTIONS: '{"app":{"name":"other"}}', CKPT_RESTART: 'never' } }))['code']).toMatchObject({
    code: 'ERR_CKPT_WRONG_APP',
  });
});

test('the program’s name is by default that of the nearest package.json', async () => {
  const lab = new Laboratory();
  const source = `
    const code = await codeOf(async () => { const ckpt = await openCheckpointer({ logger: quiet }); ckpt.state('s', () => ({})); await ckpt.start(); await ckpt.checkpoint(); await ckpt.close(); });
    say('code', { code });
  `;
  writeFileSync(join(lab.folder, 'package.json'), '{"name":"first","version":"1.0.0"}');
  expect((await lab.run(source))['code']).toMatchObject({ code: 'ok' });
  expect(JSON.parse(readFileSync(join(lab.store, 'run.json'), 'utf8'))).toMatchObject({ app: { name: 'first' } });
  writeFileSync(join(lab.folder, 'package.json'), '{"name":"second","version":"1.0.0"}');
  expect((await lab.run(source))['code']).toMatchObject({ code: 'ERR_CKPT_WRONG_APP' });
  writeFileSync(join(lab.folder, 'package.json'), '{"name":"first","version":"2.0.0"}');
  expect((await lab.run(source))['code']).toMatchObject({ code: 'ok' });
});

test('the store is the option `dir`, else CKPT_DIR, else ./ckpt', async () => {
  const lab = new Laboratory();
  await lab.run(STEP, { env: { OPTIONS: '{"dir":"elsewhere"}' } });
  await lab.run(STEP, { env: { CKPT_DIR: '' } });
  await lab.run(STEP);
  expect(readdirSync(lab.folder)).toEqual(expect.arrayContaining(['elsewhere', 'ckpt', 'store']));
});

test('a section that no provider claims, or another version of it, refuses the start and changes nothing', async () => {
  const lab = new Laboratory();
  const program = (registrations: string): string => `
    const ckpt = await open();
    const code = await codeOf(async () => { ${registrations}; await ckpt.start(); await ckpt.checkpoint(); });
    say('code', { code });
    await ckpt.close();
  `;
  const code = async (registrations: string): Promise<unknown> => (await lab.run(program(registrations)))['code']?.['code'];
  const both = `ckpt.state('a', () => ({})); ckpt.provide('b', { capture: () => 1, restore() {} })`;
  expect(await code(both)).toBe('ok');
  expect(await code(`ckpt.state('a', () => ({}))`)).toBe('ERR_CKPT_UNCLAIMED');
  expect(await code(`ckpt.state('a', () => ({}), { version: 2 })`)).toBe('ERR_CKPT_SCHEMA');
  expect(await code(`ckpt.provide('a', { capture: () => 1, restore() {} })`)).toBe('ERR_CKPT_SCHEMA');
  expect(await code(`${both}; ckpt.state('new', () => ({ fresh: true }))`)).toBe('ok');
  expect(lab.images()).toHaveLength(2);
});

test('restore gets what capture returned, may be asynchronous, comes before atRestart, and is never called without a section', async () => {
  const lab = new Laboratory();
  const source = `
    const ckpt = await open();
    const order = [];
    let value = { from: 'the start', big: 2n ** 70n, undef: undefined };
    ckpt.provide('p', { capture: () => value, restore: async (given) => { await turn(); value = given; order.push('p'); } });
    ckpt.provide('q', { capture: () => 'primitive', restore: (given) => { order.push('q:' + given); } });
    if (process.env.MORE) ckpt.provide('r', { capture: () => 1, restore: () => { order.push('never'); } });
    ckpt.atRestart(() => order.push('atRestart'));
    await ckpt.start();
    say('restored', { order, from: value.from, exact: value.big === 2n ** 70n && 'undef' in value });
    value = { ...value, from: 'an image' };
    await ckpt.checkpoint();
    await ckpt.close();
  `;
  expect((await lab.run(source))['restored']).toMatchObject({ order: [], from: 'the start' });
  expect((await lab.run(source, { env: { MORE: '1' } }))['restored']).toMatchObject({
    order: ['p', 'q:primitive', 'atRestart'],
    from: 'an image',
    exact: true,
  });
});

test('random() goes on with the next number, and the clock stands while the program is down', async () => {
  const lab = new Laboratory();
  const source = `
    const ckpt = await open();
    const noise = ckpt.random('noise', 42);
    const before = ckpt.clock.now();
    await ckpt.start();
    const started = ckpt.clock.now();
    const drawn = [noise.next(), noise.int(1, 6), noise.normal()];
    await new Promise((resolve) => setTimeout(resolve, 60));
    const cut = ckpt.clock.now();
    await ckpt.checkpoint();
    const lost = noise.next();
    say('seen', { drawn, lost, before, started, cut });
    process.kill(process.pid, 'SIGKILL');
  `;
  const seen = async (): Promise<{ before: number; started: number; cut: number; lost: number; drawn: number[] }> => {
    const { said } = await lab.start(source).ended;
    return said.find(({ word }) => word === 'seen') as unknown as Awaited<ReturnType<typeof seen>>;
  };
  const first = await seen();
  await new Promise((resolve) => setTimeout(resolve, 800));
  const second = await seen();
  expect(first.before).toBe(0);
  expect(second.drawn[0]).toBe(first.lost);
  expect(first.cut - first.started).toBeGreaterThanOrEqual(55);
  expect(second.started).toBeGreaterThanOrEqual(first.cut);
  expect(second.started - first.cut).toBeLessThan(700);
});

test('lostMs is the time from the capture to the last sign of life; work done after the image is counted', async () => {
  const lab = new Laboratory();
  const source = `
    const ckpt = await open();
    ckpt.state('s', () => ({}));
    const { lostMs } = await ckpt.start();
    say('start', { lostMs });
    await ckpt.checkpoint();
    if (process.env.STAY) await new Promise((resolve) => setTimeout(resolve, 1_500));
    process.kill(process.pid, 'SIGKILL');
  `;
  const lost = async (env: NodeJS.ProcessEnv): Promise<number> => {
    const { said } = await lab.start(source, { env }).ended;
    return Number(said.find(({ word }) => word === 'start')?.['lostMs']);
  };
  expect(await lost({ STAY: '1' })).toBe(0);
  const afterLong = await lost({});
  expect(afterLong).toBeGreaterThan(700);
  expect(afterLong).toBeLessThan(4_000);
  expect(await lost({})).toBeLessThan(700);
});

test('F62: a start from an older named image that is killed before its first image stays on that lineage', async () => {
  const lab = new Laboratory();
  await lab.run(STEP, named('one'));
  await lab.run(STEP, named('two'));
  const killed = await lab.start(
    `const ckpt = await open(); const s = ckpt.state('s', () => ({ n: 0 })); await ckpt.start(); say('n', { n: s.n }); process.kill(process.pid, 'SIGKILL');`,
    { env: { CKPT_RESTART: 'one' } },
  ).ended;
  expect(killed.said).toMatchObject([{ n: 1 }]);
  expect((await lab.run(STEP))['start']).toMatchObject({ n: 1, image: { name: 'one' } });
  expect((await lab.run(STEP, { env: { CKPT_RESTART: 'two' } }))['start']).toMatchObject({ n: 2, image: { name: 'two' } });
});

test('F28: a damaged newest image is passed over loudly and told by event; a damaged named one is refused', async () => {
  const lab = new Laboratory();
  await lab.run(STEP, named('one'));
  const second = await lab.run(STEP, named('two'));
  const path = String(second['image']?.['path']);
  const bytes = readFileSync(path);
  bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  expect((await lab.run(STEP, { env: { CKPT_RESTART: 'two' } }))['code']).toMatchObject({ code: 'ERR_CKPT_IMAGE_CORRUPT' });
  const said = await lab.run(`
    const loud = [];
    const ckpt = await open({ logger: { warn: (text) => loud.push(text), error: (text) => loud.push(text) } });
    ckpt.on('fallback', ({ chosen, passedOver }) => say('fallback', { chosen: chosen.name, passedOver }));
    ckpt.on('restarted', ({ image }) => say('restarted', { name: image.name }));
    const s = ckpt.state('s', () => ({}));
    await ckpt.start();
    say('loud', { loud, n: s.n });
    await ckpt.close();
  `);
  expect(said['fallback']).toMatchObject({
    chosen: 'one',
    passedOver: [{ id: second['image']?.['id'], path, code: 'ERR_CKPT_IMAGE_CORRUPT' }],
  });
  expect(said['restarted']).toMatchObject({ name: 'one' });
  expect(said['loud']).toMatchObject({ n: 1 });
  expect(String(said['loud']?.['loud'])).toContain(path);
});

test('F38: an image whose restore function threw in two restarts is passed over; handlers that fail never blame it', async () => {
  const lab = new Laboratory();
  const program = (restore: string, handler = ''): string => `
    const ckpt = await open();
    let value = 'initial';
    ckpt.provide('p', { capture: () => value, restore: ${restore} });
    ${handler}
    const code = await codeOf(() => ckpt.start());
    say('started', { code, value });
    if (code === 'ok' && process.env.VALUE) { value = process.env.VALUE; await ckpt.checkpoint(); }
    await ckpt.close();
  `;
  const good = `(given) => { value = given; }`;
  const picky = `(given) => { if (given === 'bad') throw new Error('cannot take this'); value = given; }`;
  await lab.run(program(good), { env: { VALUE: 'good' } });
  await lab.run(program(good), { env: { VALUE: 'bad' } });
  for (let at = 0; at < 4; at++) {
    expect((await lab.run(program(good, `ckpt.atRestart(() => { throw new Error('no'); });`)))['started']).toMatchObject({
      code: 'ERR_CKPT_HANDLER',
      value: 'bad',
    });
  }
  for (let at = 0; at < 2; at++) expect((await lab.run(program(picky)))['started']).toMatchObject({ code: 'ERR_CKPT_RESTORE' });
  expect((await lab.run(program(picky)))['started']).toMatchObject({ code: 'ok', value: 'good' });
});

test('F49: a second live incarnation is refused and told who owns the store', async () => {
  const lab = new Laboratory();
  const owner = lab.start(
    `const ckpt = await open(); ckpt.state('s', () => ({})); await ckpt.start(); say('ready'); await ckpt.safe(new Promise(() => {}));`,
  );
  await owner.hear('ready');
  const said = await lab.run(`
    await open({ lockWait: '100ms' }).catch((error) => say('refused', { code: error.code, owner: error.context.owner, message: error.message }));
  `);
  expect(said['refused']).toMatchObject({ code: 'ERR_CKPT_LOCKED' });
  expect(said['refused']?.['message']).toContain(String(owner.pid));
});
