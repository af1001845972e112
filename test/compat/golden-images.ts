/**
 * The golden images: what is in them, fixed for ever, and the neutral description of what a reader finds.
 *
 * A reader of another language produces the same description (read_image.py); equal descriptions mean equal readings.
 */
import { createHash } from 'node:crypto';
import { encodeMember } from '../../packages/sdk/src/codec/codec.js';
import { trackingOf } from '../../packages/sdk/src/codec/length-tracking.js';
import type {
  BaseRecord,
  BufferInput,
  ImageContents,
  ImageHead,
  ImageInput,
  Manifest,
  SectionInput,
} from '../../packages/sdk/src/image/contract.js';
import { hash, hex } from '../../packages/sdk/src/image/integrity.js';
import { readManifest } from '../../packages/sdk/src/image/reader.js';
import { assemble, imageOf, memorySource, pattern } from '../fixtures/memory-image.js';

const TINY_HEAD: ImageHead = {
  image: {
    id: '00112233445566778899aabbccddeeff',
    epoch: 1,
    generation: 1,
    names: [],
    reason: 'call',
    createdAt: 0,
    clockMs: 0,
    finished: false,
    parent: null,
  },
  run: { id: 'f'.repeat(32), app: { name: 'a', version: '1' } },
  producer: { sdk: '1', node: '20', platform: 'linux', arch: 'x64' },
  provenance: { host: 'h', pid: 2, ppid: 1, cwd: '/', execPath: '/n', execArgv: [], argv: [], startedAt: 0, openFiles: [] },
  members: [{ name: 'main', kind: 'program' }],
  files: [],
};

const FULL_HEAD: ImageHead = {
  image: {
    id: '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
    epoch: 3,
    generation: 12,
    names: ['before-anneal', 'Year_100.v2'],
    reason: 'signal',
    createdAt: 1_760_000_000_123,
    clockMs: 86_400_000.25,
    finished: true,
    parent: { id: 'abcdef0123456789abcdef0123456789', epoch: 2, generation: 11 },
  },
  run: { id: '5'.repeat(32), app: { name: 'solar-system', version: '1.2.3' } },
  producer: { sdk: '0.1.0', node: 'v20.20.0', platform: 'linux', arch: 'x64' },
  provenance: {
    host: 'node-7',
    pid: 4242,
    ppid: 1,
    pgrp: 4242,
    sid: 4000,
    cwd: '/srv/solar',
    execPath: '/usr/bin/node',
    execArgv: ['--max-old-space-size=4096'],
    argv: ['simulate.js', '--years=100', 'é'],
    startedAt: 1_759_999_000_000,
    openFiles: [
      { fd: 17, target: '/srv/solar/out.csv', position: 5_000_000_000, flags: 'a' },
      { fd: 18, target: 'socket:[1]' },
    ],
  },
  members: [
    { name: 'main', kind: 'program' },
    { name: 'solver-0', kind: 'worker', entry: './solver.js', options: { nested: [1, null, 'x', 2.5] } },
  ],
  files: [{ member: 'main', name: 'energies', path: '/srv/solar/out.csv', size: 5_000_000_000 }],
};

function filled<T extends ArrayBufferLike>(memory: T, seed: number): T {
  new Uint8Array(memory).set(pattern(memory.byteLength, seed));
  return memory;
}

