/**
 * Writing one run of bytes (a section or a buffer), given in parts: bytes, and extents that lie elsewhere.
 *
 * Invariants
 * 1. Bytes are cut into extents of EXTENT_BYTES, counted from the run's beginning or from the last extent that lies
 *    elsewhere; a cut that is all zero is stated and not stored.
 * 2. The parts of one cut at most are held; they are let go once it is stored.
 * 3. A run begins at a multiple of its alignment unless nothing of it is stored.
 */
import type { Extent, Parts } from './contract.js';
import { EXTENT_BYTES } from './format.js';
import { hashParts, hex, isZero } from './integrity.js';
import type { Output } from './output.js';

export interface WrittenRun {
  readonly length: number;
  readonly extents: readonly Extent[];
}

/**
 * @param bases how many bases the extents among the parts may refer to
 * @param storeZeros also what is all zero is stored
 */
export async function writeRun(out: Output, parts: Parts, alignment: number, bases: number, storeZeros = false): Promise<WrittenRun> {
  const run = new Run(out, alignment, storeZeros);
  for await (const part of parts) {
    if (part instanceof Uint8Array) {
      for (let at = 0; at < part.length; ) at += await run.take(part.subarray(at));
    } else {
      await run.store();
      run.add(checked(part, bases));
    }
  }
  await run.store();
  return { length: run.length, extents: run.extents };
}

class Run {
  readonly extents: Extent[] = [];
  length = 0;
  readonly #out: Output;
  readonly #alignment: number;
  readonly #storeZeros: boolean;
  #cut: Uint8Array[] = [];
  #cutLength = 0;
  #stored = false;

  constructor(out: Output, alignment: number, storeZeros: boolean) {
    this.#storeZeros = storeZeros;
    this.#out = out;
    this.#alignment = alignment;
  }

  /** Takes as much as the cut has room for, and stores a cut that is full. @returns how much it took */
  async take(bytes: Uint8Array): Promise<number> {
    const part = bytes.subarray(0, EXTENT_BYTES - this.#cutLength);
    this.#cut.push(part);
    this.#cutLength += part.length;
    if (this.#cutLength === EXTENT_BYTES) await this.store();
    return part.length;
  }

  /** Ends the cut. */
  async store(): Promise<void> {
    const [cut, length] = [this.#cut, this.#cutLength];
    if (length === 0) return;
    this.#cut = [];
    this.#cutLength = 0;
    if (!this.#storeZeros && cut.every(isZero)) {
      this.add({ place: { at: 'zero' }, length });
      return;
    }
    if (!this.#stored) await this.#out.align(this.#alignment);
    this.#stored = true;
    this.add({ place: { at: 'own', offset: this.#out.position }, length, hash: hex(hashParts(cut)) });
    for (const part of cut) await this.#out.write(part);
  }

  /** Zeros that adjoin become one extent. */
  add(extent: Extent): void {
    this.length += extent.length;
    const last = this.extents.at(-1);
    if (extent.place.at !== 'zero' || last?.place.at !== 'zero') this.extents.push(extent);
    else this.extents[this.extents.length - 1] = { place: last.place, length: last.length + extent.length };
  }
}

const HASH = /^[0-9a-f]{64}$/;

/** What the reader would refuse is not written. */
function checked(extent: Extent, bases: number): Extent {
  const { place, length, hash = '' } = extent;
  const whole = Number.isSafeInteger(length) && length > 0;
  if (whole && place.at === 'zero') return { place, length };
  if (whole && place.at === 'base' && length <= EXTENT_BYTES && place.base < bases && HASH.test(hash)) return extent;
  throw new TypeError(
    `write image: expected zeros or at most ${EXTENT_BYTES} bytes of one of ${bases} bases, got ${JSON.stringify(extent)}`,
  );
}
