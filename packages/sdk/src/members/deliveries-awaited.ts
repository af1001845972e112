/**
 * What a forked member has captured and of which the bytes are still on their way, as the program waits for it.
 *
 * Invariants
 * 1. Each delivery comes, or fails with the end of its member, or is dropped when nobody wants it any more.
 */
import type { CapturedMember } from './protocol.js';

interface Awaited {
  readonly came: () => void;
  readonly failed: (error: Error) => void;
  /** Wanted whatever becomes of the checkpoint under way. */
  readonly kept: boolean;
}

export class DeliveriesAwaited {
  readonly #awaited = new Map<number, Awaited>();

  get any(): boolean {
    return this.#awaited.size > 0;
  }

  /** What was captured, with what tells when its bytes are there. */
  of({ captured, delivery }: { readonly captured: CapturedMember; readonly delivery?: number }, kept: boolean): CapturedMember {
    if (delivery === undefined) return captured;
    const delivered = new Promise<void>((came, failed) => {
      this.#awaited.set(delivery, { came, failed, kept });
    });
    delivered.catch(() => {}); // the checkpoint may have failed for another reason
    return { ...captured, delivered };
  }

  came(delivery: number): void {
    this.#awaited.get(delivery)?.came();
    this.#awaited.delete(delivery);
  }

  /** The checkpoint under way is over: as DeliveryReceiver does it. */
  drop(): void {
    for (const [delivery, { kept }] of this.#awaited) if (!kept) this.#awaited.delete(delivery);
  }

  /** The member is gone: nothing comes any more. */
  end(error: Error): void {
    for (const { failed } of this.#awaited.values()) failed(error);
    this.#awaited.clear();
  }
}
