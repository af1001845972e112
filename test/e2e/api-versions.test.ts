/** Programs that change between an image and the restart: migrations, schemas, renames, sections that nobody claims. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Laboratory, type Said } from '../fixtures/sdk-program.js';

/** Registers, starts, tells what it got, and commits one image. */
function life(registrations: string, { options = '{}', tell = '{}', after = '' } = {}): string {
  return `
    const code = await codeOf(async () => {
      const ckpt = await open(${options});
      try {
        ${registrations}
        const { restarted, carried, dropped } = await ckpt.start();
        say('got', { restarted, carried, dropped, value: ${tell} });
        ${after}
        await ckpt.checkpoint();
      } finally {
        await ckpt.close();
      }
    });
    say('code', { code });
  `;
}

/** A Standard Schema that wants a field to be a number. */
const SCHEMA = `
  const wants = (field) => ({ '~standard': { version: 1, vendor: 'test', validate: (value) =>
    typeof value[field] === 'number' ? { value: { ignored: true } } : { issues: [{ message: 'expected a number', path: [field] }] } } });
`;

const V1 = life(`const s = ckpt.state('sim', () => ({ x: 1, y: 2 }));`);
const steps = `{ 1: ({ x, y }) => ({ at: [x, y] }), 2: (old) => { old.norm = Math.hypot(...old.at); return old; } }`;

/** Names of all files of the store with their sizes: what a refused start must not change, its claim aside. */
function kept(lab: Laboratory): readonly string[] {
  return ['images', 'names', 'journal'].flatMap((folder) => readdirSync(join(lab.store, folder)).sort());
}

const code = (said: Record<string, Said>): unknown => said['code']?.['code'];

test('a program two versions ahead migrates step by step, goes on from there, and its own images match', async () => {
  const lab = new Laboratory();
  await lab.run(V1);
  const v3 = life(`const s = ckpt.state('sim', () => ({}), { version: 3, migrate: ${steps} });`, { tell: 's', after: 's.norm++;' });
  expect((await lab.run(v3))['got']).toMatchObject({ restarted: true, value: { at: [1, 2], norm: Math.hypot(1, 2) } });
  expect((await lab.run(v3))['got']).toMatchObject({ value: { at: [1, 2], norm: Math.hypot(1, 2) + 1 } });
});

test('provide() is given the migrated value', async () => {
  const lab = new Laboratory();
  await lab.run(life(`ckpt.provide('rng', { capture: () => 7, restore() {} });`));
  const v2 = `let got; ckpt.provide('rng', { capture: () => got, restore: (value) => { got = value; }, version: 2, migrate: { 1: (n) => ({ seed: n }) } });`;
  expect((await lab.run(life(v2, { tell: 'got' })))['got']).toMatchObject({ value: { seed: 7 } });
  expect((await lab.run(life(v2, { tell: 'got' })))['got']).toMatchObject({ value: { seed: 7 } });
});

test('F32: a migration that throws refuses the start, changes nothing, and never blames the image', async () => {
  const lab = new Laboratory();
  await lab.run(V1);
  const before = kept(lab);
  const bad = life(`ckpt.state('sim', () => ({}), { version: 2, migrate: { 1: (old) => { old.x = 99; throw new Error('cannot'); } } });`);
  for (let times = 0; times < 3; times++) expect(code(await lab.run(bad))).toBe('ERR_CKPT_SCHEMA');
  expect(kept(lab)).toEqual(before);
  const good = life(`const s = ckpt.state('sim', () => ({}), { version: 2, migrate: { 1: (old) => old } });`, { tell: 's' });
  expect((await lab.run(good))['got']).toMatchObject({ restarted: true, value: { x: 1, y: 2 } });
});

test('F32: a program that swallows the refusal and goes on is refused by start(), also when it lets sections drop', async () => {
  const lab = new Laboratory();
  await lab.run(V1);
  const before = kept(lab);
  const source = life(
    `const register = () => ckpt.state('sim', () => ({}), { version: 2, migrate: { 1: (old) => { old.x = 99; throw new Error('cannot'); } } });
     say('twice', { codes: [await codeOf(register), await codeOf(register)] });`,
    { options: `{ allowUnclaimed: 'drop' }` },
  );
  const said = await lab.run(source);
  expect(said['twice']).toMatchObject({ codes: ['ERR_CKPT_SCHEMA', 'ERR_CKPT_SCHEMA'] });
  expect(code(said)).toBe('ERR_CKPT_SCHEMA');
  expect(kept(lab)).toEqual(before);
});

