/**
 * Memory that the members of a set share, by name.
 *
 * Invariants
 * 1. One memory a name, as long as the run lasts; what the image recorded comes back under its name.
 * 2. What the program has not asked for is carried into every image.
 */
import { CheckpointError } from '../base/errors.js';

const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

export class SharedMemories {
  readonly #memories = new Map<string, SharedArrayBuffer>();

  /** @param recorded value of the image's section, a map from names to memories */
  constructor(recorded: unknown) {
    if (!(recorded instanceof Map)) return;
    for (const [name, memory] of recorded)
      if (typeof name === 'string' && memory instanceof SharedArrayBuffer) this.#memories.set(name, memory);
  }

  /** @throws TypeError; CheckpointError ERR_CKPT_SCHEMA when the image holds another size */
  get(name: string, byteLength: number): SharedArrayBuffer {
    assertSharedArguments(name, byteLength);
    const known = this.#memories.get(name);
    if (known === undefined) {
      const memory = new SharedArrayBuffer(byteLength);
      this.#memories.set(name, memory);
      return memory;
    }
    if (known.byteLength !== byteLength) {
      throw new CheckpointError(
        'ERR_CKPT_SCHEMA',
        `shared('${name}', ${byteLength}): there are ${known.byteLength} bytes of that name, from the image or an earlier call; ask for as many, or begin anew with CKPT_RESTART=never`,
        { provider: name, phase: 'register' },
      );
    }
    return known;
  }

  list(): readonly (readonly [string, SharedArrayBuffer])[] {
    return [...this.#memories];
  }

  /** Undefined where there is none. */
  capture(): ReadonlyMap<string, SharedArrayBuffer> | undefined {
    return this.#memories.size === 0 ? undefined : new Map(this.#memories);
  }
}

function assertSharedArguments(name: unknown, byteLength: unknown): void {
  if (typeof name !== 'string' || !NAME.test(name))
    throw new TypeError(
      `shared(name, byteLength): expected a name of 1 to 64 of A-Z a-z 0-9 _ . -, got ${JSON.stringify(name) ?? String(name)}`,
    );
  if (typeof byteLength !== 'number' || !Number.isSafeInteger(byteLength) || byteLength < 1)
    throw new TypeError(`shared('${name}', byteLength): expected a whole number of bytes from 1 on, got ${String(byteLength)}`);
}
