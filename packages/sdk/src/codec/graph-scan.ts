/**
 * Scanning one object of the walk: which kind it is, and its values into its group.
 *
 * Invariants
 * 1. Nothing of the program runs but the `encode` functions that it registered: no getter, no proxy trap, no toJSON, no
 *    iterator of a subclass.
 * 2. An object is placed exactly once, after its values.
 * 3. A Map, Date, view, … whose prototype was changed to a plain one is no plain object. Each has no properties, or elements,
 *    or irregular properties, unless the program gave it some: the first object of each shape is looked at as well.
 */
import { types } from 'node:util';
import type { ClassDefinition, ClassRegistry } from './classes.js';
import type { Familiars } from './familiar.js';
import { scanArray } from './graph-arrays.js';
import { GROUP, INTEGRITY, type Integrity } from './graph-format.js';
import { CellsGroup, type ClassWire, CountsGroup, classWire, EntriesGroup, SetGroup } from './graph-groups.js';
import type { GraphMemory } from './graph-memory.js';
import { integrityOf, isIndex, regularValues, tellExtras, tellProperty } from './graph-properties.js';
import type { GraphSection } from './graph-section.js';
import { cells, scanError, scanSingle } from './graph-singles.js';
import { LEAST_RUN } from './met-runs.js';
import { isBareView } from './own-properties.js';
import { keyStep, mapStep, setStep } from './paths.js';
import { ARGUMENTS, describeObject, PROXY, WRONG_PROTOTYPE } from './refusal.js';
import { holdsMore, sizeOf } from './slots.js';
import { Unsupported } from './unsupported.js';

/** Stands in the queue for an object of an earlier section. */
export class ImportMark {
  readonly #mark = true;
  readonly position: number;
  readonly number: number;
  constructor(position: number, number: number) {
    this.position = position;
    this.number = number;
  }

  /** `instanceof` would ask a Proxy for its prototype. */
  static is(object: object): object is ImportMark {
    return #mark in object && object.#mark;
  }
}

/** What a scanner shares with the walk. */
export interface Walked {
  readonly classes: ClassRegistry;
  readonly memory: GraphMemory;
  /** What `encode` made of an instance. */
  readonly encoded: Map<object, unknown>;
  readonly familiars: Familiars | undefined;
  /** Code of the program is about to run. */
  readonly settle: () => void;
}

export class Scanner {
  readonly #classes: ClassRegistry;
  readonly #memory: GraphMemory;
  readonly #encoded: Map<object, unknown>;
  readonly #familiars: Familiars | undefined;
  readonly #settle: () => void;
  readonly #values: unknown[] = [];

  constructor({ classes, memory, encoded, familiars, settle }: Walked) {
    this.#settle = settle;
    this.#classes = classes;
    this.#memory = memory;
    this.#encoded = encoded;
    this.#familiars = familiars;
  }

  scan(section: GraphSection, object: object): void {
    if (this.#familiars?.scan(section, object) === true) return;
    if (ImportMark.is(object)) {
      scanImport(section, object);
      return;
    }
    if (types.isProxy(object)) throw new Unsupported(object, PROXY);
    const prototype: unknown = Object.getPrototypeOf(object);
    if (Array.isArray(object)) {
      this.#array(section, object, prototype);
      return;
    }
    const integrity = integrityOf(object);
    if (prototype === Object.prototype) {
      this.#plain(section, object, undefined, null, integrity);
      return;
    }
    if (typeof prototype !== 'object' || prototype === null) {
      this.#bare(section, object, prototype, integrity);
      return;
    }
    const definition = this.#classes.of(prototype);
    if (definition?.encode !== undefined) {
      this.#encode(section, object, definition, integrity);
      return;
    }
    if (this.#builtIn(section, object, prototype, definition, integrity)) return;
    if (definition === undefined) throw new Unsupported(object, describeObject(object));
    this.#plain(section, object, definition, classWire(definition), integrity);
  }

  #bare(section: GraphSection, object: object, prototype: unknown, integrity: Integrity): void {
    if (prototype !== null || types.isModuleNamespaceObject(object) || types.isExternal(object))
      throw new Unsupported(object, describeObject(object));
    this.#plain(section, object, true, [], integrity);
  }

  #array(section: GraphSection, array: readonly unknown[], prototype: unknown): void {
    const definition = prototype === Array.prototype ? undefined : this.#classes.of(Object(prototype));
    const integrity = integrityOf(array);
    if (definition?.encode !== undefined) {
      this.#encode(section, array, definition, integrity);
      return;
    }
    if (prototype !== Array.prototype && definition === undefined) throw new Unsupported(array, describeObject(array));
    scanArray(section, array, definition, integrity);
  }