test.each([
  ['has no step for a version', `{ version: 3, migrate: { 2: (old) => old } }`],
  ['has steps but not the first', `{ version: 2 }`],
  ['returns a promise', `{ version: 2, migrate: { 1: async (old) => old } }`],
  ['returns nothing', `{ version: 2, migrate: { 1: () => {} } }`],
  ['makes what cannot be captured', `{ version: 2, migrate: { 1: () => ({ f() {} }) } }`],
])('F32: a migration that %s is refused', async (_, options) => {
  const lab = new Laboratory();
  await lab.run(V1);
  expect(code(await lab.run(life(`ckpt.state('sim', () => ({}), ${options});`)))).toBe('ERR_CKPT_SCHEMA');
  expect((await lab.run(life(`const s = ckpt.state('sim', () => ({}));`, { tell: 's' })))['got']).toMatchObject({ value: { x: 1, y: 2 } });
});

test('F36: an image newer than the program is refused, with both numbers', async () => {
  const lab = new Laboratory();
  await lab.run(life(`ckpt.state('sim', () => ({}), { version: 3 });`));
  const told = await lab.run(`
    const ckpt = await open();
    try { ckpt.state('sim', () => ({}), { version: 2, migrate: { 1: (old) => old } }); } catch ({ code, message, phase }) { say('refused', { code, message, phase }); }
    await ckpt.close();
  `);
  expect(told['refused']).toMatchObject({ code: 'ERR_CKPT_SCHEMA', phase: 'register' });
  expect(told['refused']?.['message']).toMatch(/version 2.*version 3/);
});

test('F36: a schema checks what init makes, what an image holds and what a migration makes; it only checks', async () => {
  const lab = new Laboratory();
  const program = (more: string, init = '{ n: 1 }'): string =>
    life(`${SCHEMA} const s = ckpt.state('sim', () => (${init}), ${more});`, { tell: 's' });
  expect(code(await lab.run(program(`{ schema: wants('n') }`, '{}')))).toBe('ERR_CKPT_SCHEMA');
  expect((await lab.run(program(`{ schema: wants('n') }`)))['got']).toMatchObject({ value: { n: 1 } });
  expect((await lab.run(program(`{ schema: wants('n') }`)))['got']).toMatchObject({ restarted: true, value: { n: 1 } });
  const before = kept(lab);
  expect(code(await lab.run(program(`{ schema: wants('m') }`, '{ m: 1 }')))).toBe('ERR_CKPT_SCHEMA');
  expect(code(await lab.run(program(`{ schema: wants('m'), version: 2, migrate: { 1: (old) => old } }`)))).toBe('ERR_CKPT_SCHEMA');
  expect(code(await lab.run(program(`{ schema: { '~standard': { validate: async (value) => ({ value }) } } }`)))).toBe('ERR_CKPT_SCHEMA');
  expect(code(await lab.run(program(`{ schema: { '~standard': { validate() { throw new Error('broken'); } } } }`)))).toBe(
    'ERR_CKPT_SCHEMA',
  );
  expect(kept(lab)).toEqual(before);
  expect((await lab.run(program(`{ schema: wants('m'), version: 2, migrate: { 1: ({ n }) => ({ m: n }) } }`)))['got']).toMatchObject({
    value: { m: 1 },
  });
});

