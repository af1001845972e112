/**
 * Carried sections over generations: whatever is claimed, changed or left alone on the way, a section that nobody claims comes
 * back with the bytes, the memory and the imports that it was written with.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ImageContents, SectionInput, SectionRecord } from '../../packages/sdk/src/image/contract.js';
import { readImage } from '../../packages/sdk/src/image/reader.js';
import { buffersOf } from '../../packages/sdk/src/image/section-buffers.js';
import { CARRIED_KIND, CarriedSections } from '../../packages/sdk/src/state/carried.js';
import { imageOf, memorySource, noBases, pattern } from '../fixtures/memory-image.js';

interface Written {
  readonly buffers: readonly number[];
  readonly imports: readonly number[];
  readonly seed: number;
}

/** What stands behind a section, found through its numbers and imports: the same wherever it is carried to. */
interface Found {
  readonly bytes: string;
  readonly version: number;
  readonly memory: readonly (readonly [number: number, bytes: string])[];
  readonly imports: readonly Found[];
}

const hexOf = (bytes: ArrayBufferLike | Uint8Array): string =>
  Buffer.from(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes as ArrayBuffer)).toString('hex');

function found(contents: ImageContents, index: number): Found {
  const section = contents.manifest.sections[index];
  if (section === undefined) throw new Error(`no section ${index}`);
  const memory = buffersOf(contents.manifest, section, contents.buffers);
  const numbers = section.numbers ?? section.buffers;
  return {
    bytes: hexOf(contents.sections[index] ?? new Uint8Array()),
    version: section.version,
    memory: numbers.map((number) => [number, hexOf(memory[number] ?? new ArrayBuffer(0))]),
    imports: (section.imports ?? []).map((other) => found(contents, other)),
  };
}

function indexOf(contents: ImageContents, name: string): number {
  return contents.manifest.sections.findIndex((section) => section.name === name && section.kind !== CARRIED_KIND);
}

/** The sections of a program that registers these names; every generation writes other bytes. */
function written(prefix: string, sections: readonly Written[]): SectionInput[] {
  return sections.map(({ buffers, imports, seed }, index) => ({
    member: 'main',
    name: `${prefix}${index}`,
    kind: 'state',
    version: 1 + (seed % 5),
    encoding: 'tree-1',
    buffers,
    ...(imports.length === 0 ? {} : { imports }),
    chunks: [pattern(seed % 50, seed)],
  }));
}

const memoryOf = (count: number, seed: number) =>
  Array.from({ length: count }, (_, i) => ({
    member: 'main',
    kind: (seed + i) % 3 === 0 ? ('SharedArrayBuffer' as const) : ('ArrayBuffer' as const),
    chunks: [pattern(8 + ((seed + i) % 7) * 1000, seed + i)],
  }));

async function reread(parts: Parameters<typeof imageOf>[0]): Promise<ImageContents> {
  return readImage(memorySource(await imageOf(parts)), noBases);
}

/** What a program does to everything it was handed: the claimed sections, and all that they reach. */
function spoil({ manifest, sections, buffers }: ImageContents, claimed: (section: SectionRecord) => boolean): void {
  const reached = new Set(manifest.sections.flatMap((section, index) => (claimed(section) ? [index] : [])));
  for (const index of reached) for (const other of manifest.sections[index]?.imports ?? []) reached.add(other);
  for (const index of reached) {
    sections[index]?.fill(0xee);
    for (const buffer of manifest.sections[index]?.buffers ?? []) new Uint8Array(buffers[buffer] ?? new ArrayBuffer(0)).fill(0xee);
  }
}

const BUFFERS = 4;
const writtenArbitrary = (index: number): fc.Arbitrary<Written> =>
  fc.record({
    buffers: fc.subarray([...Array(BUFFERS).keys()]),
    imports: fc.subarray([...Array(index).keys()]),
    seed: fc.integer({ min: 1, max: 1e6 }),
  });
const sectionsArbitrary = fc.integer({ min: 1, max: 5 }).chain((count) => fc.tuple(...[...Array(count).keys()].map(writtenArbitrary)));

test('what nobody claims comes back byte for byte over generations, with its memory and what it imports', async () => {
  await fc.assert(
    fc.asyncProperty(
      sectionsArbitrary,
      fc.array(fc.record({ claims: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }), own: sectionsArbitrary }), {
        minLength: 1,
        maxLength: 4,
      }),
      async (first, lives) => {
        let contents = await reread({ sections: written('s', first), buffers: memoryOf(BUFFERS, first[0]?.seed ?? 1) });
        const expected = new Map(first.map((_, index) => [`s${index}`, found(contents, index)]));
        for (const [life, { claims, own }] of lives.entries()) {
          const carried = new CarriedSections(contents, 'main', () => true);
          const claimed = ({ name, kind }: SectionRecord): boolean =>
            kind !== CARRIED_KIND && (!expected.has(name) || claims[Number(name.slice(1))] === true);
          const unclaimed = contents.manifest.sections.filter((section) => section.kind !== CARRIED_KIND && !claimed(section));
          spoil(contents, claimed);
          carried.keep(unclaimed.map(({ name }) => name));
          for (const name of expected.keys()) if (!unclaimed.some((section) => section.name === name)) expected.delete(name);
          const sections = written(`life${life}-`, own);
          const unread = carried.parts(sections.length, BUFFERS);
          contents = await reread({
            sections: [...sections, ...unread.sections],
            buffers: [...memoryOf(BUFFERS, own[0]?.seed ?? 1), ...unread.buffers],
          });
          for (const [name, before] of expected) expect(found(contents, indexOf(contents, name))).toEqual(before);
          const supports = contents.manifest.sections.filter(({ kind }) => kind === CARRIED_KIND);
          const imported = new Set(
            contents.manifest.sections.flatMap(({ imports = [] }) => imports.map((index) => contents.manifest.sections[index])),
          );
          expect(supports.every((support) => imported.has(support))).toBe(true);
        }
      },
    ),
    { numRuns: 300, seed: 20260 },
  );
});
