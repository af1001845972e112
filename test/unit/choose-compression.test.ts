import { expect, test } from 'vitest';
import { CompressionChoice } from '../../packages/sdk/src/checkpoint/choose-compression.js';
import { PREFERRED } from '../../packages/sdk/src/image/compression.js';
import type { CapturedSection } from '../../packages/sdk/src/state/provider.js';
import { rows } from '../fixtures/compressed.js';
import { ManualClock } from '../fixtures/manual-clock.js';
import { pattern, section } from '../fixtures/memory-image.js';

const MIB = 2 ** 20;
/** Milliseconds for a MiB. */
const FAST_DISK = 1;
const SLOW_DISK = 1000;

/** Each look at it is a millisecond later: compressing a sample takes one, which is some 16 ms for a MiB. */
class SteppingClock extends ManualClock {
  looks = 0;

  override monotonic(): number {
    return this.looks++;
  }
}

function structured(name: string, bytes: Uint8Array): CapturedSection {
  return { ...section(name, [bytes.subarray(0, 100), bytes.subarray(100)]), encoding: 'graph-1' };
}

const TABLE = structured('table', rows(MIB));
const NOISE = structured('noise', pattern(MIB));

function onDisk(
  msPerMiB: number,
  compression: ConstructorParameters<typeof CompressionChoice>[0] = 'auto',
  clock = new SteppingClock(),
): CompressionChoice {
  const choice = new CompressionChoice(compression, clock);
  choice.wrote(16 * MIB, 16 * msPerMiB);
  return choice;
}

test('auto compresses what a sample shows to pay, by what the disk has taken for the images before', async () => {
  expect(await onDisk(SLOW_DISK).of([TABLE, NOISE, structured('small', rows(1000))])).toEqual([PREFERRED, undefined, undefined]);
  expect(await onDisk(FAST_DISK).of([TABLE, NOISE])).toEqual([undefined, undefined]);
});

test('auto compresses nothing before an image has shown how fast the disk is, nor by one that is too small to show it', async () => {
  const choice = new CompressionChoice('auto', new SteppingClock());
  expect(await choice.of([TABLE])).toEqual([undefined]);
  choice.wrote(1000, 1000);
  expect(await choice.of([TABLE])).toEqual([undefined]);
  choice.wrote(16 * MIB, 16 * SLOW_DISK);
  expect(await choice.of([TABLE])).toEqual([PREFERRED]);
});

test('a disk that was slow once does not count as slow', async () => {
  const choice = onDisk(FAST_DISK);
  choice.wrote(16 * MIB, 16 * SLOW_DISK);
  expect(await choice.of([TABLE])).toEqual([undefined]);
});

test('a sample holds for some images, and until the section has another size', async () => {
  const clock = new SteppingClock();
  const choice = onDisk(SLOW_DISK, 'auto', clock);
  await choice.of([TABLE]);
  const { looks } = clock;
  expect(await choice.of([TABLE])).toEqual([PREFERRED]);
  expect(clock.looks).toBe(looks);
  await choice.of([structured('table', rows(3 * MIB))]);
  expect(clock.looks).toBe(looks + 2);
  for (let image = 0; image < 20; image++) await choice.of([structured('table', rows(3 * MIB))]);
  expect(clock.looks).toBe(looks + 4);
});

test('what was asked for is done without a look; files, logs and what has another encoding stay as they are', async () => {
  const raw = { ...TABLE, encoding: 'raw' };
  const log = { ...TABLE, follows: 0 };
  expect(await new CompressionChoice('brotli', new SteppingClock()).of([TABLE, NOISE, raw, log])).toEqual([
    'brotli',
    'brotli',
    undefined,
    undefined,
  ]);
  expect(await onDisk(SLOW_DISK, 'none').of([TABLE])).toEqual([undefined]);
});
