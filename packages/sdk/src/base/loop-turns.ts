/**
 * Whether the event loop has turned since somebody last looked.
 *
 * Invariants
 * 1. Where Node does not count the turns (before 22.8 on the 22 line), the answer is no: the asker then makes a turn.
 */
import { performance } from 'node:perf_hooks';

/** For so long, in ms, a loop may go without a turn that timers and signals wait for. */
export const TURN_MS = 5;

export class LoopTurns {
  #seen: number | undefined;
  #seenAt = Number.NEGATIVE_INFINITY;

  /** From now on only later turns count. */
  look(): void {
    this.#seen = countTurns();
    this.#seenAt = performance.now();
  }

  /** By the clock: whether less than TURN_MS have gone by since it was seen to turn. */
  turnedLately(): boolean {
    if (countTurns() !== this.#seen) this.look();
    return performance.now() - this.#seenAt < TURN_MS;
  }

  /** Whether it has turned since the last look; this is a look too. */
  turned(): boolean {
    const before = this.#seen;
    this.look();
    return this.#seen !== before;
  }
}

function countTurns(): number | undefined {
  const { uvMetricsInfo }: { readonly uvMetricsInfo?: { readonly loopCount: number } } = performance.nodeTiming;
  return uvMetricsInfo?.loopCount;
}