  /** `identity` tells apart what `of` does: instances of a class, objects without prototype (true), plain ones. */
  #plain(section: GraphSection, object: object, identity: ClassDefinition | true | undefined, of: ClassWire, integrity: Integrity): void {
    let names: readonly string[] = Object.getOwnPropertyNames(object);
    const values = this.#values;
    // An empty object takes more memory than a byte in the order of objects: as a dictionary it has a size beside.
    if (names.length === 0 || !regularValues(object, names, integrity, values)) {
      tellAll(section, object, identity, of, integrity);
      return;
    }
    if (section.drops !== undefined) names = section.drops.kept(object, names, values, keyStep);
    // V8 keeps objects without prototype as dictionaries, too.
    const shaped = identity === true || names.length === 0 ? undefined : section.shaped(of, identity ?? false, integrity, names);
    if (shaped === undefined) {
      if (holdsMore(object)) throw new Unsupported(object, WRONG_PROTOTYPE);
      tellEntries(section, names, values, groupKey('dictionary', identity, integrity), of, integrity);
      return;
    }
    const { columns } = shaped;
    // Invariant 3.
    if ((columns[0]?.length === 0 || names[0] === '0') && holdsMore(object)) throw new Unsupported(object, WRONG_PROTOTYPE);
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i];
      if (column !== undefined) section.cell(column, values[i]);
    }
    section.place(shaped);
    if (integrity === INTEGRITY.open && identity !== true) this.#familiars?.learn(object, identity, names);
  }

  #encode(section: GraphSection, object: object, definition: ClassDefinition, integrity: Integrity): void {
    this.#settle();
    const data = definition.encode?.(object);
    this.#familiars?.changed();
    this.#encoded.set(object, data);
    const group = section.group(
      `encoded ${definition.name} ${integrity}`,
      (index) => new CellsGroup(index, GROUP.encoded, classWire(definition), integrity, 1),
    );
    cells(section, group, [data]);
    section.encodedHere();
    section.place(group);
  }

  #builtIn(section: GraphSection, object: object, prototype: object, of: ClassDefinition | undefined, integrity: Integrity): boolean {
    if (types.isAnyArrayBuffer(object)) {
      if (!this.#memory.isListed(object)) tellExtras(section, object);
      this.#memory.scanMemory(section, object, integrity);
    } else if (ArrayBuffer.isView(object)) {
      const length = this.#memory.lengthOf(object);
      if (!isBareView(object, length)) tellExtras(section, object, types.isDataView(object) ? undefined : isIndex);
      this.#memory.scanView(section, object, integrity);
    } else if (types.isMap(object) && (of !== undefined || prototype === Map.prototype)) scanMap(section, object, of, integrity);
    else if (types.isSet(object) && (of !== undefined || prototype === Set.prototype)) scanSet(section, object, of, integrity);
    else if (types.isNativeError(object)) return scanError(section, object, prototype, of, integrity);
    else return scanSingle(section, object, prototype, of, integrity);
    return true;
  }
}

function groupKey(kind: string, identity: ClassDefinition | true | undefined, integrity: Integrity): string {
  return `${kind} ${identity === undefined ? '' : identity === true ? '(none)' : identity.name} ${integrity}`;
}

