/** Compressed images of real programs: written, shown, exported, imported, compared and started from. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { isAvailable } from '../../packages/sdk/src/image/compression.js';
import { nodePath } from '../fixtures/node.js';
import { Laboratory } from '../fixtures/sdk-program.js';

const CLI = join(import.meta.dirname, '../../packages/sdk/dist/cli.js');

async function ckpt(lab: Laboratory, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(nodePath, [CLI, '--dir', lab.store, ...args], { cwd: lab.folder });
  return stdout;
}

/** Counts, keeps records and a grid, and says all of it. */
const PROGRAM = `
const ckpt = await open({ compression: process.env.COMPRESSION });
const s = ckpt.state('s', () => ({ n: 0, grid: new Float64Array(1000), records: Array.from({ length: 20_000 }, (_, id) => ({ id, name: 'item ' + id % 99 })) }));
const words = ckpt.collection('words');
await ckpt.start();
for (let i = 0; i < 2; i++) {
  s.n++;
  s.grid[s.n] = s.n;
  s.records[s.n].name = 'changed';
  words.set('word ' + s.n, 'x'.repeat(5000));
  const { bytes } = await ckpt.checkpoint('n' + s.n);
  say('stored', { bytes });
}
const sum = s.records.reduce((all, { id, name }) => all + id + name.length, 0);
say('state', { n: s.n, grid: [...s.grid.subarray(0, 6)], sum, words: [...words.keys()] });
await ckpt.close();
`;

it('a program goes on from compressed images as from any other, and tools read them', { timeout: 60_000 }, async () => {
  const [lab, other] = [new Laboratory(), new Laboratory()];
  const env = { COMPRESSION: 'brotli' };
  const first = await lab.start(PROGRAM, { env }).ended;
  const { stdout: _, ...plain } = { stdout: '', ...(await other.start(PROGRAM, { env: { COMPRESSION: 'none' } }).ended) };
  const storedOf = (said: typeof first.said): { stored: number; state: number } => said[0]?.['bytes'] as { stored: number; state: number };
  expect(storedOf(first.said).stored).toBeLessThan(storedOf(plain.said).stored / 2);
  expect(storedOf(first.said).state).toBe(storedOf(plain.said).state);

  const second = await lab.start(PROGRAM, { env }).ended;
  const uninterrupted = await other.start(PROGRAM, { env: { COMPRESSION: 'none' } }).ended;
  expect(second.said.find(({ word }) => word === 'state')).toMatchObject({ n: 4 });
  expect(second.said.find(({ word }) => word === 'state')).toEqual(uninterrupted.said.find(({ word }) => word === 'state'));

  const { sections } = JSON.parse(await ckpt(lab, 'stat', 'n4', '--json')) as {
    sections: { name: string; compressed?: { methods: string[]; stored: number; length: number } }[];
  };
  const found = sections.find(({ name }) => name === 's')?.compressed;
  expect(found?.methods).toEqual(['brotli']);
  expect(found?.stored).toBeLessThan((found?.length ?? 0) / 2);
  expect(sections.find(({ name }) => name === 'words')?.compressed).toBeUndefined();
  expect(await ckpt(lab, 'stat', 'n4')).toMatch(/brotli, [\d.]+ KiB/);
  expect(await ckpt(lab, 'verify', 'n4')).toMatch(/n4|ok/i);
  expect(JSON.parse(await ckpt(lab, 'get', 'n4', 's.records[4].name', '--json'))).toBe('changed');
  const differences = await promisify(execFile)(nodePath, [CLI, '--dir', lab.store, 'diff', 'n3', 'n4'], { cwd: lab.folder }).catch(
    ({ stdout }: { stdout: string }) => ({ stdout }),
  );
  expect(differences.stdout).toContain('records');

  await ckpt(lab, 'export', 'n4', '-o', 'out.ckpt');
  const third = new Laboratory();
  await promisify(execFile)(nodePath, [CLI, '--dir', third.store, 'import', join(lab.folder, 'out.ckpt')]);
  expect(
    (await third.start(PROGRAM, { env: { ...env, CKPT_RESTART: 'n4' } }).ended).said.find(({ word }) => word === 'state'),
  ).toMatchObject({ n: 6 });
});

it('asking for what this Node.js lacks is a TypeError that says what has it', async (context) => {
  if (isAvailable('zstd')) context.skip('this Node.js has zstd');
  const { stderr } = await new Laboratory().start(`await open({ compression: 'zstd' });`).ended;
  expect(stderr).toMatch(/TypeError.*compression.*22\.15/);
});
