/**
 * The way of an image's bytes to its sink.
 *
 * Invariants
 * 1. Counts what is written; small writes are gathered, so that a small image is one write.
 * 2. What was handed over is not kept once the write has resolved.
 */
import type { ByteSink } from './contract.js';
import { roundUp } from './format.js';

const GATHER_BYTES = 256 * 2 ** 10;
/** Kept for the next image: memory is slow when it is new. */
let spare: Uint8Array | undefined;

export class Output {
  position = 0;
  readonly #sink: ByteSink;
  readonly #gathered: Uint8Array;
  #used = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
    this.#gathered = spare ?? new Uint8Array(GATHER_BYTES);
    spare = undefined;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.position += bytes.length;
    if (this.#used + bytes.length > GATHER_BYTES) await this.flush();
    if (bytes.length >= GATHER_BYTES / 2) {
      await this.flush();
      await this.#sink.write(bytes);
      return;
    }
    this.#gathered.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  async align(step: number): Promise<void> {
    const padding = roundUp(this.position, step) - this.position;
    if (padding > 0) await this.write(new Uint8Array(padding));
  }

  /** After the last flush: nothing may be written any more. */
  end(): void {
    spare = this.#gathered;
  }

  async flush(): Promise<void> {
    if (this.#used === 0) return;
    const used = this.#used;
    this.#used = 0;
    await this.#sink.write(this.#gathered.subarray(0, used));
  }
}
