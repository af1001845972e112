/**
 * The walk over all values of a member: breadth first, in one queue a section, every object met once.
 *
 * Invariants
 * 1. No recursion: a list of a million nodes is walked like any other graph.
 * 2. An object has one place, in the section that met it first; later sections refer to it there, so identity between
 *    providers is kept and a section refers to earlier ones only.
 * 3. What cannot be carried is refused with its path (ERR_CKPT_UNSUPPORTED_VALUE), unless the section's provider asked to
 *    leave it out: then this walk only finds what that is, and another one is done without it (drops.ts).
 * 4. Instances of classes that are not registered are looked into, so that one refusal names all of these classes.
 */
import { types } from 'node:util';
import type { CheckpointError } from '../base/errors.js';
import type { ClassRegistry } from './classes.js';
import type { DroppedValues } from './contract.js';
import type { Drops } from './drops.js';
import { Familiars } from './familiar.js';
import { MAX_OBJECTS } from './graph-format.js';
import { GraphMemory } from './graph-memory.js';
import { findPath, findPaths, neighbours } from './graph-path.js';
import { ImportMark, Scanner } from './graph-scan.js';
import { GraphSection, type Numbering } from './graph-section.js';
import type { HiddenClasses } from './hidden-class.js';
import { Met } from './met.js';
import { LEAST_RUN, Run } from './met-runs.js';
import { RecordRuns } from './record-runs.js';
import { property, type Reason, refuse, refuseClasses } from './refusal.js';
import { resolveOrder } from './resolve-order.js';
import { Unsupported } from './unsupported.js';

/** So many classes that are not registered are named together. */
const MOST_CLASSES = 20;

export interface WalkParts {
  readonly classes: ClassRegistry;
  readonly drops: Drops;
  /** Memory that is captured elsewhere. */
  readonly foreign: ReadonlySet<ArrayBufferLike>;
  /** null: every object is looked at in full. */
  readonly hidden: HiddenClasses | null;
}

export class GraphWalk {
  readonly memory: GraphMemory;
  readonly sections: GraphSection[] = [];
  readonly #roots: ReadonlyMap<string, unknown>;
  readonly #scanner: Scanner;
  readonly #familiars: Familiars | undefined;
  readonly #runs: RecordRuns | undefined;
  /** Numbers over all sections: those of a section begin at its base. */
  readonly #met = new Met();
  readonly #bases: number[] = [];
  /** Numbers in the section under way of objects that have their place elsewhere. */
  #foreign = new Map<object, number>();
  readonly #encoded = new Map<object, unknown>();
  readonly #drops: Drops;
  /** By prototype, the first instance of each class that is not registered. */
  readonly #missing = new Map<unknown, { readonly object: object; readonly reason: Reason; readonly section: string }>();

