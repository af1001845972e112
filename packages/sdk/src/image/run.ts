/**
 * Writing one run of bytes (a section or a buffer), given in parts: bytes, and extents that lie elsewhere.
 *
 * Invariants
 * 1. Bytes are cut into extents of EXTENT_BYTES, counted from the run's beginning or from the last extent that lies
 *    elsewhere; a cut that is all zero is stated and not stored.
 * 2. The parts of one cut at most are held; they are let go once it is stored.
 * 3. A run begins at a multiple of its alignment unless nothing of it is stored.
 * 4. A cut is compressed only where that is asked for, and stored so only where it is worth reading it back.
 */
import { compress } from './compression.js';
import type { CompressedPart, Extent, Method, Parts } from './contract.js';
import { EXTENT_BYTES } from './format.js';
import { hash, hashParts, hex, isZero } from './integrity.js';
import type { Output } from './output.js';

export interface WrittenRun {
  readonly length: number;
  readonly extents: readonly Extent[];
}

export interface RunOptions {
  readonly alignment: number;
  /** How many bases the extents among the parts may refer to. */
  readonly bases: number;
  /** Also what is all zero is stored. */
  readonly storeZeros?: boolean;
  readonly compression?: Method | undefined;
}

export async function writeRun(out: Output, parts: Parts, options: RunOptions): Promise<WrittenRun> {
  const run = new Run(out, options);
  for await (const part of parts) {
    if (part instanceof Uint8Array) {
      for (let at = 0; at < part.length; ) at += await run.take(part.subarray(at));
    } else {
      await run.store();
      if ('compressed' in part) await run.storeCompressed(part);
      else run.add(checked(part, options.bases));
    }
  }
  await run.store();
  return { length: run.length, extents: run.extents };
}

/** Nothing is gained below: the file system stores whole blocks. */
const LEAST_COMPRESSED = 512;
const WORTH = 0.9;

class Run {
  readonly extents: Extent[] = [];
  length = 0;
  readonly #out: Output;
  readonly #options: RunOptions;
  #cut: Uint8Array[] = [];
  #cutLength = 0;
  #stored = false;

  constructor(out: Output, options: RunOptions) {
    this.#out = out;
    this.#options = options;
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
    const { storeZeros = false, compression: method } = this.#options;
    if (!storeZeros && cut.every(isZero)) {
      this.add({ place: { at: 'zero' }, length });
      return;
    }
    if (method !== undefined && length >= LEAST_COMPRESSED) {
      const compressed = await compress(method, cut.length === 1 ? (cut[0] ?? new Uint8Array()) : Buffer.concat(cut));
      if (compressed.length <= length * WORTH) return this.storeCompressed({ compressed, method, length });
    }
    await this.#begin();
    this.add({ place: { at: 'own', offset: this.#out.position }, length, hash: hex(hashParts(cut)) });
    for (const part of cut) await this.#out.write(part);
  }

  async storeCompressed({ compressed, method, length }: CompressedPart): Promise<void> {
    await this.#begin();
    const place = { at: 'compressed', offset: this.#out.position, stored: compressed.length, method } as const;
    this.add({ place, length, hash: hex(hash(compressed)) });
    await this.#out.write(compressed);
  }

  async #begin(): Promise<void> {
    if (!this.#stored) await this.#out.align(this.#options.alignment);
    this.#stored = true;
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
