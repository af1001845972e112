/** How symbols are written that mean the same in every process. */

const WELL_KNOWN: ReadonlyMap<symbol, string> = new Map(
  Object.getOwnPropertyNames(Symbol).flatMap((name): [symbol, string][] => {
    const value: unknown = Reflect.get(Symbol, name);
    return typeof value === 'symbol' ? [[value, name]] : [];
  }),
);

/** How a symbol that is the same in every process is written; undefined for any other. */
export function symbolText(symbol: symbol): string | undefined {
  const wellKnown = WELL_KNOWN.get(symbol);
  if (wellKnown !== undefined) return `@${wellKnown}`;
  const key = Symbol.keyFor(symbol);
  return key === undefined ? undefined : `#${key}`;
}
