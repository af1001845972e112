/**
 * Property paths as error messages show them: `sim.particles[3].spin`, `sim.map<key "x">`.
 *
 * Invariants
 * 1. A step says how to get from a container to the value; joined to the provider's name they find it again.
 */

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;
const SHOWN = 200;

export function keyStep(key: string): string {
  return IDENTIFIER.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

export function indexStep(index: number): string {
  return `[${index}]`;
}

/** The step to a Map's value (or, for a container used as a key, to that key), `entry` counting from 0. */
export function mapStep(key: unknown, entry: number, toKey: boolean): string {
  if (toKey) return `<key #${entry}>`;
  if (typeof key === 'string') return `<key ${JSON.stringify(key)}>`;
  const nameless = typeof key === 'object' || typeof key === 'function' || typeof key === 'symbol';
  return nameless ? `<value #${entry}>` : `<key ${keyText(key)}>`;
}

/** A key that is neither text, object nor symbol: a bigint as in a program, `3n`. */
export function keyText(key: unknown): string {
  return typeof key === 'bigint' ? `${key}n` : String(key);
}

export function setStep(item: number): string {
  return `<item #${item}>`;
}

export function symbolStep(key: symbol): string {
  return `[${String(key)}]`;
}

/** A path short enough for a message; its ends matter most. */
export function shown(path: string): string {
  return path.length <= SHOWN ? path : `${path.slice(0, SHOWN * 0.6)} … ${path.slice(-SHOWN * 0.3)}`;
}
