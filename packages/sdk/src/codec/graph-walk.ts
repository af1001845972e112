/**
 * The walk over all values of a member: breadth first, in one queue a section, every object met once.
 *
 * Invariants
 * 1. No recursion: a list of a million nodes is walked like any other graph.
 * 2. An object has one place, in the section that met it first; later sections refer to it there, so identity between
 *    providers is kept and a section refers to earlier ones only.
 * 3. What cannot be carried is refused with its path (ERR_CKPT_UNSUPPORTED_VALUE); nothing is left out.
 */
import { types } from 'node:util';
import type { CheckpointError } from '../base/errors.js';
import type { ClassRegistry } from './classes.js';
import { MAX_OBJECTS } from './graph-format.js';
import { GraphMemory } from './graph-memory.js';
import { findPath } from './graph-path.js';
import { ImportMark, Scanner } from './graph-scan.js';
import { GraphSection } from './graph-section.js';
import { property, refuse } from './refusal.js';
import { resolveOrder } from './resolve-order.js';
import { Unsupported } from './unsupported.js';

export class GraphWalk {
  readonly memory: GraphMemory;
  readonly sections: GraphSection[] = [];
  readonly #roots: ReadonlyMap<string, unknown>;
  readonly #scanner: Scanner;
  /** Numbers over all sections: those of a section begin at its base. */
  readonly #known = new Map<object, number>();
  readonly #bases: number[] = [];
  /** Numbers in the section under way of objects that have their place elsewhere. */
  #foreign = new Map<object, number>();
  readonly #encoded = new Map<object, unknown>();

  /** @param foreign memory that is captured elsewhere */
  constructor(roots: ReadonlyMap<string, unknown>, classes: ClassRegistry, foreign: ReadonlySet<ArrayBufferLike>) {
    this.#roots = roots;
    this.memory = new GraphMemory((memory) => this.#known.has(memory), foreign);
    this.#scanner = new Scanner(classes, this.memory, this.#encoded);
  }

  /** Walks one provider's value. @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE */
  section(name: string, value: unknown): GraphSection {
    const before = this.sections.at(-1);
    this.#bases.push((this.#bases.at(-1) ?? 0) + (before?.queue.length ?? 0));
    this.#foreign = new Map();
    const section = new GraphSection(name, this.sections.length, (object, from) => this.#number(object, from));
    this.sections.push(section);
    try {
      section.cell(section.root, value);
      const { queue } = section;
      for (let next = 0; next < queue.length; next++) {
        const object = queue[next];
        if (object !== undefined) this.#scanner.scan(section, object);
      }
    } catch (error) {
      throw error instanceof Unsupported ? this.#refused(name, error) : error;
    }
    return section;
  }

  /** The section's structured part, for msgpack. @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE */
  wire(section: GraphSection): unknown {
    const { encoded, queue } = section;
    if (encoded.length === 0) return section.wire([]);
    const order = resolveOrder(encoded, (number) => queue[number], this.#encoded);
    if (order instanceof Unsupported) throw this.#refused(section.name, order);
    return section.wire(order);
  }

  #number(object: object, section: GraphSection): number {
    const base = this.#bases.at(-1) ?? 0;
    const known = this.#known.get(object);
    if (known !== undefined) return known >= base ? known - base : this.#elsewhere(object, known, section);
    const number = section.queue.push(object) - 1;
    if (base + number >= MAX_OBJECTS) throw refuse(section.name, section.name, property(`too large: more than ${MAX_OBJECTS} objects`));
    this.#known.set(object, base + number);
    return number;
  }

  #elsewhere(object: object, known: number, section: GraphSection): number {
    const found = this.#foreign.get(object);
    if (found !== undefined) return found;
    let position = this.#bases.length - 1;
    while ((this.#bases[position] ?? 0) > known) position--;
    const listed = types.isAnyArrayBuffer(object) && this.memory.isBulk(object);
    const number = section.queue.push(listed ? object : new ImportMark(position, known - (this.#bases[position] ?? 0))) - 1;
    this.#foreign.set(object, number);
    return number;
  }

  #refused(name: string, { value, reason, step }: Unsupported): CheckpointError {
    const roots = new Map([[name, this.#roots.get(name)], ...this.#roots]);
    return refuse(name, findPath(roots, value, this.#encoded) + step, reason);
  }
}
