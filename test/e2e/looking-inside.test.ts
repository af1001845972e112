/** `ckpt get` and `ckpt diff` on the images of a real program: the solar system, and a state with everything odd in it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { begin, forward, type System } from '../../packages/examples/solar-system/system.js';
import { nodePath } from '../fixtures/node.js';
import { Laboratory } from '../fixtures/sdk-program.js';

const cli = fileURLToPath(new URL('../../packages/sdk/dist/cli.js', import.meta.url));
const system = new URL('../../packages/examples/solar-system/system.js', import.meta.url).href;

/** Steps between the two images. */
const STEPS = 40;

const PROGRAM = `
import { begin, forward } from '${system}';
class Probe { constructor(spin) { this.spin = spin; } }
const ckpt = await open();
ckpt.registerClass('Probe', Probe);
const sun = ckpt.state('solar-system', () => begin(1));
const odd = ckpt.state('odd', () => {
  const probe = new Probe(-0);
  return { probe, again: probe, names: new Map([['a', 1n], [probe, NaN]]), evil: '\\u001b[2J\\u202e', 'odd key': [1, , 3], set: new Set(['x']) };
});
const big = ckpt.state('big', () => ({ field: new Float32Array(2 ** 20).fill(1) }));
await ckpt.start();
await ckpt.checkpoint('before');
for (let i = 0; i < ${STEPS}; i++) forward(sun);
odd.probe.spin = 2;
odd.evil += '!';
odd.names.delete('a');
odd.names.set('b', { at: sun.positions });
odd.set = ['x'];
big.field[1000] = -4;
await ckpt.checkpoint('after');
await ckpt.close();
`;

interface Ended {
  readonly code: number;
  readonly out: Buffer;
  readonly text: string;
  readonly err: string;
}

