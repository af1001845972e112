/**
 * May this life still write to the program's files? A process that was stopped or slept may have been replaced.
 *
 * Invariants
 * 1. A fenced life writes nothing more.
 * 2. After a gap of more than GAP_MS since the last look, by either clock, the epoch is checked before the next write.
 *    The window that remains is a stop between this check and the write itself.
 * 3. An answer counts from when it was asked for: a stop while it was on its way is a gap again.
 */
import type { Clock } from '../base/ports.js';

const GAP_MS = 20_000;

/** Each rejects or throws ERR_CKPT_FENCED once a newer epoch is claimed. */
export interface EpochChecks {
  /** What is known already: a look at memory. */
  readonly assertAlive: () => void;
  readonly assertNewest: () => Promise<void>;
  /** The same without a turn of the event loop. */
  readonly assertNewestSync: () => void;
}

interface Look {
  readonly monotonic: number;
  readonly wall: number;
}

export class WritePermit {
  readonly #clock: Clock;
  readonly #checks: EpochChecks;
  #last: Look;

  constructor(clock: Clock, checks: EpochChecks) {
    this.#clock = clock;
    this.#checks = checks;
    this.#last = this.#look();
  }

  /** @throws CheckpointError ERR_CKPT_FENCED */
  assertAlive(): void {
    this.#checks.assertAlive();
  }

  /** Undefined when it may write at once; otherwise wait for the answer. @throws CheckpointError ERR_CKPT_FENCED */
  allowed(): Promise<void> | undefined {
    this.#checks.assertAlive();
    return this.#isGap() ? this.#check() : undefined;
  }

  /** @throws CheckpointError ERR_CKPT_FENCED */
  allowedSync(): void {
    this.#checks.assertAlive();
    while (this.#isGap()) {
      const asked = this.#look();
      this.#checks.assertNewestSync();
      this.#last = asked;
    }
  }

  async #check(): Promise<void> {
    do {
      const asked = this.#look();
      await this.#checks.assertNewest();
      this.#last = asked;
    } while (this.#isGap());
  }

  /** Whether too much time has passed since the last look; if not, this was one. */
  #isGap(): boolean {
    const now = this.#look();
    const gap = Math.max(now.monotonic - this.#last.monotonic, Math.abs(now.wall - this.#last.wall));
    if (gap <= GAP_MS) this.#last = now;
    return gap > GAP_MS;
  }

  #look(): Look {
    return { monotonic: this.#clock.monotonic(), wall: this.#clock.now() };
  }
}
