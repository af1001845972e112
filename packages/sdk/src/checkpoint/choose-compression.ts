/**
 * Which sections of an image are compressed, and how.
 *
 * Invariants
 * 1. Only whole structured state is: what later images go on from by its place in the file (logs, files, pages) stays as it is.
 * 2. `auto` compresses a section only where a sample of it became clearly smaller, and in less time than the disk takes for what
 *    that saves, as the images before this one have shown; so an image is not durable later for it.
 * 3. What a sample told holds for some images; a sample is small, and nothing is sampled that is small itself.
 */
import type { Clock } from '../base/ports.js';
import { GRAPH_1 } from '../codec/graph-format.js';
import { compress, PREFERRED } from '../image/compression.js';
import type { Method } from '../image/contract.js';
import { lengthOf } from '../image/writer.js';
import type { CapturedSection } from '../state/provider.js';

export type Compression = 'auto' | 'none' | Method;

const LEAST_BYTES = 2 ** 16;
/** Below it the syncs are what takes the time. */
const LEAST_IMAGE = 2 ** 22;
const SAMPLE_PIECES = 3;
const PIECE_BYTES = 21 * 2 ** 10;
const LEAST_GAIN = 1.25;
/** The disk counts as fast as the fastest of the last images was written. */
const IMAGES_MEASURED = 4;
const IMAGES_A_SAMPLE_HOLDS = 16;

interface Sampled {
  readonly ratio: number;
  /** To compress it. */
  readonly msPerByte: number;
  readonly length: number;
  left: number;
}

export class CompressionChoice {
  readonly #compression: Compression;
  readonly #clock: Clock;
  readonly #samples = new Map<string, Sampled>();
  #msPerByte: number[] = [];

  constructor(compression: Compression, clock: Clock) {
    this.#compression = compression;
    this.#clock = clock;
  }

  /** For each section what to compress it with; undefined: with nothing. */
  async of(sections: readonly CapturedSection[]): Promise<readonly (Method | undefined)[]> {
    const methods: (Method | undefined)[] = [];
    for (const section of sections) methods.push(mayBeCompressed(section) ? await this.#choose(section) : undefined);
    return methods;
  }

  /** An image was written in this time, as far as the disk took it. */
  wrote(bytes: number, ms: number): void {
    if (bytes >= LEAST_IMAGE) this.#msPerByte = [ms / bytes, ...this.#msPerByte].slice(0, IMAGES_MEASURED);
  }

  async #choose(section: CapturedSection): Promise<Method | undefined> {
    if (this.#compression === 'none') return undefined;
    if (this.#compression !== 'auto') return this.#compression;
    const disk = Math.min(...this.#msPerByte);
    if (disk === Number.POSITIVE_INFINITY || lengthOf(section) < LEAST_BYTES) return undefined;
    const { ratio, msPerByte } = await this.#sample(section);
    return ratio >= LEAST_GAIN && msPerByte < disk * (1 - 1 / ratio) ? PREFERRED : undefined;
  }

  /** Invariant 3. */
  async #sample(section: CapturedSection): Promise<Sampled> {
    const key = JSON.stringify([section.member, section.name]);
    const length = lengthOf(section);
    const known = this.#samples.get(key);
    if (known !== undefined && known.left-- > 0 && length < 2 * known.length && known.length < 2 * length) return known;
    const sample = sampleOf(section.chunks);
    const start = this.#clock.monotonic();
    const compressed = await compress(PREFERRED, sample);
    const ms = this.#clock.monotonic() - start;
    const sampled = { ratio: sample.length / compressed.length, msPerByte: ms / sample.length, length, left: IMAGES_A_SAMPLE_HOLDS };
    this.#samples.set(key, sampled);
    return sampled;
  }
}

/** Invariant 1. */
function mayBeCompressed({ encoding, follows }: CapturedSection): boolean {
  return encoding === GRAPH_1 && follows === undefined;
}

/** Pieces of its beginning, middle and end. */
function sampleOf(chunks: readonly Uint8Array[]): Uint8Array {
  const length = lengthOf({ chunks });
  const size = Math.min(PIECE_BYTES, Math.floor(length / SAMPLE_PIECES));
  const sample = new Uint8Array(size * SAMPLE_PIECES);
  for (let piece = 0; piece < SAMPLE_PIECES; piece++) {
    const from = Math.floor(((length - size) * piece) / (SAMPLE_PIECES - 1));
    let at = 0;
    for (const chunk of chunks) {
      const part = chunk.subarray(Math.max(from - at, 0), Math.max(from + size - at, 0));
      sample.set(part, piece * size + Math.max(at - from, 0));
      at += chunk.length;
      if (at >= from + size) break;
    }
  }
  return sample;
}