function values(): Map<string, unknown> {
  const shared = filled(new ArrayBuffer(48), 1);
  const resizable = filled(new ArrayBuffer(24, { maxByteLength: 4096 }), 2);
  const views = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array];
  return new Map<string, unknown>([
    [
      'plain',
      {
        nothing: null,
        yes: true,
        no: false,
        missing: undefined,
        numbers: [
          0,
          -0,
          1,
          -1,
          31,
          32,
          127,
          128,
          255,
          256,
          65_535,
          65_536,
          2 ** 31,
          2 ** 32 - 1,
          2 ** 32,
          -32,
          -33,
          -128,
          -129,
          -32_769,
          -(2 ** 31),
          -(2 ** 31) - 1,
        ],
        doubles: [
          0.1,
          5e-324,
          Number.MAX_VALUE,
          Number.MAX_SAFE_INTEGER,
          -Number.MAX_SAFE_INTEGER,
          2 ** 53,
          Number.NaN,
          Infinity,
          -Infinity,
        ],
        bigints: [0n, -1n, 255n, 2n ** 64n, -(2n ** 200n) + 12_345n],
        strings: [
          '',
          'é',
          '日本',
          '😀',
          '\u0000',
          'x'.repeat(31),
          'x'.repeat(32),
          'y'.repeat(300),
          '\ud800',
          'a\udc00b',
          '\ufeff',
          '\ufeffbom',
        ],
        dates: [new Date(0), new Date(1_760_000_000_123), new Date(-8.64e15), new Date(Number.NaN)],
        empty: [{}, [], new Map(), new Set()],
      },
    ],
    [
      'keys',
      {
        z: 1,
        a: 2,
        '10': 3,
        '2': 4,
        'not an identifier': 5,
        constructor: 6,
        nested: JSON.parse('{"__proto__":{"own":true},"after":1}'),
        odd: { '\udfff': 1, '\ufeffkey': 2, plain: 3 },
        bare: Object.assign(Object.create(null), { a: 1, '\ud800': { b: [2] } }),
        map: new Map<unknown, unknown>([
          ['text', 1],
          [2, 'two'],
          [{ key: 1 }, [new Set([1, 'a', undefined, Number.NaN])]],
          [null, new Map([[1n, -0]])],
        ]),
      },
    ],
    [
      'memory',
      {
        small: filled(new ArrayBuffer(5), 3),
        smallShared: filled(new SharedArrayBuffer(6), 4),
        growable: filled(new SharedArrayBuffer(4, { maxByteLength: 8 }), 5),
        views: views.map((View, i) => new View(filled(new ArrayBuffer(32), 10 + i), 8, 2)),
        big: [new BigInt64Array(filled(new ArrayBuffer(16), 6)), new BigUint64Array(filled(new ArrayBuffer(16), 7))],
        view: new DataView(filled(new ArrayBuffer(10), 8), 3, 4),
        buffer: Buffer.from('on the pool of Node.js'),
        pair: [new Float64Array(shared), new Uint8Array(shared, 40, 8), shared],
        tracking: [new Uint8Array(resizable), new Uint16Array(resizable, 8), new Uint8Array(resizable, 0, 24)],
        bulk: [new Float64Array(filled(new ArrayBuffer(4096), 9)), filled(new SharedArrayBuffer(4104), 20)],
      },
    ],
  ]);
}

function sectionsOf(member: string, roots: ReadonlyMap<string, unknown>, before = 0): { sections: SectionInput[]; buffers: BufferInput[] } {
  const encoded = encodeMember(roots);
  return {
    sections: encoded.sections.map(({ name, encoding, bytes, buffers }) => ({
      member,
      name,
      kind: 'state',
      version: 1,
      encoding,
      buffers: buffers.map((index) => index + before),
      chunks: [bytes],
    })),
    buffers: encoded.buffers.map(({ kind, memory, maxByteLength }) => ({
      member,
      kind,
      ...(maxByteLength === undefined ? {} : { maxLength: maxByteLength }),
      chunks: [new Uint8Array(memory)],
    })),
  };
}

function bulk(): Partial<ImageInput> {
  const zeros = new ArrayBuffer(3 * 2 ** 20 + 1000);
  new Uint8Array(zeros).set(pattern(600, 30), 3 * 2 ** 20 + 100);
  const main = sectionsOf(
    'main',
    new Map<string, unknown>([
      ['grid', { cells: new Float32Array(filled(new ArrayBuffer(9000), 31)), zeros: new Uint8Array(zeros) }],
      ['again', new Float64Array(zeros, 8, 3)],
    ]),
  );
  const room = filled(new ArrayBuffer(5000, { maxByteLength: 2 ** 20 }), 32);
  const more = new Map<string, unknown>([
    ['grid', { cells: new Int32Array(filled(new SharedArrayBuffer(4096), 33)), room, none: new SharedArrayBuffer(8192) }],
  ]);
  const worker = sectionsOf('solver-0', more, main.buffers.length);
  return { head: FULL_HEAD, sections: [...main.sections, ...worker.sections], buffers: [...main.buffers, ...worker.buffers] };
}

