/// <reference lib="es2024.string" />
/**
 * The walk over the values of a member: one pass, an explicit stack, every object met once.
 *
 * What it hands on is made of plain objects, arrays, Maps, bytes and primitives that standard msgpack carries. An
 * object or array in which nothing needs a tag is handed on itself, uncopied.
 *
 * Invariants
 * 1. Nothing of the program runs: no getter, no proxy trap, no toJSON.
 * 2. An object met twice is refused with both its paths; `tree-1` cannot keep identity (buffers excepted).
 * 3. Counts and depth stay within tags.ts, so that everything encoded can be decoded.
 */
import { types } from 'node:util';
import { CheckpointError } from '../base/errors.js';
import { type Frame, pathOf, put, type Shape } from './frames.js';
import { MemoryTable, type MemoryWire } from './memory-table.js';
import { arrayFault, Fault, isBare, plainValues } from './own-properties.js';
import { SHALLOW } from './pack-deep.js';
import { shown } from './paths.js';
import { describeObject, describePrimitive, EXTRA, PROXY, property, type Reason, refuse } from './refusal.js';
import { MAX_DEPTH, MAX_SECTION_BYTES, TAG, TREE_LIMITS } from './tags.js';

/** Says that the value is a container which is now on top of the stack. */
const ENTERED = Symbol('entered');
const UNDEFINED: MemoryWire = new Map([[TAG.undefined, null]]);
const NEGATIVE_ZERO: MemoryWire = new Map([[TAG.negativeZero, null]]);
/** Levels of msgpack that one container takes at most, and that a leaf in it does (an inline view). */
const LEVELS = 2;
const LEAF_LEVELS = LEVELS + 3;
const NO_KEYS: readonly string[] = [];
const BYTE_ORDER_MARK = 0xfeff;

/** What a section's value became: for msgpack, with the indexes of the buffers it refers to. */
export interface WalkedSection {
  readonly wire: unknown;
  /** Containers of `wire` that are too deep for msgpackr. */
  readonly deep: ReadonlySet<unknown>;
  readonly buffers: ReadonlySet<number>;
}

export class Walk {
  readonly memory: MemoryTable = new MemoryTable();
  readonly #seen = new Set<object>();
  readonly #stack: Frame[] = [];
  readonly #wanted: object | undefined;
  #name = '';
  #buffers = new Set<number>();
  #deep = new Set<unknown>();
  #containers = 0;
  #values = 0;
  #bytes = 0;
  readonly #roots: ReadonlyMap<string, unknown>;

  /** With `wanted`, the walk ends with a FoundPath where it first meets that object. */
  constructor(roots: ReadonlyMap<string, unknown>, wanted?: object) {
    this.#roots = roots;
    this.#wanted = wanted;
  }

  section(name: string, value: unknown): WalkedSection {
    this.#name = name;
    this.#buffers = new Set();
    this.#deep = new Set();
    this.#containers = this.#values = this.#bytes = 0;
    let wire = this.#visit(value);
    while (this.#stack.length > 0) wire = this.#advance();
    this.#count(0, 0);
    if (this.#bytes > MAX_SECTION_BYTES) throw this.#tooLarge(`more than ${MAX_SECTION_BYTES} bytes of structured data`);
    return { wire, deep: this.#deep, buffers: this.#buffers };
  }

  /** Visits the top container's items until one is a container itself, or closes it. */
  #advance(): unknown {
    const frame = this.#top();
    for (; frame.index < frame.items.length; frame.index++) {
      const value = frame.items[frame.index];
      const wire = this.#visit(value);
      if (wire === ENTERED) return undefined;
      if (!Object.is(wire, value)) put(frame, wire);
    }
    const wire = this.#close(frame);
    this.#stack.pop();
    if (frame.height > SHALLOW) this.#deep.add(wire);
    const parent = this.#stack.at(-1);
    if (parent !== undefined) {
      if (wire !== parent.items[parent.index]) put(parent, wire);
      parent.index++;
      parent.height = Math.max(parent.height, frame.height + LEVELS);
    }
    return wire;
  }

  #visit(value: unknown): unknown {
    this.#values++;
    switch (typeof value) {
      case 'number':
        this.#bytes++;
        return Object.is(value, -0) ? this.#tagged(NEGATIVE_ZERO) : value;
      case 'string':
        return this.#text(value);
      case 'boolean':
        return value;
      case 'undefined':
        return this.#tagged(UNDEFINED);
      case 'bigint': {
        const text = value.toString(16);
        this.#bytes += text.length;
        return this.#tagged(new Map([[TAG.bigint, text]]));
      }
      case 'object':
        return value === null ? null : this.#object(value);
      default:
        throw this.#refuse(describePrimitive(value));
    }
  }

  #object(value: object): unknown {
    if (types.isProxy(value)) throw this.#refuse(PROXY);
    if (value === this.#wanted) throw new FoundPath(this.#path());
    if (types.isAnyArrayBuffer(value)) return this.#remember(value, this.memory.buffer(value, this.#buffers));
    if (this.#seen.has(value)) throw this.#shared(value);
    this.#seen.add(value);
    this.#count(1, 0);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (Array.isArray(value)) return this.#array(value, prototype);
    if (prototype === Object.prototype) return this.#plain(value, 'object');
    if (prototype === null && !types.isModuleNamespaceObject(value) && !types.isExternal(value))
      return this.#plain(value, 'null-prototype');
    if (ArrayBuffer.isView(value)) return this.#remember(value, this.memory.view(value, this.#buffers));
    return this.#builtIn(value, prototype);
  }

  #array(value: readonly unknown[], prototype: unknown): symbol {
    if (prototype !== Array.prototype) throw this.#refuse(describeObject(value));
    const fault = arrayFault(value);
    if (fault !== undefined) throw this.#refuse(fault.reason, fault.step);
    // Copied before the first write, in put().
    return this.#enter('array', value, NO_KEYS, value as unknown[]);
  }

  #plain(value: object, shape: Shape): symbol {
    const keys = Object.keys(value);
    const values = plainValues(value, keys);
    if (values instanceof Fault) throw this.#refuse(values.reason, values.step);
    for (const key of keys) this.#bytes += key.length;
    this.#count(0, keys.length);
    return this.#enter(shape, value, keys, values);
  }

