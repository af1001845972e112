/** Sizes of memory as options take them: a number of bytes, or text like '512MiB'. */

const UNITS: Readonly<Record<string, number>> = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** @throws TypeError naming the option */
export function parseBytes(value: unknown, option: string): number {
  const [, digits, unit = ''] = typeof value === 'string' ? (/^(\d+(?:\.\d+)?)(KiB|MiB|GiB|TiB|)$/.exec(value) ?? []) : [];
  const bytes = typeof value === 'number' ? value : Math.floor(Number(digits) * (UNITS[unit] ?? Number.NaN));
  if (Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
  throw new TypeError(
    `${option}: expected a number of bytes or text like '512MiB' or '1GiB', got ${JSON.stringify(value) ?? String(value)}`,
  );
}
