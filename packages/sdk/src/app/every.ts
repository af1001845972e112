/**
 * The option `every`, parsed: an interval, or what `auto` has to keep to.
 *
 * Invariants
 * 1. Anything else is a TypeError that names the option.
 */
import { type Duration, parseDuration } from '../base/duration.js';
import type { AutoLimits } from '../triggers/auto-pace.js';

/** How often to checkpoint, left to the program's own measurements. */
export interface AutoEvery {
  /** Share of the run time that checkpoints may take, above 0 and at most 1; default 0.01. */
  readonly overhead?: number | undefined;
  /** Mean time between failures; with it the interval is the one that loses least (Daly), within `overhead`. */
  readonly mtbf?: Duration | undefined;
  /** When the program will be ended (the limit of a batch job, the notice of a spot machine): one more image is made in time. */
  readonly deadline?: Date | number | undefined;
}

export type Every = Duration | 'auto' | AutoEvery | false;

const OVERHEAD = 0.01;
const KEYS: readonly string[] = ['overhead', 'mtbf', 'deadline'] satisfies (keyof AutoEvery)[];
const OPTION = 'openCheckpointer: every';

/** @throws TypeError */
export function parseEvery(value: unknown): { readonly everyMs: number | undefined; readonly auto: AutoLimits | undefined } {
  if (value === undefined || value === false) return { everyMs: undefined, auto: undefined };
  if (value === 'auto') return { everyMs: undefined, auto: limits({}) };
  if (typeof value === 'object' && value !== null) return { everyMs: undefined, auto: limits(value) };
  const everyMs = parseDuration(value, OPTION);
  if (everyMs === 0) throw new TypeError(`${OPTION}: expected a duration above zero, or false for no autosave, got 0`);
  return { everyMs, auto: undefined };
}

function limits(given: object): AutoLimits {
  const unknown = Object.keys(given).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw new TypeError(`${OPTION}: there is no '${unknown}'; expected 'auto' or { ${KEYS.join(', ')} }`);
  const { overhead = OVERHEAD, mtbf, deadline }: Record<string, unknown> = { ...given };
  if (typeof overhead !== 'number' || !(overhead > 0 && overhead <= 1))
    throw new TypeError(`${OPTION}: overhead: expected a share above 0 and at most 1, such as 0.01, got ${String(overhead)}`);
  const mtbfMs = mtbf === undefined ? undefined : parseDuration(mtbf, `${OPTION}: mtbf`);
  if (mtbfMs === 0) throw new TypeError(`${OPTION}: mtbf: expected a duration above zero, got 0`);
  return { overhead, mtbfMs, deadline: wallTime(deadline) };
}

function wallTime(deadline: unknown): number | undefined {
  if (deadline === undefined) return undefined;
  const at = deadline instanceof Date ? deadline.getTime() : deadline;
  if (typeof at === 'number' && Number.isFinite(at)) return at;
  throw new TypeError(`${OPTION}: deadline: expected a Date or milliseconds since 1970, got ${String(deadline)}`);
}
