/**
 * Durations: milliseconds, or text such as '90s', '15m', '1h30m', '250ms'.
 *
 * Invariants
 * 1. What is returned is a finite number of milliseconds, zero or more.
 * 2. Anything else is a TypeError that names the option and shows the accepted forms.
 */

export type Duration = number | string;

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** @throws TypeError when `value` is not a duration; `option` names it in the message. */
export function parseDuration(value: unknown, option: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  if (typeof value === 'string' && WHOLE.test(value)) {
    let total = 0;
    for (const [, amount = '', unit = ''] of value.matchAll(PART)) total += Number(amount) * (UNITS[unit] ?? Number.NaN);
    if (Number.isFinite(total)) return total;
  }
  throw new TypeError(
    `${option}: expected a duration (milliseconds of zero or more, or text such as '90s', '15m', '1h30m'), got ${JSON.stringify(value) ?? String(value)}`,
  );
}

/** A short text for people: `740 ms`, `12.3 s`, `4 min 5 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.round((ms % 60_000) / 1_000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
