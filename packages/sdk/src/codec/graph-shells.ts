/// <reference lib="es2024.arraybuffer" />
/// <reference lib="es2024.sharedmemory" />
/**
 * The objects of a section, still empty, so that cells can refer to them.
 *
 * Invariants
 * 1. Every number is checked before it reaches a constructor; what a constructor refuses all the same is BadGraph.
 * 2. Memory is made before the views on it.
 */
import { messageOf } from '../base/errors.js';
import { type ClassDefinition, type Maker, Tagged } from './classes.js';
import { makeMemory, makeView } from './decode-memory.js';
import { definitionOf, type KnownClasses, shellOf } from './graph-classes.js';
import { GROUP } from './graph-format.js';
import type { ReadGraph, ReadGroup } from './graph-read.js';
import { objectMaker, type ReadShape } from './object-maker.js';
import { BadGraph, Cells, list, readBytes, readCounts, readFloats, readTexts } from './read-columns.js';

/** What a section is decoded with. */
export interface Surroundings {
  readonly section: string;
  /** Bytes of the section: bounds what may be made of them. */
  readonly size: number;
  readonly buffers: readonly ArrayBufferLike[];
  readonly imports: readonly (readonly unknown[])[];
  readonly classes: KnownClasses;
}

/** Kinds whose objects take much more memory than a few bytes in the image. */
const HEAVY: ReadonlySet<number> = new Set([GROUP.url, GROUP.error]);
const HEAVY_BYTES = 8;
const FEW = 10_000;

/** Instances that are filled as plain data first, because their class has another version now. */
export type Outdated = Map<
  number,
  { readonly definition: ClassDefinition; readonly group: ReadGroup; readonly data: Record<string, unknown> }
>;

export class Shells {
  readonly objects: unknown[];
  readonly outdated: Outdated = new Map();
  /** What the objects of each group of one shape hold; `made` once they hold all but references. */
  readonly shapes: Map<ReadGroup, ReadShape & { readonly made: boolean }> = new Map();
  readonly #around: Surroundings;
  #reserved = { reserved: 0 };

  constructor(graph: ReadGraph, around: Surroundings) {
    this.#around = around;
    this.objects = new Array(graph.objects);
    for (const group of graph.groups) if (group.kind !== GROUP.view) this.#make(group);
    for (const group of graph.groups) if (group.kind === GROUP.view) this.#views(group);
  }

  #make(group: ReadGroup): void {
    const { kind, ids, payload } = group;
    if (HEAVY.has(kind) && ids.length > FEW && ids.length * HEAVY_BYTES > this.#around.size)
      throw new BadGraph('more objects than its bytes can tell');
    switch (kind) {
      case GROUP.object:
        this.#shaped(group);
        return;
      case GROUP.dictionary:
        this.#plain(group);
        return;
      case GROUP.array:
        this.#arrays(group);
        return;
      case GROUP.map:
        this.#each(group, (maker) => (maker === undefined ? new Map() : construct(Map, [], maker)));
        return;
      case GROUP.set:
        this.#each(group, (maker) => (maker === undefined ? new Set() : construct(Set, [], maker)));
        return;
      case GROUP.error:
        this.#errors(group);
        return;
      case GROUP.bulk:
        this.#put(group, readCounts(payload[0], ids.length, 'bulk memory', true), (index) => this.#buffer(index));
        return;
      case GROUP.import:
        this.#imports(group);
        return;
      case GROUP.memory:
        this.#memories(group);
        return;
      case GROUP.window:
        this.#windows(group);
        return;
      case GROUP.encoded:
        return; // made last
      default:
        this.#singles(group);
        return;
    }
  }