/** The bytes of each golden image, by name, as this version writes them. */
export async function makeGolden(): Promise<Map<string, Uint8Array>> {
  const tiny = await imageOf({ head: TINY_HEAD, ...sectionsOf('main', new Map([['sim', { step: 7 }]])) });
  const base = await imageOf({
    head: { ...FULL_HEAD, image: { ...FULL_HEAD.image, id: 'b'.repeat(32), generation: 11, parent: null } },
    ...sectionsOf('main', new Map([['sim', new Uint8Array(filled(new ArrayBuffer(8192), 40))]])),
  });
  return new Map([
    ['tiny', tiny],
    ['values', await imageOf({ head: { ...FULL_HEAD, members: FULL_HEAD.members.slice(0, 1) }, ...sectionsOf('main', values()) })],
    ['bulk', await imageOf(bulk())],
    ['base', base],
    ['incremental', await incremental(base)],
    ...(await paged()),
  ]);
}

/** A buffer of five pages, the last one short: whole, then two of its pages anew, then pages of itself, of both and zeros. */
async function paged(): Promise<[string, Uint8Array][]> {
  const PAGE = 4096;
  const length = 4 * PAGE + 1000;
  const state = pattern(length, 50);
  const page = (index: number): Uint8Array => state.subarray(index * PAGE, Math.min((index + 1) * PAGE, length)).slice();
  const buffer = { member: 'main', kind: 'ArrayBuffer', length } as const;
  const sections = (seed: number): SectionInput[] =>
    sectionsOf('main', new Map([['sim', new Uint8Array(filled(new ArrayBuffer(length), seed))]])).sections;
  const headOf = (digit: string, generation: number): ImageHead => ({
    ...FULL_HEAD,
    image: { ...FULL_HEAD.image, id: digit.repeat(32), generation, parent: null },
  });
  const pin = async (bytes: Uint8Array): Promise<BaseRecord> => {
    const { manifest, manifestHash } = await readManifest(memorySource(bytes));
    const { id, epoch, generation } = manifest.image;
    return { id, epoch, generation, manifestHash };
  };
  const whole = await imageOf({ head: headOf('1', 20), sections: sections(50), buffers: [{ ...buffer, chunks: [state.slice()] }] });
  state.set(pattern(PAGE, 51), PAGE);
  state.set(pattern(1000, 52), 4 * PAGE);
  const first = {
    ...buffer,
    map: Uint8Array.of(2, 1, 2, 2, 1),
    sources: [{ base: 0, buffer: 0, bytes: 3 * PAGE }],
    chunks: [page(1), page(4)],
  };
  const middle = await imageOf({ head: headOf('2', 21), sections: sections(50), buffers: [first], bases: [await pin(whole)] });
  state.set(pattern(PAGE, 53), 2 * PAGE);
  const sources = [
    { base: 0, buffer: 0, bytes: PAGE },
    { base: 1, buffer: 0, bytes: PAGE + 1000 },
  ];
  const second = { ...buffer, map: Uint8Array.of(0, 3, 1, 2, 3), sources, chunks: [page(2)] };
  const bases = [await pin(whole), await pin(middle)];
  const newest = await imageOf({ head: headOf('3', 22), sections: sections(50), buffers: [second], bases });
  return [
    ['pages-1-whole', whole],
    ['pages-2-changed', middle],
    ['pages-3-zeros', newest],
  ];
}

