/**
 * Values into the objects of a section, column by column; then instances by their decode functions; then integrity.
 *
 * Invariants
 * 1. No prototype is touched and no setter runs: keys that a prototype knows become own data by definition.
 * 2. An instance that a decode function makes is put wherever it is referred to; what its data holds is complete before.
 * 3. Maps and Sets are filled in their order, once all that they hold is there.
 */
import { Tagged } from './classes.js';
import { close, define, defineAll, lengthen, REGULAR } from './define.js';
import { currentData } from './graph-classes.js';
import { GROUP, INTEGRITY, LONG_RUN, MAX_UNTOLD_HOLES, untoldCost } from './graph-format.js';
import { Instances, type Put } from './graph-instances.js';
import type { ReadExtras, ReadGraph, ReadGroup } from './graph-read.js';
import { Shells, type Surroundings } from './graph-shells.js';
import { BadGraph, Cells, HOLE, REF, readCounts } from './read-columns.js';
import { sizeOf } from './slots.js';

const MISPLACED_HOLE = 'a hole that is not in an array';

export class Filler {
  readonly #around: Surroundings;
  readonly #graph: ReadGraph;
  readonly #shells: Shells;
  readonly #pending: Instances;
  /** Values that instances of an older version still wait for, by number. */
  readonly #missing = new Map<number, number>();
  /** Objects that are made elsewhere: by decode functions, or in other sections. */
  readonly #closed: ReadonlySet<number>;
  #untoldHoles = 0;

  constructor(graph: ReadGraph, around: Surroundings) {
    this.#graph = graph;
    this.#around = around;
    this.#shells = new Shells(graph, around);
    this.#pending = new Instances(graph, around.classes, around.section);
    const elsewhere = graph.groups.filter(({ kind }) => kind === GROUP.encoded || kind === GROUP.import);
    this.#closed = new Set(elsewhere.flatMap(({ ids }) => [...ids]));
  }

  get objects(): readonly unknown[] {
    return this.#shells.objects;
  }

  /** @returns the root value */
  fill(): unknown {
    const { groups, extras, root } = this.#graph;
    for (const group of groups) this.#group(group);
    if (extras !== undefined) this.#extras(extras);
    // What lies deeper has higher numbers mostly: a step is handed objects that are of the new version already.
    for (const id of [...this.#shells.outdated.keys()].reverse()) this.#renew(id);
    let value: unknown;
    this.#take(root, (found) => {
      value = found;
    });
    this.#pending.resolve(this.#graph.resolve, this.#shells.objects);
    for (const { integrity, ids } of groups) if (integrity !== INTEGRITY.open) for (const id of ids) close(this.objects[id], integrity);
    return value;
  }

  /** Hands the next cell's value to `put`, at once or when it is made. */
  #take(cells: Cells, put: Put, owner?: number): void {
    const value = cells.next();
    if (value === HOLE) throw new BadGraph(MISPLACED_HOLE);
    if (value !== REF) {
      put(value);
      return;
    }
    const pending = this.#pending.get(cells.ref);
    if (pending === undefined) {
      put(this.objects[cells.ref]);
      return;
    }
    pending.waiting.push(owner === undefined || !this.#shells.outdated.has(owner) ? put : this.#owed(put, owner));
  }