  readonly #numbering: Numbering = {
    refOf: (object, section) => this.#number(object, section),
    runOf: (records, section, lasting) => this.#run(records, section, lasting),
  };

  constructor(roots: ReadonlyMap<string, unknown>, { classes, drops, foreign, hidden }: WalkParts) {
    this.#roots = roots;
    this.#drops = drops;
    const familiars = hidden === null ? undefined : new Familiars(hidden);
    this.#runs = hidden === null || familiars === undefined ? undefined : new RecordRuns(hidden, familiars, classes);
    this.#familiars = familiars;
    this.memory = new GraphMemory((memory) => this.#met.has(memory), foreign);
    this.#scanner = new Scanner({ classes, memory: this.memory, encoded: this.#encoded, familiars, settle: () => this.#met.settle() });
  }

  /** Walks one provider's value. @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE */
  section(name: string, value: unknown): GraphSection {
    const before = this.sections.at(-1);
    this.#bases.push((this.#bases.at(-1) ?? 0) + (before?.queue.length ?? 0));
    this.#foreign = new Map();
    const section = new GraphSection(name, this.sections.length, this.#numbering, this.#drops.of(name));
    this.sections.push(section);
    try {
      section.cell(section.root, value);
    } catch (error) {
      throw error instanceof Unsupported ? this.#refused(name, error) : error;
    }
    let next = 0;
    while (next < section.queue.length) next = this.#scanFrom(section, next);
    return section;
  }

  /** Everything was registered, or this throws. @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE */
  assertRegistered(): void {
    if (this.#missing.size > 0) throw this.#unregistered(false);
  }

  /** What was left out of the section. */
  dropped({ drops }: GraphSection): DroppedValues | undefined {
    return drops?.told(this.#roots, this.#encoded);
  }

  /** @returns where to go on: behind what could not be carried */
  #scanFrom(section: GraphSection, first: number): number {
    const { queue } = section;
    let next = first;
    try {
      while (next < queue.length) {
        const run = queue.runAt(next);
        const object = run === undefined ? queue.get(next) : undefined;
        if (object !== undefined) this.#scanner.scan(section, object);
        else if (run !== undefined) this.#runs?.scan(section, run, (within, record) => this.#scanner.scan(within, record));
        next += run?.objects.length ?? 1;
      }
    } catch (error) {
      const object = queue.get(next);
      if (!(error instanceof Unsupported) || object === undefined) throw error;
      this.#passOver(section, object, error);
      next++;
    }
    return next;
  }

  /** Nothing comes of this walk but a refusal, or what the next one leaves out. */
  #passOver(section: GraphSection, object: object, error: Unsupported): void {
    const { reason } = error;
    if (section.drops !== undefined) {
      section.drops.add(object, reason);
      return;
    }
    if (reason.missing === undefined) {
      if (this.#missing.size > 0) return;
      throw this.#refused(section.name, error);
    }
    const prototype: unknown = Object.getPrototypeOf(object);
    if (!this.#missing.has(prototype)) {
      if (this.#missing.size === MOST_CLASSES) throw this.#unregistered(true);
      this.#missing.set(prototype, { object, reason, section: section.name });
    }
    for (const neighbour of neighbours(object)) section.ref(neighbour);
  }

  #unregistered(more: boolean): CheckpointError {
    const found = [...this.#missing.values()];
    const [first] = found;
    const name = first?.section ?? '';
    if (first !== undefined && found.length === 1) return this.#refused(name, new Unsupported(first.object, first.reason));
    const paths = findPaths(this.#rootsFrom(name), new Set(found.map(({ object }) => object)), this.#encoded);
    const classes = found.flatMap(({ object, reason: { missing } }) =>
      missing === undefined ? [] : [{ path: paths.get(object) ?? '(unknown place)', ...missing }],
    );
    return refuseClasses(name, classes, more);
  }

  /** The section's structured part, for msgpack. @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE */
  wire(section: GraphSection): unknown {
    const { encoded, queue } = section;
    if (encoded.length === 0) return section.wire([]);
    const order = resolveOrder(encoded, (number) => queue.get(number), this.#encoded);
    if (order instanceof Unsupported) throw this.#refused(section.name, order);
    return section.wire(order);
  }

  #number(object: object, section: GraphSection): number {
    const base = this.#bases.at(-1) ?? 0;
    if (section.drops !== undefined && !this.#met.has(object)) {
      const left = section.drops.reasonOf(object);
      if (left !== undefined) throw new Unsupported(object, left);
    }
    const next = base + section.queue.length;
    const known = this.#met.number(object, next);
    if (known === next) {
      if (next >= MAX_OBJECTS) throw refuse(section.name, section.name, property(`too large: more than ${MAX_OBJECTS} objects`));
      section.queue.push(object);
    }
    return known >= base ? known - base : this.#elsewhere(object, known, section);
  }

  /** Numbers for records that are met at once. @returns the first; undefined when they must be met one by one */
  #run(records: readonly unknown[], section: GraphSection, lasting: boolean): number | undefined {
    const base = this.#bases.at(-1) ?? 0;
    const first = section.queue.length;
    if (records.length < LEAST_RUN || base + first + records.length > MAX_OBJECTS || section.drops !== undefined) return undefined;
    const key = this.#runs?.ordered(records);
    if (key === undefined) return undefined;
    const objects = (lasting ? records : records.slice()) as readonly object[]; // as `ordered` has found
    for (const object of objects) if (this.#met.has(object)) return undefined;
    this.#met.addRun(new Run(objects, key, base + first));
    section.queue.pushRun(objects, this.#familiars?.epoch ?? 0);
    return first;
  }

  #elsewhere(object: object, known: number, section: GraphSection): number {
    const found = this.#foreign.get(object);
    if (found !== undefined) return found;
    let position = this.#bases.length - 1;
    while ((this.#bases[position] ?? 0) > known) position--;
    const listed = types.isAnyArrayBuffer(object) && this.memory.isBulk(object);
    const number = section.queue.push(listed ? object : new ImportMark(position, known - (this.#bases[position] ?? 0)));
    this.#foreign.set(object, number);
    return number;
  }

  #refused(name: string, { value, reason, step }: Unsupported): CheckpointError {
    return refuse(name, findPath(this.#rootsFrom(name), value, this.#encoded) + step, reason);
  }

  /** Paths begin at the provider of that name where they can. */
  #rootsFrom(name: string): ReadonlyMap<string, unknown> {
    return new Map([[name, this.#roots.get(name)], ...this.#roots]);
  }
}