async function ckpt(store: string, ...args: string[]): Promise<Ended> {
  const env = { ...process.env, CKPT_DIR: store, NO_COLOR: '1' };
  const child = spawn(nodePath, [cli, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (err += chunk));
  const [code] = await once(child, 'close');
  const out = Buffer.concat(chunks);
  return { code: Number(code), out, text: out.toString('utf8'), err };
}

/** The states of the two images, computed here. */
function states(): { readonly before: System; readonly after: System } {
  const after = begin(1);
  for (let step = 0; step < STEPS; step++) forward(after);
  return { before: begin(1), after };
}

let folder: string;
let made: Promise<void> | undefined;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ckpt-looking-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The store that the program made; nothing here writes into it. */
async function withImages(): Promise<string> {
  const store = join(folder, 'store');
  made ??= (async () => {
    const laboratory = new Laboratory();
    await laboratory.run(PROGRAM);
    cpSync(laboratory.store, store, { recursive: true });
  })();
  await made;
  return store;
}

describe('ckpt diff', () => {
  it('tells paths with their marks, sums of numbers, and exits 1; of an image and itself nothing, and 0', async () => {
    const store = await withImages();
    const { before, after } = states();
    const changes = (name: 'positions' | 'velocities'): string => {
      const deltas = after[name].map((value, index) => Math.abs(value - (before[name][index] ?? 0)));
      const { length } = deltas.filter((delta) => delta > 0);
      return `${length} of ${deltas.length} elements, max |Δ| ${Math.max(...deltas)}, first at [${deltas.findIndex((delta) => delta > 0)}]`;
    };
    const { code, text, err } = await ckpt(store, 'diff', 'before', 'after');
    expect(err).toBe('');
    expect(text.split('\n')).toEqual([
      `M solar-system.step  0 → ${STEPS}`,
      `M solar-system.positions  ${changes('positions')}`,
      `M solar-system.velocities  ${changes('velocities')}`,
      'M odd.probe.spin  -0 → 2',
      '- odd.names<key "a">  1n',
      '+ odd.names<key "b">  { at: [Float64Array(27)] }',
      'M odd.evil  "\\u001b[2J\\u{202e}" → "\\u001b[2J\\u{202e}!"',
      'T odd.set  Set(1) { "x" } → Array [ "x" ]',
      'M big.field  1 of 1048576 elements, max |Δ| 5, first at [1000]',
      '',
    ]);
    expect(code).toBe(1);
    expect(await ckpt(store, 'diff', 'after', 'latest')).toMatchObject({ code: 0, text: '', err: '' });
  });

  it('--json and --limit bound the same differences, and only what changed is read', async () => {
    const store = await withImages();
    const { code, text } = await ckpt(store, 'diff', 'before', 'after', '--json', '--limit', '2');
    const found = JSON.parse(text);
    expect(code).toBe(1);
    expect(found).toMatchObject({
      a: { names: ['before'], generation: 1 },
      b: { names: ['after'], generation: 2 },
      same: false,
      counts: { added: 1, removed: 1, modified: 6, typeChanged: 1 },
      differences: [
        { mark: 'M', path: 'solar-system.step', section: 'solar-system', member: 'main', a: { kind: 'number', text: '0' } },
        { mark: 'M', path: 'solar-system.positions', part: 'elements', elements: { of: 27 } },
      ],
    });
    // Of the field one extent of the older image, and the page that the newer one has itself.
    expect(found.bytes.unread).toBe(2 * 4 * 2 ** 20 - 2 ** 20 - 4096);
    expect(text.includes('\u001b')).toBe(false);
    const short = await ckpt(store, 'diff', 'before', 'after', '--limit', '1');
    expect(short.text).toMatch(/^M solar-system\.step .*\nand 8 more \(--limit N shows more\)\n$/);
  });

  it('fails as other commands do: no such image, damage, a command line that makes no sense', async () => {
    const store = await withImages();
    expect(await ckpt(store, 'diff', 'before', 'nowhere')).toMatchObject({ code: 10, text: '' });
    expect(await ckpt(store, 'diff', 'before')).toMatchObject({ code: 2, text: '' });
    expect(await ckpt(store, 'diff', 'before', 'after', '--limit', 'x')).toMatchObject({ code: 2, text: '' });
    const [before = ''] = readdirSync(join(store, 'images')).sort();
    const bytes = readFileSync(join(store, 'images', before));
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    const path = join(folder, 'damaged.ckpt');
    writeFileSync(path, bytes);
    const damaged = await ckpt(store, 'diff', 'after', path, '--json');
    expect(damaged).toMatchObject({ code: 12, text: '' });
    expect(JSON.parse(damaged.err).error.code).toBe('ERR_CKPT_IMAGE_CORRUPT');
  });
});

describe('ckpt get', () => {
  it('shows sections, slices and values, escaped, and says where a path leads nowhere', async () => {
    const store = await withImages();
    const { after } = states();
    const get = (...args: string[]): Promise<Ended> => ckpt(store, 'get', 'after', ...args);
    expect((await get()).text).toMatch(/^SECTION .*\nsolar-system +main +state .*\nodd +main .*\nbig +main +state +4\.0 MiB\n$/);
    expect((await get('solar-system.positions[0:2]')).text).toBe(`Float64Array(2) [ ${after.positions[0]}, ${after.positions[1]} ]\n`);
    expect((await get('solar-system.step')).text).toBe(`${STEPS}\n`);
    expect((await get('odd.evil')).text).toBe('"\\u001b[2J\\u{202e}!"\n');
    expect((await get('odd["odd key"][-1]')).text).toBe('3\n');
    expect(await get('odd.probe.mass')).toMatchObject({ code: 10, text: '', err: expect.stringContaining('odd.probe') });
    expect(await get('odd..')).toMatchObject({ code: 2, text: '' });
  });

  it('--json tells each value with the tags of the guide', async () => {
    const store = await withImages();
    const { text, code } = await ckpt(store, 'get', 'before', 'odd', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(text)).toEqual({
      probe: { $class: { name: 'Probe', version: 1, data: { spin: { $number: '-0' } } } },
      again: { $ref: 'odd.probe' },
      names: {
        $map: [
          ['a', { $bigint: '1' }],
          [{ $ref: 'odd.probe' }, { $number: 'NaN' }],
        ],
      },
      evil: '\u001b[2J\u202e',
      'odd key': [1, { $holes: 1 }, 3],
      set: { $set: ['x'] },
    });
    expect(text).not.toMatch(/[\u001b\u202e]/);
  });

  it('--npy is a file that holds the elements bit for bit, and nothing but a typed array has one', async () => {
    const store = await withImages();
    const { out, code } = await ckpt(store, 'get', 'after', 'solar-system.velocities[3:9]', '--npy');
    expect(code).toBe(0);
    const header = out.subarray(0, out.length - 48);
    expect(header.toString('latin1')).toMatch(/^\x93NUMPY\x01\x00..\{'descr': '<f8', 'fortran_order': False, 'shape': \(6,\), \} *\n$/s);
    expect(out.length % 8).toBe(0);
    expect(new Float64Array(new Uint8Array(out.subarray(-48)).buffer)).toEqual(states().after.velocities.slice(3, 9));
    expect(await ckpt(store, 'get', 'after', 'odd', '--npy')).toMatchObject({ code: 2, text: '' });
    expect(await ckpt(store, 'get', 'after', '--npy')).toMatchObject({ code: 2, text: '' });
  });
});
