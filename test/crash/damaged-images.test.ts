/**
 * Damaged, foreign and unknown images, through whole restarts of a program. The fixture's trace has, in order, what the
 * program's own code did (init, restore, handlers) and every operation on the file system: nothing of the program's is called
 * before the last byte of an image has been read and verified.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Manifest } from '../../packages/sdk/src/image/contract.js';
import { hash } from '../../packages/sdk/src/image/integrity.js';
import { type Acknowledged, CounterPlace, type Ended, FAULT_PORTS, undisturbedOutput } from '../fixtures/counter-program.js';
import { withManifest } from '../fixtures/rewritten-image.js';
import { seeded, testSeed } from '../fixtures/seeded.js';
import { inspectStore } from '../fixtures/store-audit.js';

const PROGRAM = { COUNTER_STEPS: 9, COUNTER_CHECKPOINT_EACH: 3, COUNTER_NAMES: '6:six', COUNTER_FIELD: 64, COUNTER_KEEP: 5 };
const OWN_CODE = /^(?:init|restore|at[A-Z]\w+)$/;
const seed = testSeed(23);

let prepared: CounterPlace;
let output: string;
/** Oldest first: steps 3, 6 and (named) 6. */
let images: readonly Acknowledged[];

beforeAll(async () => {
  output = await undisturbedOutput(PROGRAM);
  prepared = new CounterPlace(PROGRAM);
  const { code } = await prepared.run({ COUNTER_CLOSE_AT: 7 });
  images = prepared.acknowledged();
  expect({ code, steps: images.map(({ step }) => step) }).toEqual({ code: 0, steps: [3, 6, 6] });
});
afterAll(() => prepared.remove());

function imageOf(place: CounterPlace, at: number): { readonly id: string; readonly path: string; readonly bytes: Buffer } {
  const image = images.at(at);
  if (image === undefined) throw new Error('no such image');
  const path = join(place.store, 'images', basename(image.path));
  return { id: image.id, path, bytes: readFileSync(path) };
}

function newestPath(place: CounterPlace): string {
  return join(place.store, 'images', basename(images.at(-1)?.path ?? ''));
}

/** A place of its own, with the newest image changed. */
function damaged(change: (bytes: Buffer) => Buffer): CounterPlace {
  const place = prepared.copy();
  const { path, bytes } = imageOf(place, -1);
  writeFileSync(path, change(bytes));
  place.forget('trace');
  return place;
}

function restart(place: CounterPlace, more: Record<string, string> = {}): Promise<Ended> {
  return place.run({ COUNTER_PORTS: FAULT_PORTS, CKPT_FAULT_TRACE: place.trace, ...more });
}