/** Pages 0 and 1 of a buffer: the first from the base, of the second half own bytes and half zeros. */
async function incremental(base: Uint8Array): Promise<Uint8Array> {
  const { manifest, manifestHash } = await readManifest(memorySource(base));
  const [section] = manifest.sections;
  const [buffer] = manifest.buffers;
  const first = buffer?.extents[0]?.place;
  if (section === undefined || buffer === undefined || first?.at !== 'own') throw new Error('the base has one section and one buffer');
  const { id, epoch, generation } = manifest.image;
  const structured = section.extents[0]?.place;
  if (structured?.at !== 'own') throw new Error('the section of the base is stored');
  const taken = (offset: number, length: number): string => hex(hash(base.subarray(offset, offset + length)));
  const own = pattern(2048, 41);
  const made: Manifest = {
    ...manifest,
    image: { ...manifest.image, id: 'c'.repeat(32), generation: 12, parent: { id, epoch, generation } },
    sections: [
      {
        ...section,
        extents: [
          {
            place: { at: 'base', base: 0, offset: structured.offset },
            length: section.length,
            hash: taken(structured.offset, section.length),
          },
        ],
      },
    ],
    buffers: [
      {
        ...buffer,
        extents: [
          { place: { at: 'base', base: 0, offset: first.offset }, length: 4096, hash: taken(first.offset, 4096) },
          { place: { at: 'own', offset: 64 }, length: 2048, hash: hex(hash(own)) },
          { place: { at: 'zero' }, length: 2048 },
        ],
      },
    ],
    bases: [{ id, epoch, generation, manifestHash }],
  };
  return assemble(made, own);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function f64(value: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes.toString('hex');
}

function memoryOf(memory: ArrayBufferLike, buffers: readonly ArrayBufferLike[]): object {
  const index = buffers.indexOf(memory);
  const grows = Reflect.get(memory, memory instanceof ArrayBuffer ? 'resizable' : 'growable') === true;
  return {
    kind: memory instanceof ArrayBuffer ? 'ArrayBuffer' : 'SharedArrayBuffer',
    sha256: sha256(new Uint8Array(memory)),
    maximum: grows ? Reflect.get(memory, 'maxByteLength') : null,
    index: index < 0 ? null : index,
  };
}

/** A value as the golden JSON tells it; `buffers` are those of its member. */
function describeValue(value: unknown, buffers: readonly ArrayBufferLike[]): unknown {
  const inner = (item: unknown): unknown => describeValue(item, buffers);
  const pairs = (entries: Iterable<readonly [unknown, unknown]>): unknown[] => [...entries].map(([key, item]) => [inner(key), inner(item)]);
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'string') return /\p{Surrogate}/u.test(value) ? { utf16le: Buffer.from(value, 'utf16le').toString('hex') } : value;
  if (typeof value === 'number') return { f64: f64(value) };
  if (typeof value === 'bigint') return { bigint: String(value) };
  if (typeof value !== 'object') return { undefined: true };
  if (Array.isArray(value)) return { array: value.map(inner) };
  if (value instanceof Map) return { map: pairs(value) };
  if (value instanceof Set) return { set: [...value].map(inner) };
  if (value instanceof Date) return { date: f64(value.getTime()) };
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return { buffer: memoryOf(value, buffers) };
  if (ArrayBuffer.isView(value)) {
    const tracking = Reflect.get(value.buffer, 'resizable') === true && trackingOf(value) === 'tracking';
    const length = 'length' in value ? value.length : value.byteLength;
    return {
      view: {
        kind: value.constructor.name,
        memory: memoryOf(value.buffer, buffers),
        byteOffset: value.byteOffset,
        length: tracking ? null : length,
      },
    };
  }
  return { [Object.getPrototypeOf(value) === null ? 'nullPrototype' : 'object']: pairs(Object.entries(value)) };
}

/** What a reader finds in an image, as the golden JSON tells it. */
export function describeImage(contents: ImageContents, decode: (section: number, buffers: readonly ArrayBufferLike[]) => unknown): unknown {
  const { manifest, manifestHash } = contents;
  const values = manifest.sections.map(({ member }, i) => {
    const buffers = contents.buffers.filter((_, index) => manifest.buffers[index]?.member === member);
    return describeValue(decode(i, buffers), buffers);
  });
  return { manifestHash, manifest, buffers: contents.buffers.map((memory) => sha256(new Uint8Array(memory))), values };
}
