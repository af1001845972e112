/** `CKPT_WRITE_GOLDEN=1 npx vitest run test/compat/golden.test.ts` writes golden images that are missing. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { verifyImage } from '../../packages/sdk/src/image/verify.js';
import { memorySource } from '../fixtures/memory-image.js';
import { needTool } from '../fixtures/tools.js';
import { describeGolden, FOLDER, goldenBytes, goldenDescription, goldenNames, openGoldenBase, writeMissing } from './golden-files.js';
import { makeGolden } from './golden-images.js';

const READER = fileURLToPath(new URL('./read_image.py', import.meta.url));
const DOCUMENT = fileURLToPath(new URL('../../docs/image-format.md', import.meta.url));
const FIRST = ['base', 'bulk', 'incremental', 'pages-1-whole', 'pages-2-changed', 'pages-3-zeros', 'tiny', 'values'];

if (process.env['CKPT_WRITE_GOLDEN'] === '1') await writeMissing();

function python(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync('python3', [READER, ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 });
}

describe('golden images', () => {
  it('are all there', () => {
    expect(goldenNames()).toEqual(expect.arrayContaining(FIRST));
  });

  it.each(goldenNames())('%s still reads as what it was written as', async (name) => {
    expect(await describeGolden(name)).toEqual(goldenDescription(name));
    expect(await verifyImage(memorySource(goldenBytes(name)), openGoldenBase)).toEqual([]);
  });

  it('are written by this version byte for byte as they were', async () => {
    for (const [name, bytes] of await makeGolden()) expect(Buffer.compare(bytes, goldenBytes(name)), name).toBe(0);
  });

  it('the worked example of the document is tiny.ckpt, byte for byte', () => {
    const rows = [...readFileSync(DOCUMENT, 'utf8').matchAll(/^[0-9a-f]{4} {2}((?:[0-9a-f]{2} ?)+)/gm)].map(([, row = '']) => row);
    expect(Buffer.from(rows.join('').replaceAll(' ', ''), 'hex').toString('hex')).toBe(Buffer.from(goldenBytes('tiny')).toString('hex'));
  });
});

describe('the reader in Python, written from the document alone', () => {
  it.for(goldenNames())('reads %s as this one does', (name, context) => {
    needTool(context, 'python3');
    const { status, stdout, stderr } = python(`${FOLDER}${name}.ckpt`, '--bases', FOLDER);
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
});
