/**
 * How often a program is checkpointed that leaves it to us: `every: 'auto'`.
 *
 * Invariants
 * 1. The interval follows from the learned cost of a checkpoint: no shorter than keeps the cost within the share of the run
 *    time that it may take, and no shorter than LEAST_MS. With a mean time between failures it is Daly's, where that is longer.
 * 2. Until a cost is known the first checkpoint, after LEAST_MS, is there to learn it.
 * 3. With a deadline one more is due in time to be durable before it, once, whatever the interval is.
 * 4. Only the monotonic clock is read after construction.
 */
import type { Clock } from '../base/ports.js';

/** What is known before the first checkpoint of a life. */
export interface AutoLimits {
  /** Share of the run time that checkpoints may take, above 0 and at most 1. */
  readonly overhead: number;
  /** Mean time between failures, ms; undefined: not known. */
  readonly mtbfMs: number | undefined;
  /** Wall time, ms since 1970, at which the program will be ended. */
  readonly deadline: number | undefined;
}

/** What checkpoints cost, learned from those that were taken; both in ms. */
export interface LearnedCost {
  /** How long the program stands for one. */
  readonly freezeMs: number;
  /** From its capture until it is durable. */
  readonly persistMs: number;
}

/** Smaller ones are not worth the wear of the disk. */
const LEAST_MS = 10_000;
/** What the program loses of its speed while an image is written beside it: 0.14 to 0.21 were measured. */
const BESIDE = 0.2;
/** How much the newest checkpoint counts. */
const NEWEST = 0.25;
/** In front of a deadline: so many times as long as a checkpoint takes, and no less than MARGIN_MS. */
const MARGIN = 3;
const MARGIN_MS = 5_000;

/** What one checkpoint takes from the program, ms. */
function lost({ freezeMs, persistMs }: LearnedCost): number {
  return freezeMs + BESIDE * persistMs;
}

/**
 * The time to work between two checkpoints that loses least, all in ms.
 * J. T. Daly, A higher order estimate of the optimum checkpoint interval for restart dumps, 2006, equation 37.
 */
export function dalyInterval(costMs: number, mtbfMs: number): number {
  if (costMs >= 2 * mtbfMs) return mtbfMs;
  const half = costMs / (2 * mtbfMs);
  return Math.sqrt(2 * costMs * mtbfMs) * (1 + Math.sqrt(half) / 3 + half / 9) - costMs;
}

export class AutoPace {
  readonly #limits: AutoLimits;
  readonly #deadline: number;
  #cost: LearnedCost | undefined;

  /** @param learned by lives before */
  constructor(limits: AutoLimits, clock: Clock, learned: LearnedCost | undefined) {
    this.#limits = limits;
    this.#deadline = limits.deadline === undefined ? Number.POSITIVE_INFINITY : clock.monotonic() + limits.deadline - clock.now();
    this.#cost = learned;
  }

  /** For the lives that follow. */
  get learned(): LearnedCost | undefined {
    return this.#cost;
  }

  /** From the start of a capture to that of the next, ms. */
  get intervalMs(): number {
    if (this.#cost === undefined) return LEAST_MS;
    const { overhead, mtbfMs } = this.#limits;
    const cost = lost(this.#cost);
    const best = mtbfMs === undefined ? 0 : dalyInterval(cost, mtbfMs) + cost;
    return Math.max(LEAST_MS, cost / overhead, best);
  }

  /** When the next capture is due, after one that began at `since`; both monotonic. */
  due(since: number): number {
    const regular = since + this.intervalMs;
    const { freezeMs, persistMs } = this.#cost ?? { freezeMs: 0, persistMs: 0 };
    const last = this.#deadline - Math.max(MARGIN_MS, MARGIN * (freezeMs + persistMs));
    return since < last ? Math.min(regular, last) : regular;
  }

  /** A checkpoint was committed. */
  learn({ freezeMs, persistMs }: LearnedCost): void {
    const before = this.#cost ?? { freezeMs, persistMs };
    const mixed = (old: number, now: number): number => old + NEWEST * (now - old);
    this.#cost = { freezeMs: mixed(before.freezeMs, freezeMs), persistMs: mixed(before.persistMs, persistMs) };
  }
}

/** What an image says that was learned; undefined where it says nothing that makes sense. */
export function parseLearned(value: unknown): LearnedCost | undefined {
  const get = (key: string): unknown => (value instanceof Map ? value.get(key) : Object(value)[key]);
  const [freezeMs, persistMs] = [get('freezeMs'), get('persistMs')];
  return isTime(freezeMs) && isTime(persistMs) ? { freezeMs, persistMs } : undefined;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
