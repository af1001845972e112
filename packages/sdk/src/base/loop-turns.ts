/**
 * Whether the event loop has turned since somebody last looked.
 *
 * Invariants
 * 1. Where Node does not count the turns (before 22.8 on the 22 line), the answer is no: the asker then makes a turn.
 */
import { performance } from 'node:perf_hooks';

export class LoopTurns {
  #seen: number | undefined;

  /** From now on only later turns count. */
  look(): void {
    this.#seen = countTurns();
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
