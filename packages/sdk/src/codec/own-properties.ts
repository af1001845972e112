/**
 * Checks that nothing hangs on an object that the encoding would drop: symbol keys, accessors, hidden or
 * read-only properties, holes, properties beside the elements.
 *
 * Invariants
 * 1. No getter runs: values come from property descriptors.
 * 2. Cost grows with what is carried, never with the bytes of a typed array: listing the property names of a
 *    large array costs half a microsecond an element, so large ones are shown by `inspect` without their elements
 *    and compared with a clean one shown the same way, whatever this Node's way is.
 */
import { inspect } from 'node:util';
import { indexStep, keyStep, symbolStep } from './paths.js';
import { NOT_EXTENSIBLE, property, type Reason } from './refusal.js';

/** A fault of an object's properties: the step from the object to the place, and what is wrong there. */
export class Fault {
  readonly step: string;
  readonly reason: Reason;
  constructor(step: string, reason: Reason) {
    this.step = step;
    this.reason = reason;
  }
}

const FEW = 64;
const SHOW = {
  showHidden: true,
  depth: 0,
  colors: false,
  customInspect: false,
  showProxy: false,
  maxArrayLength: 0,
  breakLength: Number.POSITIVE_INFINITY,
  compact: 3,
  sorted: false,
  getters: false,
  numericSeparator: false,
} as const;

function plainDescriptor(descriptor: PropertyDescriptor | undefined): descriptor is PropertyDescriptor {
  return descriptor !== undefined && descriptor.enumerable === true && descriptor.writable === true && descriptor.configurable === true;
}

function descriptorFault(step: string, descriptor: PropertyDescriptor | undefined): Fault {
  if (descriptor === undefined) return new Fault(step, property('a hole in an array'));
  if ('get' in descriptor) return new Fault(step, property('an accessor (getter or setter)'));
  return new Fault(step, property(descriptor.enumerable === true ? 'a read-only property' : 'a hidden (non-enumerable) property'));
}

function namedFault(object: object, names: readonly string[]): Fault {
  for (const name of names) {
    const descriptor = Object.getOwnPropertyDescriptor(object, name);
    if (!plainDescriptor(descriptor)) return descriptorFault(keyStep(name), descriptor);
  }
  return new Fault('', NOT_EXTENSIBLE);
}

/** The values of a plain object, in the order of `keys`, or what is wrong. */
export function plainValues(object: object, keys: readonly string[]): unknown[] | Fault {
  const symbols = Object.getOwnPropertySymbols(object);
  if (symbols[0] !== undefined) return new Fault(symbolStep(symbols[0]), property('a property under a symbol key'));
  const names = Object.getOwnPropertyNames(object);
  if (!Object.isExtensible(object) || names.length !== keys.length) return namedFault(object, names);
  const values: unknown[] = new Array(keys.length);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] ?? '';
    const descriptor = Object.getOwnPropertyDescriptor(object, key);
    if (!plainDescriptor(descriptor)) return descriptorFault(keyStep(key), descriptor);
    values[i] = descriptor.value;
  }
  return values;
}

/** What is wrong with an array, if anything. */
export function arrayFault(array: readonly unknown[]): Fault | undefined {
  if (!Object.isExtensible(array) || Object.getOwnPropertyDescriptor(array, 'length')?.writable !== true)
    return new Fault('', NOT_EXTENSIBLE);
  for (let i = 0; i < array.length; i++) {
    const descriptor = Object.getOwnPropertyDescriptor(array, i);
    if (!plainDescriptor(descriptor)) return descriptorFault(indexStep(i), descriptor);
  }
  if (array.length > FEW && show(array) === clean(array, () => new Array(FEW + 1).fill(0))) return undefined;
  const extra = Reflect.ownKeys(array)[array.length + 1];
  if (extra === undefined) return undefined;
  return new Fault(typeof extra === 'symbol' ? symbolStep(extra) : keyStep(extra), property('a property beside the elements of an array'));
}

/** True when `view` is a typed array or DataView with nothing of its own but its elements. */
export function isBareView(view: ArrayBufferView, length: number): boolean {
  if (!Object.isExtensible(view)) return false;
  if (length <= FEW || view instanceof DataView) return Reflect.ownKeys(view).length === (view instanceof DataView ? 0 : length);
  return show(view) === clean(view, () => cleanView(view));
}

/** True when nothing hangs on a Map, Set, Date or buffer. */
export function isBare(object: object): boolean {
  return Object.isExtensible(object) && Reflect.ownKeys(object).length === 0;
}

function show(object: object): string {
  return inspect(object, SHOW).replaceAll(/\d+/g, '#');
}

const cleanShown = new Map<string, string>();

/** How a clean object of the same prototype (and, for views, the same kind of memory) is shown. */
function clean(object: object, make: () => object): string {
  const memory = ArrayBuffer.isView(object) ? Object.prototype.toString.call(object.buffer) : '';
  const maker: unknown = Object.getPrototypeOf(object)?.constructor;
  const key = `${typeof maker === 'function' ? maker.name : ''} ${memory}`;
  let text = cleanShown.get(key);
  if (text === undefined) {
    text = show(make());
    cleanShown.set(key, text);
  }
  return text;
}

function cleanView(like: ArrayBufferView): ArrayBufferView {
  const bytes = (FEW + 1) * 8;
  const memory = like.buffer instanceof ArrayBuffer ? new ArrayBuffer(bytes) : new SharedArrayBuffer(bytes);
  const view = new Uint8Array(memory);
  if (Buffer.isBuffer(like)) return Buffer.from(view.buffer);
  // The caller has checked that `like` is one of the built-in typed arrays; their constructors take a buffer.
  const Maker = like.constructor as new (memory: ArrayBufferLike) => ArrayBufferView;
  return new Maker(memory);
}
