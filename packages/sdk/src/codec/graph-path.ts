/**
 * Where in the state a value hangs: a second walk, for messages only.
 *
 * Invariants
 * 1. Nothing of the program runs: no getter, no proxy trap.
 */
import { types } from 'node:util';
import { isBareView } from './own-properties.js';
import { indexStep, keyStep, mapStep, setStep, symbolStep } from './paths.js';
import { viewLength, viewMemory } from './slots.js';

interface Trail {
  readonly from: Trail | undefined;
  readonly step: string;
}

/**
 * The shortest path from one of the roots to the value; `(unknown place)` when there is none.
 * @param encoded what `encode` made of instances
 */
export function findPath(roots: ReadonlyMap<string, unknown>, wanted: unknown, encoded: ReadonlyMap<object, unknown>): string {
  return findPaths(roots, new Set([wanted]), encoded).get(wanted) ?? '(unknown place)';
}

/** As `findPath` for several values, in one walk; those that hang nowhere are missing. */
export function findPaths(
  roots: ReadonlyMap<string, unknown>,
  wanted: ReadonlySet<unknown>,
  encoded: ReadonlyMap<object, unknown>,
): ReadonlyMap<unknown, string> {
  const found = new Map<unknown, string>();
  const trails = new Map<object, Trail>();
  const meet = (value: unknown, trail: Trail): boolean => {
    if (wanted.has(value) && !found.has(value)) found.set(value, path(trail));
    if (typeof value === 'object' && value !== null && !trails.has(value)) trails.set(value, trail);
    return found.size === wanted.size;
  };
  for (const [name, root] of roots) if (meet(root, { from: undefined, step: name })) return found;
  // Entries that are added while a Map is iterated are met too: breadth first, without recursion.
  for (const [object, trail] of trails) {
    for (const [step, child] of children(object, encoded)) if (meet(child, { from: trail, step })) return found;
  }
  return found;
}

/** Objects that are one step away. */
export function neighbours(object: object): object[] {
  return [...children(object, new Map())].flatMap(([, child]) => (typeof child === 'object' && child !== null ? [child] : []));
}

function path(trail: Trail): string {
  const steps: string[] = [];
  for (let at: Trail | undefined = trail; at !== undefined; at = at.from) steps.push(at.step);
  return steps.reverse().join('');
}

function* children(object: object, encoded: ReadonlyMap<object, unknown>): Generator<readonly [step: string, child: unknown]> {
  if (types.isProxy(object)) return;
  if (encoded.has(object)) {
    yield ['.encode()', encoded.get(object)];
    return;
  }
  if (types.isMap(object)) {
    const entries: [unknown, unknown][] = [];
    Map.prototype.forEach.call(object, (value: unknown, key: unknown) => entries.push([key, value]));
    for (const [index, [key, value]] of entries.entries()) {
      yield [mapStep(key, index, true), key];
      yield [mapStep(key, index, false), value];
    }
  } else if (types.isSet(object)) {
    const items: unknown[] = [];
    Set.prototype.forEach.call(object, (item: unknown) => items.push(item));
    for (const [index, item] of items.entries()) yield [setStep(index), item];
  }
  if (ArrayBuffer.isView(object)) {
    yield ['.buffer', viewMemory(object)];
    if (!isBareView(object, types.isDataView(object) ? 0 : viewLength(object))) yield* properties(object);
  } else yield* properties(object);
}

function* properties(object: object): Generator<readonly [step: string, child: unknown]> {
  const array = Array.isArray(object);
  for (const key of Reflect.ownKeys(object)) {
    const descriptor = Object.getOwnPropertyDescriptor(object, key);
    if (descriptor === undefined || !('value' in descriptor)) continue;
    const step = typeof key === 'symbol' ? symbolStep(key) : array && key !== 'length' ? elementStep(key) : keyStep(key);
    yield [step, descriptor.value];
  }
}

function elementStep(key: string): string {
  return /^\d+$/.test(key) ? indexStep(Number(key)) : keyStep(key);
}