  #each({ ids, of }: ReadGroup, make: (maker?: Maker) => object): void {
    const { classes, section } = this.#around;
    for (const id of ids) this.objects[id] = shellOf(classes, of, make, section);
  }

  #arrays(group: ReadGroup): void {
    const { ids, of } = group;
    if (of.of !== 'kind') {
      this.#each(group, (maker) => (maker === undefined ? [] : construct(Array, [], maker)));
      return;
    }
    const told = readCounts(group.payload[1], ids.length, 'told lengths of arrays');
    for (let row = 0; row < ids.length; row++) this.objects[ids[row] ?? 0] = shortArray(told[row] ?? 0);
  }

  #put(group: ReadGroup, values: ArrayLike<number>, make: (value: number) => unknown): void {
    requireKind(group);
    group.ids.forEach((id, row) => {
      this.objects[id] = make(values[row] ?? 0);
    });
  }

  #shaped(group: ReadGroup): void {
    const { ids, of } = group;
    const shape = readShape(group, this.objects.length);
    const make = of.of === 'kind' ? objectMaker(shape, ids.length) : undefined;
    this.shapes.set(group, { ...shape, made: make !== undefined });
    if (make === undefined) this.#plain(group);
    else for (let row = 0; row < ids.length; row++) this.objects[ids[row] ?? 0] = make(row);
  }

  #plain(group: ReadGroup): void {
    const { ids, of } = group;
    const { objects } = this;
    if (of.of === 'error' || (of.of === 'nothing' && group.kind === GROUP.object)) throw new BadGraph('an object of a wrong prototype');
    if (of.of === 'kind') for (const id of ids) objects[id] = {};
    else if (of.of === 'nothing') for (const id of ids) objects[id] = Object.create(null);
    else {
      const definition = definitionOf(this.#around.classes, of, this.#around.section);
      for (const id of ids) {
        objects[id] = definition === undefined ? new Tagged(of.name, of.version, {}) : Object.create(definition.prototype);
        if (definition !== undefined && definition.version !== of.version) this.outdated.set(id, { definition, group, data: {} });
      }
    }
  }

  #errors(group: ReadGroup): void {
    const { of, ids, payload } = group;
    if (of.of === 'kind' || of.of === 'nothing') throw new BadGraph('an error of no kind');
    const stacks = new Cells(payload[0], ids.length, 0, 'stacks');
    const base = of.of === 'error' ? globalThis[of.name] : Error;
    withoutStack(() => {
      this.#each(group, (maker) => construct(base, base === AggregateError ? [[]] : [], maker ?? base));
    });
    for (const id of ids) {
      const made = this.objects[id];
      const error = made instanceof Tagged ? made.data : made;
      for (const key of Reflect.ownKeys(Object(error))) Reflect.deleteProperty(Object(error), key);
      const stack = stacks.next();
      if (stack === null) continue;
      if (typeof stack !== 'string') throw new BadGraph('a stack that is no text');
      Object.defineProperty(error, 'stack', { value: stack, writable: true, enumerable: false, configurable: true });
    }
  }

  #imports({ ids, payload }: ReadGroup): void {
    const sections = readCounts(payload[0], ids.length, 'imports', true);
    const numbers = readCounts(payload[1], ids.length, 'imports', true);
    ids.forEach((id, row) => {
      const object = this.#around.imports[sections[row] ?? 0]?.[numbers[row] ?? 0];
      if (typeof object !== 'object' || object === null) throw new BadGraph('an import of an object that is not there');
      this.objects[id] = object;
    });
  }

  #memories(group: ReadGroup): void {
    const { ids, payload } = group;
    const kinds = readCounts(payload[0], ids.length, 'kinds of memory');
    const bytes = list(payload[1], ids.length, 'memory');
    const maxima = new Cells(payload[2], ids.length, 0, 'maxima');
    this.#put(group, kinds, (kind) => {
      const row = maxima.next();
      return makeMemory(kind, bytes[this.#row++], row, this.#reserved);
    });
    this.#row = 0;
  }
  #row = 0;

  #views(group: ReadGroup): void {
    const { ids, payload } = group;
    const kinds = readCounts(payload[0], ids.length, 'kinds of views');
    const memories = readCounts(payload[1], ids.length, 'memory of views', true);
    const offsets = readFloats(payload[2], ids.length, 'offsets');
    const lengths = new Cells(payload[3], ids.length, 0, 'lengths of views');
    requireKind(group);
    ids.forEach((id, row) => {
      const memory = this.objects[memories[row] ?? 0];
      this.objects[id] = makeView(kinds[row], memory, offsets[row], lengths.next());
    });
  }

  #windows(group: ReadGroup): void {
    const { ids, payload } = group;
    const buffers = new Cells(payload[0], ids.length, 0, 'buffers of windows');
    const offsets = readFloats(payload[1], ids.length, 'offsets');
    const lengths = readFloats(payload[2], ids.length, 'lengths');
    const bytes = list(payload[3], ids.length, 'windows');
    requireKind(group);
    ids.forEach((id, row) => {
      const own = readBytes(bytes[row], 'a window');
      const buffer = buffers.next();
      if (buffer === null) {
        if (own.length !== lengths[row]) throw new BadGraph('a window of another length');
        this.objects[id] = Buffer.from(new Uint8Array(own).buffer);
      } else this.objects[id] = makeView(BUFFER, this.#buffer(buffer), offsets[row], lengths[row]);
    });
  }

  #singles(group: ReadGroup): void {
    const { kind, ids, payload } = group;
    const columns = payload.map((wire) => new Cells(wire, ids.length, 0, 'cells'));
    this.#each(group, (maker) =>
      single(
        kind,
        columns.map((cells) => cells.next()),
        maker,
      ),
    );
  }

  #buffer(index: unknown): ArrayBufferLike {
    const buffer = typeof index === 'number' && Number.isInteger(index) ? this.#around.buffers[index] : undefined;
    if (buffer === undefined) throw new BadGraph(`a reference to buffer ${String(index)} of ${this.#around.buffers.length}`);
    return buffer;
  }
}

