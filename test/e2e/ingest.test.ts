/** The batch job on real data: killed at random it writes the same bytes, and counts every line once. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DATA } from '../../packages/examples/ingest/data.js';
import { nodePath } from '../fixtures/node.js';

const example = (file: string): string => fileURLToPath(new URL(`../../packages/examples/ingest/${file}`, import.meta.url));

describe('ingest', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ckpt-ingest-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function run(
    file: string,
    args: string[],
    environment: Record<string, string>,
  ): Promise<{ code: number; out: string; err: string }> {
    const { CKPT_RESTART: _, ...inherited } = process.env;
    const env = { ...inherited, NO_COLOR: '1', CKPT_DIR: join(folder, 'store'), ...environment };
    const child = spawn(nodePath, [example(file), ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    const [code] = await once(child, 'close');
    return { code: Number(code ?? -1), out, err };
  }

  it('survives eight kills with the bytes of an undisturbed run and every line counted once', async () => {
    const { code, out, err } = await run('demo.js', [], { CKPT_DEMO_SEED: '7', CKPT_DEMO_OUT: join(folder, 'out') });
    expect(err).toBe('');
    expect(out).toMatch(/kills survived +[1-8]\n/);
    expect(out).toContain('Going on behind line');
    expect(out).toMatch(/each line once +yes/);
    expect(out).toContain('identical: yes');
    expect(code).toBe(0);
  }, 120_000);

  it('reads what the data set holds, and after its end touches nothing', async () => {
    const first = await run('ingest.js', [folder], {});
    expect(first).toMatchObject({ code: 0, err: '', out: expect.stringContaining('10000 reports') });
    const data = readFileSync(DATA, 'utf8');
    const rows = data.split('\n').slice(1);
    const cost = rows.reduce((sum, row) => sum + Number(row.split(',')[12]), 0);
    const ledger = readFileSync(join(folder, 'ledger.csv'), 'utf8').trimEnd().split('\n');
    expect(ledger).toHaveLength(rows.length + 1);
    expect(Number(ledger.at(-1)?.split(',').at(-1))).toBe(cost);

    const summary = readFileSync(join(folder, 'summary.csv'));
    rmSync(join(folder, 'ledger.csv'));
    expect(await run('ingest.js', [folder], {})).toMatchObject({ code: 0, err: '', out: expect.stringContaining('10000 reports') });
    expect(readFileSync(join(folder, 'summary.csv'))).toEqual(summary);
  }, 60_000);
});
