/**
 * In which order encoded instances are made again: an instance after those that its data leads to.
 *
 * Invariants
 * 1. An instance whose data leads back to itself is refused: its decode function would be handed half of it.
 * 2. No recursion.
 */
import { types } from 'node:util';
import { isBareView } from './own-properties.js';
import type { Reason } from './refusal.js';
import { viewLength, viewMemory } from './slots.js';
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
  const search: Search = { ours, encoded, order, numbered: new Map(), stack: [] };
  for (const instance of ours.keys()) {
    const found = search.numbered.has(instance) ? undefined : visit(instance, search);
    if (found !== undefined) return found;
  }
  return order;
}

interface Visit {
  readonly object: object;
  readonly index: number;
  /** The lowest index of an object of its circles. */
  low: number;
  /** False once the circles that it is in are known. */
  open: boolean;
}

interface Search {
  readonly ours: ReadonlyMap<object, number>;
  readonly encoded: ReadonlyMap<object, unknown>;
  readonly order: number[];
  readonly numbered: Map<object, Visit>;
  readonly stack: Visit[];
}

/**
 * Everything that hangs on `start`, by strongly connected components (Tarjan): an instance must be one by itself. Components
 * are complete after all that they lead to, so that is the order.
 */
function visit(start: object, search: Search): Unsupported | undefined {
  const { numbered, stack } = search;
  const path: { readonly at: Visit; readonly children: object[] }[] = [];
  const enter = (object: object): void => {
    const at = { object, index: numbered.size, low: numbered.size, open: true };
    numbered.set(object, at);
    stack.push(at);
    path.push({ at, children: childrenOf(object, search.encoded) });
  };
  enter(start);
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const child = top.children.pop();
    if (child === undefined) {
      path.pop();
      const above = path.at(-1)?.at;
      if (above !== undefined) above.low = Math.min(above.low, top.at.low);
      if (top.at.low === top.at.index) {
        const fault = complete(top.at, search);
        if (fault !== undefined) return fault;
      }
      continue;
    }
    const known = numbered.get(child);
    if (known === undefined) enter(child);
    else if (known === top.at && search.encoded.has(child)) return new Unsupported(child, CIRCLE);
    else if (known.open) top.at.low = Math.min(top.at.low, known.index);
  }
  return undefined;
}

/** Takes the component that ends with `first` from the stack. */
function complete(first: Visit, { encoded, order, ours, stack }: Search): Unsupported | undefined {
  const members: Visit[] = [];
  for (let member = stack.pop(); member !== undefined; member = member === first ? undefined : stack.pop()) {
    member.open = false;
    members.push(member);
  }
  const instance = members.find(({ object }) => encoded.has(object));
  if (instance !== undefined && members.length > 1) return new Unsupported(instance.object, CIRCLE);
  const number = instance === undefined ? undefined : ours.get(instance.object);
  if (number !== undefined) order.push(number);
  return undefined;
}

function childrenOf(object: object, encoded: ReadonlyMap<object, unknown>): object[] {
  const values: unknown[] = [];
  if (encoded.has(object)) values.push(encoded.get(object));
  else if (ArrayBuffer.isView(object)) {
    values.push(viewMemory(object));
    if (!isBareView(object, types.isDataView(object) ? 0 : viewLength(object))) values.push(...propertiesOf(object));
  } else {
    if (types.isMap(object)) Map.prototype.forEach.call(object, (value: unknown, key: unknown) => values.push(key, value));
    if (types.isSet(object)) Set.prototype.forEach.call(object, (item: unknown) => values.push(item));
    for (const value of propertiesOf(object)) values.push(value);
  }
  return values.filter((value): value is object => typeof value === 'object' && value !== null);
}

function propertiesOf(object: object): unknown[] {
  return Reflect.ownKeys(object).map((key) => Object.getOwnPropertyDescriptor(object, key)?.value);
}
