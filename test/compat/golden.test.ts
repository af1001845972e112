import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isAvailable } from '../../packages/sdk/src/image/compression.js';
import type { Manifest } from '../../packages/sdk/src/image/contract.js';
import { readImage } from '../../packages/sdk/src/image/reader.js';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { imageOf, section as madeOf, memorySource, noBases } from '../fixtures/memory-image.js';
import { mutated } from '../fixtures/mutation.js';
import { seeded } from '../fixtures/seeded.js';
import { needTool } from '../fixtures/tools.js';
import { describeBytes, describeGolden, FOLDER, goldenBytes, goldenDescription, goldenNames, openGoldenBase } from './golden-files.js';

const READER = fileURLToPath(new URL('./read_image.py', import.meta.url));
const DOCUMENT = fileURLToPath(new URL('../../docs/image-format.md', import.meta.url));
/** That of the system first: the modules are packages of the system, and another one in the path may lack them. */
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
const MUTATED = 150;
const FIRST = [
  'base',
  'brotli',
  'bulk',
  'carried',
  'columns',
  'graph',
  'incremental',
  'pages-1-whole',
  'pages-2-changed',
  'pages-3-zeros',
  'tiny',
  'values',
  'zstd',
];
const NEED_ZSTD: readonly string[] = isAvailable('zstd') ? [] : ['zstd'];

function python(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(PYTHON, [READER, ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 });
}

describe('golden images', () => {
  it('are all there', () => {
    expect(goldenNames()).toEqual(expect.arrayContaining(FIRST));
  });

  it('F17: have every kind of object and every field that an image may have', () => {
    const { manifest, objects } = goldenDescription('graph') as { manifest: Manifest; objects: readonly { readonly is: string }[] };
    const kinds = 'array boxed buffer date error instance map nullPrototype object regexp set url view'.split(' ');
    expect([...new Set(objects.map(({ is }) => is))].sort()).toEqual(kinds);
    expect([...new Set(manifest.sections.map(({ encoding }) => encoding))].sort()).toEqual(['graph-1', 'segments-1']);
    const columns = goldenDescription('columns') as { manifest: Manifest };
    expect(columns.manifest.sections.map(({ encoding }) => encoding)).toEqual(['graph-1', 'raw']);
    const carried = goldenDescription('carried') as { manifest: Manifest };
    const fields = new Set(carried.manifest.sections.flatMap((section) => Object.keys(section)));
    expect([...fields]).toEqual(expect.arrayContaining(['numbers', 'imports', 'carriedFrom', 'dropped']));
  });

  it.each(goldenNames())('%s still reads as what it was written as, or is refused for what this Node.js lacks', async (name) => {
    if (NEED_ZSTD.includes(name)) {
      await expect(describeGolden(name)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_FEATURE' });
      await expect(verifyImage(memorySource(goldenBytes(name)), openGoldenBase)).rejects.toMatchObject({ code: 'ERR_CKPT_IMAGE_FEATURE' });
      return;
    }
    expect(await describeGolden(name)).toEqual(goldenDescription(name));
    expect(await verifyImage(memorySource(goldenBytes(name)), openGoldenBase)).toEqual([]);
  });

  it('the worked example of the document is tiny.ckpt, byte for byte', () => {
    const rows = [...readFileSync(DOCUMENT, 'utf8').matchAll(/^[0-9a-f]{4} {2}((?:[0-9a-f]{2} ?)+)/gm)].map(([, row = '']) => row);
    expect(Buffer.from(rows.join('').replaceAll(' ', ''), 'hex').toString('hex')).toBe(Buffer.from(goldenBytes('tiny')).toString('hex'));
  });
});

describe('the reader in Python, written from the document alone', () => {
  it.for(goldenNames())('reads %s as this one does, or says which module it lacks', (name, context) => {
    needTool(context, 'python3');
    const { status, stdout, stderr } = python(`${FOLDER}${name}.ckpt`, '--bases', FOLDER);
    if (['brotli', 'zstd'].includes(name) && status !== 0) {
      expect(stderr).toMatch(/unavailable: the image is compressed with \w+: install the Python module/);
      context.skip('lacks a module of Python');
    }
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual(goldenDescription(name));
  });

  it('F23: refuses every golden image with a flipped byte, as this one does', (context) => {
    needTool(context, 'python3');
    const { status, stdout } = python('--self-test', `${FOLDER}tiny.ckpt`);
    expect(stdout.trim()).toBe(`refused ${goldenBytes('tiny').length} of ${goldenBytes('tiny').length}`);
    expect(status).toBe(0);
  });

  it('F33: refuses what is wrong inside of a section of graph-1, and reads the same where this one reads', async (context) => {
    needTool(context, 'python3');
    const folder = mkdtempSync(join(tmpdir(), 'ckpt-golden-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const { sections } = await readImage(memorySource(goldenBytes('graph')), noBases);
    const [cycles = new Uint8Array(), classes = cycles, , , , values = cycles] = sections;
    const described: (unknown | undefined)[] = [];
    for (let seed = 1; seed <= MUTATED; seed++) {
      const bytes = await imageOf({
        sections: [
          {
            ...madeOf('s', [mutated(seeded(seed), [cycles, classes, values][seed % 3] ?? cycles, classes)]),
            encoding: 'graph-1',
          },
        ],
      });
      writeFileSync(join(folder, `${seed}.ckpt`), bytes);
      described.push(await describeBytes(bytes).catch(() => undefined));
    }
    const paths = described.map((_, index) => join(folder, `${index + 1}.ckpt`));
    const { stdout, stderr } = python('--each', ...paths);
    expect(stderr).toBe('');
    const read: unknown[] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    for (const [index, one] of described.entries()) if (one !== undefined) expect([index, read[index]]).toEqual([index, one]);
    const differing = described.filter((one, index) => one === undefined && read[index] !== null).length;
    expect(differing).toBe(0);
    expect(described.filter((one) => one !== undefined).length).toBeGreaterThan(MUTATED / 50);
  });
});