/** An object with properties that are not regular: all of them are told one by one, which keeps their order. */
function tellAll(
  section: GraphSection,
  object: object,
  identity: ClassDefinition | true | undefined,
  of: ClassWire,
  integrity: Integrity,
): void {
  // One has a property under a symbol, so it comes here.
  if (types.isArgumentsObject(object)) throw new Unsupported(object, ARGUMENTS);
  if (holdsMore(object)) throw new Unsupported(object, WRONG_PROTOTYPE);
  for (const key of Reflect.ownKeys(object)) tellProperty(section, object, key);
  tellEntries(section, [], [], groupKey('dictionary', identity, integrity), of, integrity);
}

function tellEntries(
  section: GraphSection,
  names: readonly string[],
  values: readonly unknown[],
  key: string,
  of: ClassWire,
  integrity: Integrity,
): void {
  const group = section.group(key, (index) => new EntriesGroup(index, GROUP.dictionary, of, integrity));
  group.size(names.length);
  for (let i = 0; i < names.length; i++) {
    section.cell(group.keys, names[i]);
    section.cell(group.values, values[i]);
  }
  section.place(group);
}

function scanImport(section: GraphSection, { position, number }: ImportMark): void {
  const group = section.group('import', (index) => new CountsGroup(index, GROUP.import, 0));
  let place = section.imports.indexOf(position);
  if (place < 0) place = section.imports.push(position) - 1;
  group.counts[0]?.add(place);
  group.counts[1]?.add(number);
  section.place(group);
}

function scanMap(section: GraphSection, map: Map<unknown, unknown>, of: ClassDefinition | undefined, integrity: Integrity): void {
  tellExtras(section, map);
  const group = section.group(
    `map ${of?.name ?? ''} ${integrity}`,
    (index) => new EntriesGroup(index, GROUP.map, classWire(of), integrity),
  );
  const size = section.drops === undefined && sizeOf(map) >= LEAST_RUN ? tellMany(section, group, map) : tellEach(section, group, map);
  group.size(size);
  section.place(group);
}

/** @returns how many entries were told */
function tellEach(section: GraphSection, group: EntriesGroup, map: Map<unknown, unknown>): number {
  const { drops } = section;
  let size = 0;
  let entry = -1;
  Map.prototype.forEach.call(map, (value: unknown, key: unknown) => {
    entry++;
    if (drops?.takes(key, map, () => mapStep(key, entry, true)) || drops?.takes(value, map, () => mapStep(key, entry, false))) return;
    section.cell(group.keys, key);
    section.cell(group.values, value);
    size++;
  });
  return size;
}

/** Keys that are primitives have no numbers, so they are told before the values, which may be records that are met at once. */
function tellMany(section: GraphSection, group: EntriesGroup, map: Map<unknown, unknown>): number {
  const values: unknown[] = new Array(sizeOf(map));
  /** From the first key on that is an object. */
  const others: unknown[] = [];
  const { keys } = group;
  let row = 0;
  Map.prototype.forEach.call(map, (value: unknown, key: unknown) => {
    values[row++] = value;
    if (others.length > 0 || (typeof key === 'object' && key !== null)) others.push(key);
    else if (typeof key === 'string') keys.addText(key);
    else section.cell(keys, key);
  });
  if (others.length === 0 && section.refs(group.values, values, true)) return row;
  const plain = row - others.length;
  for (let i = 0; i < row; i++) {
    if (i >= plain) section.cell(keys, others[i - plain]);
    section.cell(group.values, values[i]);
  }
  return row;
}

function scanSet(section: GraphSection, set: Set<unknown>, of: ClassDefinition | undefined, integrity: Integrity): void {
  tellExtras(section, set);
  const group = section.group(`set ${of?.name ?? ''} ${integrity}`, (index) => new SetGroup(index, GROUP.set, classWire(of), integrity));
  let size = 0;
  let place = -1;
  Set.prototype.forEach.call(set, (item: unknown) => {
    place++;
    if (section.drops?.takes(item, set, () => setStep(place))) return;
    section.cell(group.items, item);
    size++;
  });
  group.sizes.add(size);
  section.place(group);
}
