/**
 * What a forked member has captured and of which the bytes are still on their way, as the program waits for it.
 *
 * Invariants
 * 1. Each delivery comes, or fails with the end of its member; one that nobody waits for any more troubles nobody.
 */
import type { CapturedMember } from './protocol.js';

interface Awaited {
  readonly came: () => void;
  readonly failed: (error: Error) => void;
}

export class DeliveriesAwaited {
  readonly #awaited = new Map<number, Awaited>();

  /** What was captured, with what tells when its bytes are there. */
  of({ captured, delivery }: { readonly captured: CapturedMember; readonly delivery?: number }): CapturedMember {
    if (delivery === undefined) return captured;
    const delivered = new Promise<void>((came, failed) => {
      this.#awaited.set(delivery, { came, failed });
    });
    delivered.catch(() => {}); // invariant 1
    return { ...captured, delivered };
  }

  came(delivery: number): void {
    this.#awaited.get(delivery)?.came();
    this.#awaited.delete(delivery);
  }

  /** The member is gone: nothing comes any more. */
  end(error: Error): void {
    for (const { failed } of this.#awaited.values()) failed(error);
    this.#awaited.clear();
  }
}
