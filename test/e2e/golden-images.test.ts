/** `@ckpt/sdk/testing`, `ckpt stat` and `ckpt restart --dry-run` on images of a program that has changed since. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { nodePath } from '../fixtures/node.js';
import { Laboratory } from '../fixtures/sdk-program.js';

const CLI = join(import.meta.dirname, '../../packages/sdk/dist/cli.js');

async function ckpt(lab: Laboratory, ...args: readonly string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const { CKPT_RESTART: _, ...env } = process.env;
  return promisify(execFile)(nodePath, [CLI, '--dir', lab.store, ...args], { cwd: lab.folder, env }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  );
}

const V1 = `
  const ckpt = await open();
  ckpt.state('sim', () => ({ x: 3, y: 4 }));
  ckpt.provide('rng', { capture: () => 7, restore() {} });
  await ckpt.start();
  await ckpt.checkpoint();
  await ckpt.close();
`;

test('F32: an image of last year loads with the registrations of today, or rejects with the code of a refused start', async () => {
  const lab = new Laboratory();
  await lab.run(V1);
  const [image = ''] = lab.images();
  const said = await lab.run(`
    import { assertImageLoads } from '@ckpt/sdk/testing';
    const path = ${JSON.stringify(join(lab.store, 'images', image))};
    const register = (ckpt) => {
      ckpt.state('point', () => ({}), { version: 2, was: ['sim'], migrate: { 1: ({ x, y }) => ({ at: [x, y] }) } });
      ckpt.provide('rng', { capture: () => 1, restore: (value) => say('restored', { value }) });
    };
    const { values, providers, image } = await assertImageLoads(path, register);
    say('loaded', { point: values.get('point'), rng: values.get('rng'), outcomes: providers.map(({ outcome }) => outcome), generation: image.generation });
    const refused = (more, options) => codeOf(() => assertImageLoads(path, more, options));
    say('codes', { codes: [
      await refused((ckpt) => ckpt.state('sim', () => ({}))),
      await refused((ckpt) => void ckpt.state('sim', () => ({})), { allowUnclaimed: 'drop' }),
      await refused((ckpt) => ckpt.state('sim', () => ({}), { version: 2, migrate: { 1: () => { throw new Error('no'); } } })),
      await refused((ckpt) => { register(ckpt); ckpt.provide('x', { was: [], capture: () => 1, restore() {} }); }),
      await refused((ckpt) => { ckpt.state('sim', () => ({})); ckpt.provide('rng', { capture: () => 1, restore() { throw new Error('no'); } }); }),
      await codeOf(() => assertImageLoads(path + 'x', register)),
      await codeOf(() => assertImageLoads(path)),
    ] });
  `);
  expect(said['restored']).toMatchObject({ value: 7 });
  expect(said['loaded']).toMatchObject({ point: { at: [3, 4] }, rng: 7, outcomes: ['migrate', 'match'], generation: 1 });
  expect(said['codes']?.['codes']).toEqual([
    'ERR_CKPT_UNCLAIMED',
    'ok',
    'ERR_CKPT_SCHEMA',
    'ok',
    'ERR_CKPT_RESTORE',
    'ERR_CKPT_NOT_FOUND',
    'TypeError',
  ]);
});

test('ckpt restart --dry-run tells what is recorded; with --ask the program tells what it would do, and nothing changes', async () => {
  const lab = new Laboratory();
  const program = (version: number): string => `
    const ckpt = await open({ allowUnclaimed: process.env.CARRY ? 'carry' : false });
    if (process.env.FIRST) ckpt.state('gone', () => ({ n: 1 }));
    ckpt.state('sim', () => ({ n: 0 }), Number(process.env.V ?? 1) === 2 ? { version: 2, migrate: { 1: (old) => old } } : { version: ${version} });
    await ckpt.start();
    await ckpt.checkpoint();
    await ckpt.close();
  `;
  await lab.run(program(1), { env: { FIRST: '1' } });
  const tree = (): string[] => readdirSync(lab.store, { recursive: true, encoding: 'utf8' }).sort();
  const before = tree();
  expect((await ckpt(lab, 'restart', '--dry-run')).stdout).toMatch(/gone +state +recorded, version 1/);
  const again = ['--', nodePath, 'program-1.mjs'];
  const refused = await ckpt(lab, 'restart', '--dry-run', '--ask', ...again);
  expect([refused.code, refused.stdout]).toEqual([13, expect.stringMatching(/gone +state +unclaimed, refused/)]);
  process.env['V'] = '2';
  process.env['CARRY'] = '1';
  try {
    const asked = await ckpt(lab, 'restart', '--dry-run', '--ask', ...again);
    expect([asked.code, asked.stdout]).toEqual([0, expect.stringMatching(/sim +state +migrate 1→2\n *gone +state +unclaimed, carried on/)]);
  } finally {
    delete process.env['V'];
    delete process.env['CARRY'];
  }
  const mute = await ckpt(lab, 'restart', '--dry-run', '--ask', '--json', '--', nodePath, '-e', 'process.exit(3)');
  expect(JSON.parse(mute.stdout)).toMatchObject({ asked: 'no answer', askedProblem: expect.stringContaining('code 3') });
  expect((await ckpt(lab, 'restart', '--ask')).code).toBe(2);
  expect(tree()).toEqual(before);
  await lab.run(program(1), { env: { CARRY: '1' } });
  expect((await ckpt(lab, 'stat')).stdout).toMatch(/gone +state, carried from generation 1/);
});

test('an image with a WebAssembly memory and a collection loads in a test of its program as well', async () => {
  const lab = new Laboratory();
  await lab.run(`
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 4 });
    const ckpt = await open();
    ckpt.wasm('heap', memory);
    const counts = ckpt.collection('counts');
    await ckpt.start();
    memory.grow(2);
    new Uint8Array(memory.buffer)[150_000] = 7;
    counts.set('a', 1).set('b', 2);
    await ckpt.checkpoint();
    await ckpt.close();
  `);
  const [image = ''] = lab.images();
  const said = await lab.run(`
    import { assertImageLoads } from '@ckpt/sdk/testing';
    const path = ${JSON.stringify(join(lab.store, 'images', image))};
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 4 });
    let counts;
    const { providers } = await assertImageLoads(path, (ckpt) => {
      ckpt.wasm('heap', memory);
      counts = ckpt.collection('counts');
    });
    const small = new WebAssembly.Memory({ initial: 1, maximum: 2 });
    const refused = await codeOf(() => assertImageLoads(path, (ckpt) => { ckpt.wasm('heap', small); ckpt.collection('counts'); }));
    say('loaded', { byte: new Uint8Array(memory.buffer)[150_000], counts: [...counts], outcomes: providers.map(({ outcome }) => outcome), refused });
  `);
  expect(said['loaded']).toMatchObject({
    byte: 7,
    counts: [
      ['a', 1],
      ['b', 2],
    ],
    outcomes: ['match', 'match'],
    refused: 'ERR_CKPT_SCHEMA',
  });
});