  /** An instance of an older version is renewed once its data is complete. */
  #owed(put: Put, owner: number): Put {
    this.#missing.set(owner, (this.#missing.get(owner) ?? 0) + 1);
    return (value) => {
      put(value);
      this.#missing.set(owner, (this.#missing.get(owner) ?? 1) - 1);
      this.#renew(owner);
    };
  }

  /** Turns the data of an instance of an older version, when it is complete, into what the class expects now. */
  #renew(id: number): void {
    const outdated = this.#shells.outdated.get(id);
    if (outdated === undefined || outdated.group.of.of !== 'class' || (this.#missing.get(id) ?? 0) > 0) return;
    defineAll(this.objects[id], currentData(outdated.definition, outdated.group.of, outdated.data, this.#around.section));
  }

  #group(group: ReadGroup): void {
    switch (group.kind) {
      case GROUP.object:
        this.#objects(group);
        return;
      case GROUP.dictionary:
        this.#dictionaries(group);
        return;
      case GROUP.array:
        this.#arrays(group);
        return;
      case GROUP.map:
        this.#maps(group);
        return;
      case GROUP.set:
        this.#sets(group);
        return;
      case GROUP.encoded:
        this.#encoded(group);
        return;
    }
  }

  #cells(wire: unknown, length: number, what: string): Cells {
    return new Cells(wire, length, this.#graph.objects, what);
  }

  /** What the values of an object go into. */
  #target(id: number): object {
    const outdated = this.#shells.outdated.get(id);
    if (outdated !== undefined) return outdated.data;
    const object = this.objects[id];
    return Object(object instanceof Tagged ? object.data : object);
  }

  #objects(group: ReadGroup): void {
    const { ids, of } = group;
    const { keys = [], columns = [], made = false } = this.#shells.shapes.get(group) ?? {};
    const targets = Array.from(ids, (id) => this.#target(id));
    for (const [index, cells] of columns.entries()) {
      if (made && !cells.refers) continue;
      const key = keys[index] ?? '';
      const awkward = key in Object.prototype || of.of === 'class';
      for (const [row, target] of targets.entries()) {
        const id = ids[row] ?? 0;
        // A place of its own at once, so that the order of the keys is kept whatever comes later.
        if (awkward) this.#take(this.#reserve(cells, target, key), (value) => define(target, key, value, REGULAR), id);
        else this.#assign(cells, target as Record<string, unknown>, key);
      }
    }
  }

  #assign(cells: Cells, target: Record<string, unknown>, key: string): void {
    const value = cells.next();
    if (value !== REF) {
      target[key] = value;
      return;
    }
    const pending = this.#pending.size === 0 ? undefined : this.#pending.get(cells.ref);
    target[key] = this.objects[cells.ref];
    pending?.waiting.push((made) => {
      target[key] = made;
    });
  }

  #reserve(cells: Cells, target: object, key: string | symbol): Cells {
    if (this.#pending.size > 0) define(target, key, undefined, REGULAR);
    return cells;
  }

  #dictionaries({ ids, payload }: ReadGroup): void {
    const sizes = readCounts(payload[0], ids.length, 'sizes of objects', true);
    const total = sum(sizes);
    const keys = this.#cells(payload[1], total, 'keys');
    const values = this.#cells(payload[2], total, 'values');
    ids.forEach((id, row) => {
      const target = this.#target(id);
      for (let left = sizes[row] ?? 0; left > 0; left--) {
        const key = keys.next();
        if (typeof key !== 'string' || Object.hasOwn(target, key)) throw new BadGraph('an object key that is no text, or there twice');
        this.#take(this.#reserve(values, target, key), (value) => define(target, key, value, REGULAR), id);
      }
    });
  }

  #arrays({ ids, payload }: ReadGroup): void {
    const lengths = readCounts(payload[0], ids.length, 'lengths of arrays');
    const told = readCounts(payload[1], ids.length, 'told lengths of arrays');
    const items = this.#cells(payload[2], sum(told), 'items');
    ids.forEach((id, row) => {
      const array = this.#target(id) as unknown[]; // made as an array, see Shells
      const length = lengths[row] ?? 0;
      const count = told[row] ?? 0;
      this.#untoldHoles += untoldCost(length, count);
      if (count > length || this.#untoldHoles > MAX_UNTOLD_HOLES) throw new BadGraph('arrays longer than their items can tell');
      for (let index = 0; index < count; index++) this.#item(items, array, index);
      if (array.length !== length) lengthen(array, length, untoldCost(length, count) === LONG_RUN);
    });
  }

  #item(items: Cells, array: unknown[], index: number): void {
    const value = items.next();
    if (value === HOLE) {
      if (index < array.length) Reflect.deleteProperty(array, index);
      return;
    }
    if (value !== REF) {
      array[index] = value;
      return;
    }
    array[index] = this.objects[items.ref];
    if (this.#pending.size === 0) return;
    this.#pending.get(items.ref)?.waiting.push((made) => {
      array[index] = made;
    });
  }

  #maps({ ids, payload }: ReadGroup): void {
    const sizes = readCounts(payload[0], ids.length, 'sizes of Maps', true);
    const total = sum(sizes);
    const keys = this.#cells(payload[1], total, 'keys of Maps');
    const values = this.#cells(payload[2], total, 'values of Maps');
    ids.forEach((id, row) => {
      const map = this.#target(id);
      const size = sizes[row] ?? 0;
      const check = (): void => {
        if (sizeOf(map) !== size) throw new BadGraph('a Map with the same key twice');
      };
      if (this.#pending.size === 0) {
        for (let left = size; left > 0; left--) Map.prototype.set.call(map, this.#there(keys), this.#there(values));
        check();
        return;
      }
      this.#collect(size, [keys, values], (entries) => {
        for (let i = 0; i < entries.length; i += 2) Map.prototype.set.call(map, entries[i], entries[i + 1]);
        check();
      });
    });
  }

  /** The next cell's value, where no decode function makes any. */
  #there(cells: Cells): unknown {
    const value = cells.next();
    if (value === HOLE) throw new BadGraph(MISPLACED_HOLE);
    return value === REF ? this.objects[cells.ref] : value;
  }

  #sets({ ids, payload }: ReadGroup): void {
    const sizes = readCounts(payload[0], ids.length, 'sizes of Sets', true);
    const items = this.#cells(payload[1], sum(sizes), 'items of Sets');
    ids.forEach((id, row) => {
      const set = this.#target(id);
      this.#collect(sizes[row] ?? 0, [items], (found) => {
        for (const item of found) Set.prototype.add.call(set, item);
        if (sizeOf(set) !== found.length) throw new BadGraph('a Set with the same item twice');
      });
    });
  }

  /** Takes a value of each column so many times, and calls `done` when all of them are there (invariant 3). */
  #collect(times: number, columns: readonly Cells[], done: (values: readonly unknown[]) => void): void {
    const values: unknown[] = new Array(times * columns.length);
    let missing = values.length + 1;
    const arrived = (): void => {
      if (--missing === 0) done(values);
    };
    for (let at = 0; at < values.length; ) {
      for (const cells of columns) {
        const place = at++;
        this.#take(cells, (value) => {
          values[place] = value;
          arrived();
        });
      }
    }
    arrived();
  }

  #encoded({ ids, payload }: ReadGroup): void {
    const cells = this.#cells(payload[0], ids.length, 'data of instances');
    for (const id of ids) {
      this.#take(cells, (data) => {
        const pending = this.#pending.get(id);
        if (pending !== undefined) pending.data = data;
      });
    }
  }

  #extras({ targets, keys, values, attributes }: ReadExtras): void {
    targets.forEach((id, row) => {
      const target = this.#target(id);
      const key = keys.next();
      if (this.#closed.has(id)) throw new BadGraph('a property of an object that this section does not make');
      if ((typeof key !== 'string' && typeof key !== 'symbol') || Object.hasOwn(target, key))
        throw new BadGraph('a property whose key is neither text nor symbol, or is there twice');
      const bits = attributes[row] ?? 0;
      this.#take(this.#reserve(values, target, key), (value) => define(target, key, value, bits), id);
    });
  }
}

function sum(counts: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i] ?? 0;
  return total;
}