function assertVerifiedFirst(place: CounterPlace, context: string): void {
  const traced = place.traced();
  const lastRead = traced.findLastIndex((line) => /^main (?:open|read) .*\/images\//.test(line));
  const firstOwn = traced.findIndex((line) => OWN_CODE.test(line));
  expect(lastRead, context).toBeGreaterThan(0);
  expect(firstOwn, context).toBeGreaterThan(lastRead);
  expect(traced.filter((line) => OWN_CODE.test(line)).slice(0, 2), context).toEqual(['restore', 'atRestart']);
}

/** It was detected, named and passed over for the image before, and the program ended as if nothing had happened. */
async function assertFallsBack(
  place: CounterPlace,
  context: string,
  code: RegExp = /ERR_CKPT_IMAGE_(?:CORRUPT|INCOMPLETE|LIMIT)/,
): Promise<void> {
  const path = newestPath(place);
  const older = imageOf(place, -2);
  const ended = await restart(place);
  expect({ code: ended.code, from: ended.started?.image, output: place.output() }, `${context} ${ended.stderr}`).toEqual({
    code: 0,
    from: older.id,
    output,
  });
  const told = ended.stderr.split('\n').filter((line) => line.includes('passed over'));
  expect(told, context).toHaveLength(1);
  expect(told[0], context).toContain(path);
  expect(told[0], context).toMatch(code);
  assertVerifiedFirst(place, context);
}

/** Everything in the store but the incarnations. */
function contentOf(place: CounterPlace): Record<string, string> {
  const files = readdirSync(place.store, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const own = files.map((entry) => join(entry.parentPath, entry.name)).filter((path) => !path.includes('/epochs/'));
  return Object.fromEntries(own.map((path) => [path, Buffer.from(hash(readFileSync(path))).toString('hex')]));
}

/** The start was refused with that code, nothing of the program's was called and nothing has changed. */
async function assertRefused(place: CounterPlace, code: string, more: Record<string, string> = {}): Promise<Ended> {
  place.forget('trace');
  const before = contentOf(place);
  const ended = await restart(place, more);
  expect({ code: ended.code, refused: ended.refused?.code }, `${ended.stderr}`).toEqual({ code: 1, refused: code });
  expect(place.traced().filter((line) => OWN_CODE.test(line))).toEqual([]);
  expect(place.output()).toBe('');
  expect(contentOf(place)).toEqual(before);
  return ended;
}

/** Runs the checks two at a time. */
async function inLanes(checks: readonly (() => Promise<void>)[]): Promise<void> {
  const rest = [...checks];
  const lane = async (): Promise<void> => {
    for (let check = rest.shift(); check !== undefined; check = rest.shift()) await check();
  };
  await Promise.all([lane(), lane()]);
}

async function fallsBackAfter(context: string, change: (bytes: Buffer) => Buffer): Promise<void> {
  const place = damaged(change);
  try {
    await assertFallsBack(place, context);
  } finally {
    await place.remove();
  }
}

function used(place: CounterPlace): CounterPlace {
  onTestFinished(() => place.remove());
  return place;
}

describe('a damaged newest image', () => {
  it(`F23: 64 single flipped bits are each detected, named and fallen back from (seed ${seed})`, async () => {
    const { bytes } = imageOf(prepared, -1);
    expect(bytes.length).toBeLessThanOrEqual(8 * 1024);
    const random = seeded(seed);
    const bits = Array.from({ length: 64 }, () => random.whole(bytes.length * 8));
    const flip = (bit: number) => (whole: Buffer) => {
      whole.writeUInt8((whole[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      return whole;
    };
    await inLanes(bits.map((bit) => () => fallsBackAfter(`bit ${bit}`, flip(bit))));
  }, 180_000);

  it(`F24: cuts at 34 lengths, nothing left, and zeros in its place are fallen back from (seed ${seed})`, async () => {
    const { length } = imageOf(prepared, -1).bytes;
    const random = seeded(seed);
    const lengths = [0, 1, 63, 64, length - 129, length - 128, length - 1, ...Array.from({ length: 27 }, () => random.whole(length))];
    const cuts = lengths.map((cut) => () => fallsBackAfter(`cut to ${cut}`, (whole) => whole.subarray(0, cut)));
    const zeros = () => fallsBackAfter('zeros', (whole) => Buffer.alloc(whole.length));
    const half = () =>
      fallsBackAfter('a half of zeros', (whole) => Buffer.concat([whole.subarray(0, length >> 1), Buffer.alloc(length - (length >> 1))]));
    await inLanes([...cuts, zeros, half]);
  }, 180_000);

  it('F25: bytes after its end are fallen back from', async () => {
    const after = [Buffer.of(0), Buffer.alloc(4096), Buffer.from('garbage'), imageOf(prepared, -2).bytes];
    await inLanes(after.map((more) => () => fallsBackAfter(`${more.length} more bytes`, (whole) => Buffer.concat([whole, more]))));
  });

  it('F28: a link or a directory in its place is told and fallen back from, and never followed', async () => {
    const plants = [(path: string, aside: string) => symlinkSync(aside, path), (path: string) => mkdirSync(path)];
    await inLanes(
      plants.map((plant, at) => async () => {
        const place = used(prepared.copy());
        const path = newestPath(place);
        const aside = join(place.store, '..', 'aside.ckpt');
        renameSync(path, aside);
        plant(path, aside);
        place.forget('trace');
        await assertFallsBack(place, `plant ${at}`, /ERR_CKPT_STORE_UNSAFE/);
      }),
    );
  });

  it('F27: blocks that were swapped, or come from another image, or another whole image in its place, are fallen back from', async () => {
    const other = imageOf(prepared, 0).bytes;
    const swap = (from: number, to: number, size: number) => (whole: Buffer) => {
      const copy = Buffer.from(whole);
      whole.copy(copy, from, to, to + size);
      whole.copy(copy, to, from, from + size);
      return copy;
    };
    const splice = (from: number, size: number) => (whole: Buffer) => {
      other.copy(whole, from, from, from + size);
      return whole;
    };
    await inLanes([
      () => fallsBackAfter('two sections swapped', swap(64, 256, 64)),
      () => fallsBackAfter('two far blocks swapped', swap(128, 1024, 64)),
      () => fallsBackAfter('a block of another image', splice(64, 512)),
      () => fallsBackAfter('the head of another image', splice(0, 64)),
      () => fallsBackAfter('another image', () => Buffer.from(other)),
    ]);
  });

  it('F28: asked for by name it is refused, without a substitute; the next start without a name falls back', async () => {
    const place = used(damaged((bytes) => bytes.fill(1, 100, 110)));
    const ended = await assertRefused(place, 'ERR_CKPT_IMAGE_CORRUPT', { CKPT_RESTART: 'six' });
    expect(ended.refused?.message).toContain(imageOf(place, -1).path);
    await assertFallsBack(place, 'after the refusal');
  });
});

describe('a store in which no image can be used', () => {
  it('F29: is refused, never begun anew, until that is asked for', async () => {
    const place = used(prepared.copy());
    for (const at of [0, 1, 2]) writeFileSync(imageOf(place, at).path, imageOf(place, at).bytes.fill(7, 70, 80));
    const ended = await assertRefused(place, 'ERR_CKPT_ALL_DAMAGED');
    for (const at of [0, 1, 2]) expect(ended.refused?.message).toContain(imageOf(place, at).path);
    await assertRefused(place, 'ERR_CKPT_ALL_DAMAGED', { CKPT_RESTART: 'latest' });
    const anew = await restart(place, { CKPT_RESTART: 'never' });
    expect({ code: anew.code, started: anew.started?.restarted, output: place.output() }).toEqual({ code: 0, started: false, output });
  });
});

describe('a newest image that is whole, but not for this program', () => {
  /** The newest image with another head, hashed and closed as it should be. */
  async function rewritten(change: (manifest: Manifest) => Manifest): Promise<CounterPlace> {
    const bytes = await withManifest(imageOf(prepared, -1).bytes, change);
    return used(damaged(() => Buffer.from(bytes)));
  }

  /** Changes the header and its checksum. */
  function withHeader(change: (header: DataView) => void): CounterPlace {
    return used(
      damaged((bytes) => {
        change(new DataView(bytes.buffer, bytes.byteOffset, 64));
        Buffer.from(hash(bytes.subarray(0, 48)).subarray(0, 16)).copy(bytes, 48);
        return bytes;
      }),
    );
  }

  it('is gone on from, rewritten without a change', async () => {
    const place = await rewritten((manifest) => manifest);
    const ended = await restart(place);
    expect({ code: ended.code, from: ended.started?.image, output: place.output() }).toEqual({
      code: 0,
      from: imageOf(place, -1).id,
      output,
    });
  });

  it('F30: of a newer format it is refused, and no older image takes its place', async () => {
    await assertRefused(
      withHeader((header) => header.setUint16(8, 2, true)),
      'ERR_CKPT_IMAGE_VERSION',
    );
  });

  it('F31: that requires an unknown feature it is refused, and no older image takes its place', async () => {
    await assertRefused(
      withHeader((header) => header.setBigUint64(16, 16n, true)),
      'ERR_CKPT_IMAGE_FEATURE',
    );
  });

  it('F36: of another program it is refused', async () => {
    const other = { name: 'another-program', version: '1.0.0' };
    await assertRefused(await rewritten((manifest) => ({ ...manifest, run: { ...manifest.run, app: other } })), 'ERR_CKPT_WRONG_APP');
  });

  it('F36: of another run of the same program it is refused', async () => {
    await assertRefused(
      await rewritten((manifest) => ({ ...manifest, run: { ...manifest.run, id: 'f'.repeat(32) } })),
      'ERR_CKPT_WRONG_RUN',
    );
  });

  it('F36: of another schema it is refused', async () => {
    const place = await rewritten((manifest) => ({
      ...manifest,
      sections: manifest.sections.map((section) => ({ ...section, version: 2 })),
    }));
    const ended = await assertRefused(place, 'ERR_CKPT_SCHEMA');
    expect(ended.lines.some((line) => line.started !== undefined)).toBe(false);
  });

  it('F36: a store of another program is refused as a whole', async () => {
    const place = used(prepared.copy());
    const run = join(place.store, 'run.json');
    writeFileSync(run, JSON.stringify({ ...JSON.parse(readFileSync(run, 'utf8')), app: { name: 'another-program' } }));
    await assertRefused(place, 'ERR_CKPT_WRONG_APP');
  });
});

describe('damage that is not in the newest image', () => {
  it('F53: in a manifest that retention cannot read, it keeps everything from being deleted, and says so', async () => {
    const place = used(prepared.copy());
    const { path, bytes } = imageOf(place, 0);
    // Right before the trailer of 128 bytes.
    writeFileSync(path, bytes.fill(9, bytes.length - 200, bytes.length - 190));
    const ended = await restart(place, { COUNTER_KEEP: '1' });
    expect({ code: ended.code, from: ended.started?.image, output: place.output() }).toEqual({
      code: 0,
      from: imageOf(place, -1).id,
      output,
    });
    expect(ended.stderr).toContain(path);
    const kept = (await inspectStore(place.store)).images.map((image) => image.id);
    expect(kept).toEqual(place.acknowledged().map(({ id }) => id));
  });

  it('by which the newest image is gone altogether goes on from the one before', async () => {
    const place = used(prepared.copy());
    const { path } = imageOf(place, -1);
    renameSync(path, `${path}.away`);
    const ended = await restart(place);
    expect({ code: ended.code, from: ended.started?.image, output: place.output() }).toEqual({
      code: 0,
      from: imageOf(place, -2).id,
      output,
    });
    rmSync(`${path}.away`);
  });
});
