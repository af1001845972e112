/**
 * In which order encoded instances are made again: an instance after those that its data leads to.
 *
 * Invariants
 * 1. An instance whose data leads back to itself is refused: its decode function would be handed half of it.
 * 2. No recursion.
 */
import { types } from 'node:util';
import type { Reason } from './refusal.js';
import { Unsupported } from './unsupported.js';

const CIRCLE: Reason = {
  what: 'an instance whose encode() returns data that leads back to the instance itself',
  remedy: 'leave the way back out of the data, or register the class without encode and decode',
};

/**
 * @param numbers the encoded instances of a section
 * @param encoded what `encode` made of each
 * @returns the numbers in order, or the first instance that leads back to itself
 */
export function resolveOrder(
  numbers: readonly number[],
  objectOf: (number: number) => object | undefined,
  encoded: ReadonlyMap<object, unknown>,
): number[] | Unsupported {
  const ours = new Map(
    numbers.flatMap((number): [object, number][] => {
      const object = objectOf(number);
      return object === undefined ? [] : [[object, number]];
    }),
  );
  const order: number[] = [];
  const seen = new Map<object, Visit>();
  for (const instance of ours.keys()) {
    const found = seen.has(instance) ? undefined : visit(instance, { ours, encoded, order, seen });
    if (found !== undefined) return found;
  }
  return order;
}

type Visit = 'open' | 'done';

interface Search {
  readonly ours: ReadonlyMap<object, number>;
  readonly encoded: ReadonlyMap<object, unknown>;
  readonly order: number[];
  readonly seen: Map<object, Visit>;
}

/** Depth first over everything that hangs on `start`; instances get their place when all below them have theirs. */
function visit(start: object, { ours, encoded, order, seen }: Search): Unsupported | undefined {
  const open: { readonly object: object; readonly children: object[] }[] = [];
  const enter = (object: object): void => {
    seen.set(object, 'open');
    open.push({ object, children: childrenOf(object, encoded) });
  };
  enter(start);
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const child = top.children.pop();
    if (child === undefined) {
      open.pop();
      seen.set(top.object, 'done');
      const number = ours.get(top.object);
      if (number !== undefined) order.push(number);
      continue;
    }
    const state = seen.get(child);
    if (state === undefined) enter(child);
    else if (state === 'open') {
      const from = open.findIndex(({ object }) => object === child);
      const instance = open.slice(from).find(({ object }) => encoded.has(object));
      if (instance !== undefined) return new Unsupported(instance.object, CIRCLE);
    }
  }
  return undefined;
}

function childrenOf(object: object, encoded: ReadonlyMap<object, unknown>): object[] {
  const values: unknown[] = [];
  if (encoded.has(object)) values.push(encoded.get(object));
  else if (!ArrayBuffer.isView(object)) {
    if (types.isMap(object)) Map.prototype.forEach.call(object, (value: unknown, key: unknown) => values.push(key, value));
    if (types.isSet(object)) Set.prototype.forEach.call(object, (item: unknown) => values.push(item));
    for (const key of Reflect.ownKeys(object)) values.push(Object.getOwnPropertyDescriptor(object, key)?.value);
  }
  return values.filter((value): value is object => typeof value === 'object' && value !== null);
}