/** An array that short has room for just its items, which replace the zeros; V8 gives any other more room than it needs. */
function shortArray(items: number): unknown[] {
  if (items === 1) return [0];
  if (items === 2) return [0, 0];
  if (items === 3) return [0, 0, 0];
  return items === 4 ? [0, 0, 0, 0] : [];
}

const BUFFER = 13;

function readShape({ ids, payload }: ReadGroup, objects: number): ReadShape {
  const [texts, wires] = payload;
  if (!Array.isArray(wires) || wires.length === 0) throw new BadGraph('objects without columns');
  const keys = readTexts(texts, wires.length, 'keys');
  if (new Set(keys).size !== keys.length) throw new BadGraph('an object with the same key twice');
  const columns = keys.map((key, index) => new Cells(wires[index], ids.length, objects, `column ${key}`));
  if (columns.some(({ holed }) => holed)) throw new BadGraph('a hole that is not in an array');
  return { keys, columns };
}

function requireKind({ of }: ReadGroup): void {
  if (of.of !== 'kind') throw new BadGraph('memory or a view of a class');
}

function single(kind: number, cells: readonly unknown[], maker: Maker | undefined): object {
  const [first, second, third] = cells;
  if (kind === GROUP.date && typeof first === 'number') {
    const date = construct(Date, [first], maker ?? Date);
    if (Object.is(Date.prototype.getTime.call(date), first)) return date;
  } else if (kind === GROUP.regexp && typeof first === 'string' && typeof second === 'string') {
    const regexp = construct(RegExp, [first, second], maker ?? RegExp);
    Reflect.set(regexp, 'lastIndex', third);
    return regexp;
  } else if (kind === GROUP.boxed && first !== null && typeof first !== 'object' && first !== undefined) return Object(first);
  else if (kind === GROUP.url && typeof first === 'string') return guarded(() => new URL(first));
  throw new BadGraph(`an object of kind ${kind} that its cells do not tell`);
}

function construct(base: Maker, values: readonly unknown[], maker: Maker): object {
  return guarded(() => Reflect.construct(base, values, maker));
}

function guarded<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new BadGraph(`an object that cannot be made (${messageOf(error)})`);
  }
}

/** Errors are made without looking at the stack, which takes most of the time. */
function withoutStack(work: () => void): void {
  const limit = Error.stackTraceLimit;
  Reflect.set(Error, 'stackTraceLimit', 0);
  try {
    work();
  } finally {
    Reflect.set(Error, 'stackTraceLimit', limit);
  }
}