  #builtIn(value: object, prototype: unknown): unknown {
    if (types.isMap(value) && prototype === Map.prototype) {
      this.#requireBare(value);
      const items: unknown[] = [];
      for (const [key, item] of value) items.push(key, item);
      return this.#enter('map', value, NO_KEYS, items);
    }
    if (types.isSet(value) && prototype === Set.prototype) {
      this.#requireBare(value);
      return this.#enter('set', value, NO_KEYS, [...value]);
    }
    if (types.isDate(value) && prototype === Date.prototype) {
      this.#requireBare(value);
      return this.#tagged(new Map([[TAG.date, Date.prototype.getTime.call(value)]]));
    }
    throw this.#refuse(describeObject(value));
  }

  #enter(shape: Shape, source: object, keys: readonly string[], items: unknown[]): symbol {
    this.#stack.push({ shape, source, keys, items, changed: shape === 'map' || shape === 'set', index: 0, height: LEAF_LEVELS });
    if (this.#stack.length > MAX_DEPTH) {
      const remedy = 'keep long chains in an array and let entries refer to each other by position';
      this.#stack.pop();
      throw this.#refuse({ what: `nested more than ${MAX_DEPTH} levels deep`, remedy });
    }
    return ENTERED;
  }

  #close(frame: Frame): unknown {
    const { shape, keys, items } = frame;
    if (shape === 'array') return items;
    if (shape === 'map' || shape === 'set') return this.#taggedList(shape === 'map' ? TAG.map : TAG.set, items, frame);
    let inPairs = shape === 'null-prototype';
    let asMap = frame.changed;
    for (const key of keys) {
      if (key === '__proto__' || !isCarried(key)) inPairs = true;
      // msgpackr looks at `constructor` to tell what a value is.
      else if (key === 'constructor') asMap = true;
    }
    if (inPairs) return this.#pairs(frame);
    return asMap ? new Map(keys.map((key, i) => [key, items[i]])) : frame.source;
  }

  #pairs(frame: Frame): MemoryWire {
    const { shape, keys, items } = frame;
    const pairs: unknown[] = [];
    for (let i = 0; i < keys.length; i++) pairs.push(this.#text(keys[i] ?? ''), items[i]);
    return this.#taggedList(shape === 'object' ? TAG.pairs : TAG.nullPrototype, pairs, frame);
  }

  #taggedList(tag: number, list: readonly unknown[], { height }: Frame): MemoryWire {
    if (height > SHALLOW) this.#deep.add(list);
    return this.#tagged(new Map([[tag, list]]));
  }

  #text(text: string): unknown {
    this.#bytes += text.length;
    if (isCarried(text)) return text;
    return this.#tagged(new Map([[TAG.text, new Uint8Array(Buffer.from(text, 'utf16le'))]]));
  }

  #tagged(wire: MemoryWire): MemoryWire {
    this.#containers++;
    this.#values += 2;
    return wire;
  }

  #count(containers: number, values: number): void {
    this.#containers += containers;
    this.#values += values;
    const { containers: most, values: mostValues } = TREE_LIMITS;
    if (this.#containers > most || this.#values > mostValues) throw this.#tooLarge(`more than ${most} objects or ${mostValues} values`);
  }

  #remember(value: object, wire: MemoryWire | Reason): MemoryWire {
    if ('what' in wire) throw this.#refuse(wire);
    this.#seen.add(value);
    this.#count(3, 10);
    return wire;
  }

  #requireBare(value: object): void {
    if (!isBare(value)) throw this.#refuse(EXTRA);
  }

  #top(): Frame {
    const frame = this.#stack.at(-1);
    if (frame === undefined) throw new Error('walk: no container is open');
    return frame;
  }

  #path(): string {
    return pathOf(this.#name, this.#stack);
  }

  #refuse(reason: Reason, step = ''): CheckpointError {
    return refuse(this.#name, this.#path() + step, reason);
  }

  #tooLarge(what: string): CheckpointError {
    return refuse(this.#name, this.#name, property(`too large: ${what}`));
  }

  #shared(value: object): CheckpointError {
    const path = this.#path();
    const first = firstPath(this.#roots, value);
    const message =
      `state of ${this.#name}: ${shown(first)} and ${shown(path)} are the same object, and that identity would be lost; ` +
      'keep the object in one place and refer to it by key or position, or make a copy';
    return new CheckpointError('ERR_CKPT_UNSUPPORTED_VALUE', message, { provider: this.#name, path });
  }
}

/** Ends the second walk that looks for the first path of a shared object. */
class FoundPath {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
  }
}

function firstPath(roots: ReadonlyMap<string, unknown>, wanted: object): string {
  const walk = new Walk(roots, wanted);
  try {
    for (const [name, value] of roots) walk.section(name, value);
  } catch (found) {
    if (found instanceof FoundPath) return found.path;
  }
  return '(another place)';
}

/** False for strings that msgpack cannot carry (lone surrogates) or that many decoders cut (a leading byte order mark). */
function isCarried(text: string): boolean {
  return text.isWellFormed() && text.charCodeAt(0) !== BYTE_ORDER_MARK;
}
