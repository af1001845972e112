/**
 * One section while its objects are walked: their order, their groups, and what hangs on them beside.
 *
 * Invariants
 * 1. Objects are numbered as they are met and scanned in that order, so the list of their groups tells everything's place.
 * 2. A value becomes a cell here and nowhere else.
 */
import type { ClassDefinition } from './classes.js';
import { Column } from './column.js';
import type { SectionDrops } from './drops.js';
import { CELL, type Integrity } from './graph-format.js';
import { type ClassWire, type Group, ObjectGroup } from './graph-groups.js';
import { Counts } from './growing.js';
import { Queue } from './queue.js';
import { describePrimitive } from './refusal.js';
import { Shapes } from './shapes.js';
import { symbolText } from './symbol-text.js';
import { Unsupported } from './unsupported.js';

/** How the walk gives numbers to what a section refers to. */
export interface Numbering {
  readonly refOf: (object: object, section: GraphSection) => number;
  /** The number of the first, when they are a run of new objects: those of the others follow. */
  readonly runOf: (records: readonly unknown[], section: GraphSection, lasting: boolean) => number | undefined;
}

export class GraphSection {
  readonly name: string;
  readonly position: number;
  /** What is scanned, by number. */
  readonly queue: Queue = new Queue();
  readonly root: Column = new Column();
  /** The member's buffers that it refers to. */
  readonly buffers: Set<number> = new Set<number>();
  /** Positions of the sections whose objects it refers to, in the order in which they were met. */
  readonly imports: number[] = [];
  /** What its provider asked to leave out; undefined: it is refused. */
  readonly drops: SectionDrops | undefined;
  /** Holes at the end of arrays that are not told: see ArrayGroup. */
  untoldHoles = 0;
  readonly #refOf: Numbering['refOf'];
  readonly #runOf: Numbering['runOf'];
  readonly #order = new Counts();
  readonly #groups: Group[] = [];
  readonly #byKey = new Map<string, Group>();
  readonly #shapes = new Map<unknown, Shapes<ObjectGroup>[]>();
  readonly #extraTargets = new Counts();
  readonly #extraKeys = new Column();
  readonly #extraValues = new Column();
  readonly #extraAttributes = new Counts();
  readonly #encoded: number[] = [];

  constructor(name: string, position: number, { refOf, runOf }: Numbering, drops?: SectionDrops) {
    this.name = name;
    this.position = position;
    this.drops = drops;
    this.#refOf = refOf;
    this.#runOf = runOf;
  }

  /** The number by which this section refers to the object, which is scanned later unless it was. */
  ref(object: object): number {
    return this.#refOf(object, this);
  }

  /** The number of the object that is scanned now. */
  get scanned(): number {
    return this.#order.length;
  }

  /** The object that is scanned now belongs to that group. */
  place(group: Group): void {
    this.#order.add(group.index);
  }

  placeMany(group: Group, objects: number): void {
    this.#order.fill(group.index, objects);
  }

  /**
   * Refers to all of these, when they are records that can be met at once.
   * @param lasting the list never changes, and may be kept
   * @returns false when nothing was told
   */
  refs(column: Column, records: readonly unknown[], lasting: boolean): boolean {
    const first = this.#runOf(records, this, lasting);
    if (first === undefined) return false;
    column.addRefs(first, records.length);
    return true;
  }

  cell(column: Column, value: unknown): void {
    switch (typeof value) {
      case 'number':
        column.addNumber(value);
        return;
      case 'string':
        column.addText(value);
        return;
      case 'object':
        value === null ? column.addPlain(CELL.null) : column.addRef(this.#refOf(value, this));
        return;
      case 'boolean':
        column.addPlain(value ? CELL.true : CELL.false);
        return;
      case 'undefined':
        column.addPlain(CELL.undefined);
        return;
      case 'bigint':
        column.addOther(CELL.bigint, value.toString(16));
        return;
      case 'symbol': {
        const text = symbolText(value);
        if (text !== undefined) {
          column.addOther(CELL.symbol, text);
          return;
        }
      }
    }
    throw new Unsupported(value, describePrimitive(value));
  }

  /** The group of that key, made at the first call. One key always means one class of groups. */
  group<G extends Group>(key: string, make: (index: number) => G): G {
    const known = this.#byKey.get(key);
    // The caller gives each kind of group keys of its own.
    if (known !== undefined) return known as G;
    const group = make(this.#groups.length);
    this.#groups.push(group);
    this.#byKey.set(key, group);
    return group;
  }

  /** The group for plain objects or instances with these keys; undefined: to be written key by key. */
  shaped(of: ClassWire, identity: ClassDefinition | false, integrity: Integrity, keys: readonly string[]): ObjectGroup | undefined {
    let byIntegrity = this.#shapes.get(identity);
    if (byIntegrity === undefined) {
      byIntegrity = [new Shapes(), new Shapes(), new Shapes(), new Shapes()];
      this.#shapes.set(identity, byIntegrity);
    }
    return byIntegrity[integrity]?.of(keys, () => {
      const group = new ObjectGroup(this.#groups.length, of, integrity, keys.slice());
      this.#groups.push(group);
      return group;
    });
  }

  /** A property of the object that is scanned now, beside what its group tells. */
  extra(key: string | symbol, value: unknown, attributes: number): void {
    this.#extraTargets.add(this.scanned);
    this.cell(this.#extraKeys, key);
    this.cell(this.#extraValues, value);
    this.#extraAttributes.add(attributes);
  }

  /** The object that is scanned now is made by a decode function. */
  encodedHere(): void {
    this.#encoded.push(this.scanned);
  }

  get encoded(): readonly number[] {
    return this.#encoded;
  }

  /** @param resolve in which order the encoded instances are to be made */
  wire(resolve: readonly number[]): unknown {
    const order = new Counts();
    for (const number of resolve) order.add(number);
    const extras =
      this.#extraTargets.length === 0
        ? null
        : [this.#extraTargets.wire(), this.#extraKeys.wire(), this.#extraValues.wire(), this.#extraAttributes.wire()];
    return [this.root.wire(), this.#order.wire(), this.#groups.map((group) => group.wire()), extras, order.wire()];
  }
}
