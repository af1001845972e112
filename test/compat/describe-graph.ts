/**
 * Values with identity as the golden JSON tells them: objects by the order in which they are met, breadth first, and cells that
 * refer to them by number. read_image.py tells the same.
 */
import { Tagged } from '../../packages/sdk/src/codec/classes.js';
import { trackingOf } from '../../packages/sdk/src/codec/length-tracking.js';
import { symbolText } from '../../packages/sdk/src/codec/symbol-text.js';
import { describeMemory, describePrimitive, f64 } from './describe-values.js';

export class GraphStory {
  readonly told: object[] = [];
  readonly #numbers = new Map<object, number>();
  readonly #queue: object[] = [];
  /** The number of a buffer among those of its member. */
  readonly #indexOf: (memory: ArrayBufferLike) => number;

  constructor(indexOf: (memory: ArrayBufferLike) => number) {
    this.#indexOf = indexOf;
  }

  /** The value, after which everything that it leads to is told. */
  value(value: unknown): unknown {
    const cell = this.#cell(value);
    for (let next = this.told.length; next < this.#queue.length; next++) this.told.push(this.#object(this.#queue[next] ?? {}));
    return cell;
  }

  #cell(value: unknown): unknown {
    if (typeof value === 'symbol') return { symbol: describePrimitive(symbolText(value)) };
    if (typeof value !== 'object' || value === null) return describePrimitive(value);
    let number = this.#numbers.get(value);
    if (number === undefined) {
      number = this.#queue.push(value) - 1;
      this.#numbers.set(value, number);
    }
    return { ref: number };
  }

  #object(object: object): object {
    const integrity = Object.isFrozen(object) ? 3 : Object.isSealed(object) ? 2 : Object.isExtensible(object) ? 0 : 1;
    const content = this.#content(object);
    const properties = object instanceof Tagged ? [] : this.#properties(object);
    return { ...content, ...(integrity === 0 ? {} : { integrity }), ...(properties.length === 0 ? {} : { properties }) };
  }

  #content(object: object): object {
    const cells = (values: Iterable<unknown>): unknown[] => [...values].map((one) => this.#cell(one));
    if (object instanceof Tagged) return { is: 'instance', class: object.class, version: object.version, data: this.#cell(object.data) };
    if (Array.isArray(object)) return { is: 'array', length: object.length };
    if (object instanceof Map) return { is: 'map', entries: [...object].map((entry) => cells(entry)) };
    if (object instanceof Set) return { is: 'set', entries: cells(object) };
    if (object instanceof Date) return { is: 'date', time: f64(object.getTime()) };
    if (object instanceof RegExp)
      return { is: 'regexp', source: object.source, flags: object.flags, lastIndex: this.#cell(object.lastIndex) };
    if (object instanceof Error) return { is: 'error', name: Object.getPrototypeOf(object).name };
    if (object instanceof URL) return { is: 'url', href: object.href };
    if (object instanceof ArrayBuffer || object instanceof SharedArrayBuffer)
      return { is: 'buffer', ...describeMemory(object, this.#indexOf(object)) };
    if (ArrayBuffer.isView(object)) {
      const { buffer } = object;
      const grows = Reflect.get(buffer, 'resizable') === true || Reflect.get(buffer, 'growable') === true;
      const length = grows && trackingOf(object) === 'tracking' ? null : 'length' in object ? object.length : object.byteLength;
      return { is: 'view', kind: object.constructor.name, memory: this.#cell(buffer), byteOffset: object.byteOffset, length };
    }
    const prototype: unknown = Object.getPrototypeOf(object);
    if (prototype === null) return { is: 'nullPrototype' };
    return prototype === Object.prototype ? { is: 'object' } : { is: 'boxed', value: this.#cell(object.valueOf()) };
  }

  #properties(object: object): unknown[] {
    const keys = Reflect.ownKeys(object).filter((key) => !isOfKind(object, key));
    return keys.map((key) => {
      const { value, enumerable, writable, configurable } = Object.getOwnPropertyDescriptor(object, key) ?? {};
      const bits = (enumerable === true ? 1 : 0) + (writable === true ? 2 : 0) + (configurable === true ? 4 : 0);
      return [this.#cell(key), this.#cell(value), ...(bits === 7 ? [] : [bits])];
    });
  }
}

/** Properties that a kind of object has by itself. */
function isOfKind(object: object, key: string | symbol): boolean {
  if (typeof key === 'symbol') return false;
  if (Array.isArray(object)) return key === 'length';
  if (object instanceof RegExp) return key === 'lastIndex';
  const elements = ArrayBuffer.isView(object) || object instanceof String;
  return elements && (/^\d+$/.test(key) || key === 'length');
}
