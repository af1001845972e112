/**
 * Instances that the program's decode functions make, and everything that waits for one.
 *
 * Invariants
 * 1. They are made in the order that the image states, and each is handed data that is complete.
 */
import { type ClassDefinition, Tagged } from './classes.js';
import { defineAll } from './define.js';
import { currentData, decodedInstance, definitionOf, type KnownClasses } from './graph-classes.js';
import { GROUP } from './graph-format.js';
import type { ReadClass, ReadGraph, ReadGroup } from './graph-read.js';
import { BadGraph, type CountList } from './read-columns.js';

export type Put = (value: unknown) => void;
type NamedClass = Extract<ReadClass, { readonly of: 'class' }>;

/** An instance still to be made: what it is made of, and where it goes. */
interface Pending {
  readonly of: NamedClass;
  readonly definition: ClassDefinition | undefined;
  data: unknown;
  readonly waiting: Put[];
}

export class Instances {
  readonly #pending = new Map<number, Pending>();
  readonly #section: string;

  constructor(graph: ReadGraph, classes: KnownClasses, section: string) {
    this.#section = section;
    for (const group of graph.groups) if (group.kind === GROUP.encoded) this.#announce(group, classes);
  }

  get size(): number {
    return this.#pending.size;
  }

  get(id: number): Pending | undefined {
    return this.#pending.get(id);
  }

  resolve(order: CountList, objects: unknown[]): void {
    for (const id of order) {
      const pending = this.#pending.get(id);
      if (pending === undefined) throw new BadGraph('an order of instances that are none');
      this.#pending.delete(id);
      const made = this.#make(pending);
      objects[id] = made;
      for (const put of pending.waiting) put(made);
    }
    if (this.#pending.size > 0) throw new BadGraph('instances that are not made');
  }

  #announce({ of, ids }: ReadGroup, classes: KnownClasses): void {
    if (of.of !== 'class') throw new BadGraph('an encoded instance of no class');
    const definition = definitionOf(classes, of, this.#section);
    for (const id of ids) this.#pending.set(id, { of, definition, data: undefined, waiting: [] });
  }

  #make({ definition, of, data }: Pending): object {
    if (definition === undefined) return new Tagged(of.name, of.version, data);
    const current = currentData(definition, of, data, this.#section);
    if (definition.decode !== undefined) return decodedInstance(definition, current, this.#section);
    // The class had encode and decode once; now its properties are the data.
    const instance: object = Object.create(definition.prototype);
    defineAll(instance, current);
    return instance;
  }
}