test('validateAtCapture makes a checkpoint of a value that does not fit fail; the program and the image before go on', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    ${SCHEMA}
    const ckpt = await open();
    const s = ckpt.state('sim', () => ({ n: 1 }), { schema: wants('n'), validateAtCapture: true });
    await ckpt.start();
    await ckpt.checkpoint();
    s.n = 'one';
    const failed = await ckpt.checkpoint().catch(({ code, phase, provider }) => ({ code, phase, provider }));
    s.n = 2;
    const image = await ckpt.checkpoint();
    say('end', { failed, generation: image.image.generation });
    await ckpt.close();
  `);
  expect(said['end']?.['failed']).toEqual({ code: 'ERR_CKPT_SCHEMA', phase: 'capture', provider: 'sim' });
  expect(lab.images()).toHaveLength(2);
  expect(lab.leftovers()).toEqual([]);
});

test('a renamed provider finds its section under the newest of its names; later images have the new name', async () => {
  const lab = new Laboratory();
  await lab.run(life(`ckpt.state('oldest', () => ({ n: 1 })); ckpt.provide('p', { capture: () => 5, restore() {} });`));
  const renamed = life(
    `const s = ckpt.state('now', () => ({ n: 0 }), { was: ['older', 'oldest'] });
     let p; ckpt.provide('q', { capture: () => p, restore: (value) => { p = value; }, was: ['p'] });`,
    { tell: '[s.n, p]' },
  );
  expect((await lab.run(renamed))['got']).toMatchObject({ value: [1, 5] });
  expect((await lab.run(renamed))['got']).toMatchObject({ value: [1, 5] });
  expect(code(await lab.run(life(`ckpt.state('now', () => ({})); ckpt.provide('q', { capture: () => 1, restore() {} });`)))).toBe('ok');
});

test('two of a provider’s names in one image are refused, and a name belongs to one provider', async () => {
  const lab = new Laboratory();
  const said = await lab.run(
    life(
      `ckpt.state('a', () => ({})); ckpt.state('b', () => ({}));
       say('names', { codes: [
         await codeOf(() => ckpt.state('c', () => ({}), { was: ['a'] })),
         (ckpt.state('d', () => ({}), { was: ['e'] }), await codeOf(() => ckpt.state('e', () => ({})))),
         await codeOf(() => ckpt.state('f', () => ({}), { was: ['f'] })),
         await codeOf(() => ckpt.state('file:x', () => ({}))),
         await codeOf(() => ckpt.state('carried:1:x', () => ({}))),
         await codeOf(() => ckpt.state('ckpt:channels', () => ({}))),
       ] });`,
    ),
  );
  expect(said['names']).toMatchObject({
    codes: ['ERR_CKPT_EXISTS', 'ERR_CKPT_EXISTS', 'TypeError', 'TypeError', 'TypeError', 'TypeError'],
  });
  expect(code(await lab.run(life(`ckpt.state('a', () => ({}), { was: ['b'] }); ckpt.state('d', () => ({}));`)))).toBe('ERR_CKPT_SCHEMA');
});

test('bad versioning options are TypeErrors at the call', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`
    const ckpt = await open();
    const of = (options) => codeOf(() => ckpt.state('s', () => ({}), options));
    say('codes', { codes: [await of({ migrate: 5 }), await of({ migrate: { 1: 'x' } }), await of({ migrate: { 1: (old) => old } }), await of({ version: 2, migrate: { first: (old) => old } }),
      await of({ schema: {} }), await of({ validateAtCapture: true }), await of({ was: 'old' }), await of({ was: [''] }), await of({ was: ['a', 'a'] }), await of({ mygrate: {} })] });
    say('open', { code: await codeOf(() => open({ allowUnclaimed: true })) });
    await ckpt.close();
  `);
  expect(said['codes']).toMatchObject({ codes: Array.from({ length: 10 }, () => 'TypeError') });
  expect(said['open']).toMatchObject({ code: 'TypeError' });
});

const BOTH = `const a = ckpt.state('a', () => ({ n: 1 })); const b = ckpt.state('b', () => ({ field: Float64Array.of(...Array(1024).keys()), small: [1n, -0] }));`;
const A = `const a = ckpt.state('a', () => ({ n: 0 }));`;

test('unclaimed sections are carried through several lives, told at each start, and can be claimed again', async () => {
  const lab = new Laboratory();
  await lab.run(life(BOTH));
  expect(code(await lab.run(life(A)))).toBe('ERR_CKPT_UNCLAIMED');
  const carrying = life(A, { options: `{ allowUnclaimed: 'carry' }`, tell: 'a.n', after: 'a.n++;' });
  for (const value of [1, 2, 3]) expect((await lab.run(carrying))['got']).toMatchObject({ value, carried: ['b'], dropped: [] });
  const again = life(BOTH, { tell: '[a.n, b.field[1023], b.field.length, typeof b.small[0], Object.is(b.small[1], -0)]' });
  expect((await lab.run(again))['got']).toMatchObject({ value: [4, 1023, 1024, 'bigint', true], carried: [] });
});

test('unclaimed sections are dropped only when asked, said on the log and by start(), and are gone', async () => {
  const lab = new Laboratory();
  await lab.run(life(BOTH));
  const dropping = life(A, { options: `{ allowUnclaimed: 'drop', logger: { warn: (text) => say('warn', { text }), error() {} } }` });
  const said = await lab.run(dropping);
  expect(said['got']).toMatchObject({ carried: [], dropped: ['b'] });
  expect(said['warn']?.['text']).toContain("'b'");
  expect((await lab.run(life(`${A} const b = ckpt.state('b', () => ({ fresh: true }));`, { tell: 'b' })))['got']).toMatchObject({
    value: { fresh: true },
  });
});

test('a killed program carries on as well: two versions, SIGKILL between, nothing of the carried section lost', async () => {
  const lab = new Laboratory();
  await lab.run(life(BOTH));
  const running = lab.start(`
    const ckpt = await open({ allowUnclaimed: 'carry' });
    ${A}
    await ckpt.start();
    for (;;) { a.n++; await ckpt.checkpoint(); say('image', { n: a.n }); }
  `);
  await running.hear('image');
  running.kill('SIGKILL');
  await running.ended;
  const again = life(BOTH, { tell: '[a.n > 1, b.field[7]]' });
  expect((await lab.run(again))['got']).toMatchObject({ value: [true, 7] });
});

test('planRestart() tells match, migrate, default, unclaimed and refused, and changes nothing', async () => {
  const lab = new Laboratory();
  await lab.run(
    life(`ckpt.state('same', () => ({})); ckpt.state('grown', () => ({})); ckpt.state('old', () => ({})); ckpt.state('gone', () => ({}));
          ckpt.state('newer', () => ({}), { version: 9 });`),
  );
  const before = kept(lab);
  const said = await lab.run(`
    const ckpt = await open({ allowUnclaimed: process.env.CARRY ? 'carry' : false });
    ckpt.state('same', () => ({})); ckpt.state('fresh', () => ({}));
    ckpt.state('grown', () => ({}), { version: 3, migrate: { 1: (old) => old, 2: (old) => old } });
    ckpt.state('new', () => ({}), { was: ['old'] });
    await codeOf(() => ckpt.state('newer', () => ({}), { version: 2 }));
    const { image, providers, refused, complete, files } = await ckpt.planRestart();
    say('plan', { image: image.generation, providers, refused, complete, files });
    say('code', { code: await codeOf(() => ckpt.start()) });
    say('after', { code: await codeOf(() => ckpt.planRestart()) });
  `);
  expect(said['plan']).toMatchObject({
    image: 1,
    refused: true,
    complete: true,
    files: [],
    providers: [
      { name: 'same', outcome: 'match', from: 1, to: 1 },
      { name: 'fresh', outcome: 'default', to: 1 },
      { name: 'grown', outcome: 'migrate', from: 1, to: 3 },
      { name: 'new', outcome: 'match', section: 'old' },
      { name: 'newer', outcome: 'refused', from: 9, to: 2, reason: { code: 'ERR_CKPT_SCHEMA' } },
      { name: 'gone', outcome: 'unclaimed', handling: 'refuse' },
    ],
  });
  expect([code(said), said['after']?.['code']]).toEqual(['ERR_CKPT_SCHEMA', 'ERR_CKPT_CLOSED']);
  expect(kept(lab)).toEqual(before);
});

test('CKPT_PLAN=1 makes start() print its plan and end: no epoch claimed, nothing written, a live owner undisturbed', async () => {
  const lab = new Laboratory();
  const running = lab.start(`
    const ckpt = await open();
    const s = ckpt.state('s', () => ({ n: 0 }));
    await ckpt.start();
    await ckpt.checkpoint();
    say('ready');
    for (;;) { await turn(); await ckpt.safepoint(); }
  `);
  await running.hear('ready');
  const tree = (): string[] => readdirSync(lab.store, { recursive: true, encoding: 'utf8' }).sort();
  const before = tree();
  const asked = await lab.start(
    `const ckpt = await open(); ckpt.state('s', () => ({}), { version: 2, migrate: { 1: (old) => old } }); await ckpt.start(); say('never');`,
    { env: { CKPT_PLAN: '1' } },
  ).ended;
  expect(asked).toMatchObject({ code: 0, stderr: '' });
  expect(asked.said).toMatchObject([{ complete: true, refused: false, providers: [{ name: 's', outcome: 'migrate', from: 1, to: 2 }] }]);
  expect(tree()).toEqual(before);
  expect(readFileSync(join(lab.store, 'run.json'), 'utf8')).toContain('api');
});
