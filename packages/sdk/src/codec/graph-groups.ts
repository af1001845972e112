/**
 * Groups: objects of one kind, class and integrity (and of one shape, for those that have one), written column by column.
 *
 * Invariants
 * 1. The objects of a group lie in it in the order of their numbers.
 * 2. Nothing of a program's object is kept but values; bytes of small memory are read when the group is packed.
 */
import type { ClassDefinition } from './classes.js';
import { Column } from './column.js';
import { ERRORS, GROUP, type GroupKind, type Integrity } from './graph-format.js';
import { Counts, Floats } from './growing.js';
import { joined } from './texts.js';

/** Whose instances the objects are: a registered class, no prototype at all, a built-in error by its number, or null for what the kind says. */
export type ClassWire = readonly [] | readonly [name: string, version: number] | number | null;

export function classWire(definition: ClassDefinition | undefined): ClassWire {
  return definition === undefined ? null : [definition.name, definition.version];
}

export function errorWire(prototype: object | null): number | undefined {
  const index = ERRORS.findIndex((name) => globalThis[name].prototype === prototype);
  return index < 0 ? undefined : index;
}

export abstract class Group {
  /** Place among the groups of its section. */
  readonly index: number;
  readonly #head: readonly [GroupKind, ClassWire, Integrity];

  constructor(index: number, kind: GroupKind, of: ClassWire, integrity: Integrity) {
    this.index = index;
    this.#head = [kind, of, integrity];
  }

  wire(): readonly unknown[] {
    return [...this.#head, ...this.payload()];
  }

  protected abstract payload(): readonly unknown[];
}

/** Objects with the same keys in the same order. */
export class ObjectGroup extends Group {
  readonly columns: readonly Column[];
  readonly #keys: readonly string[];

  constructor(index: number, of: ClassWire, integrity: Integrity, keys: readonly string[]) {
    super(index, GROUP.object, of, integrity);
    this.#keys = keys;
    this.columns = keys.map(() => new Column());
  }

  protected payload(): readonly unknown[] {
    return [joined(this.#keys), this.columns.map((column) => column.wire())];
  }
}

/** Objects and Maps as keys and values. */
export class EntriesGroup extends Group {
  readonly keys: Column = new Column();
  readonly values: Column = new Column();
  readonly #sizes = new Counts();

  constructor(index: number, kind: typeof GROUP.dictionary | typeof GROUP.map, of: ClassWire, integrity: Integrity) {
    super(index, kind, of, integrity);
  }

  size(entries: number): void {
    this.#sizes.add(entries);
  }

  protected payload(): readonly unknown[] {
    return [this.#sizes.wire(true), this.keys.wire(), this.values.wire()];
  }
}

export class SetGroup extends Group {
  readonly items: Column = new Column();
  readonly sizes: Counts = new Counts();

  protected payload(): readonly unknown[] {
    return [this.sizes.wire(true), this.items.wire()];
  }
}

/** Arrays; the items that are told come first, the rest up to the length is holes (or told as extras). */
export class ArrayGroup extends Group {
  readonly items: Column = new Column();
  readonly lengths: Counts = new Counts();
  readonly told: Counts = new Counts();

  protected payload(): readonly unknown[] {
    return [this.lengths.wire(), this.told.wire(), this.items.wire()];
  }
}

/** Objects that are some cells each: dates, boxed primitives, URLs, regular expressions, encoded instances. */
export class CellsGroup extends Group {
  readonly columns: readonly Column[];

  constructor(index: number, kind: GroupKind, of: ClassWire, integrity: Integrity, columns: number) {
    super(index, kind, of, integrity);
    this.columns = Array.from({ length: columns }, () => new Column());
  }

  protected payload(): readonly unknown[] {
    return this.columns.map((column) => column.wire());
  }
}

/** Bulk memory, by its place among the member's buffers; or objects of other sections, by section and number there. */
export class CountsGroup extends Group {
  readonly counts: readonly Counts[];

  constructor(index: number, kind: typeof GROUP.bulk | typeof GROUP.import, integrity: Integrity) {
    super(index, kind, null, integrity);
    this.counts = Array.from({ length: kind === GROUP.import ? 2 : 1 }, () => new Counts());
  }

  protected payload(): readonly unknown[] {
    return this.counts.map((counts) => counts.wire(true));
  }
}

/** Small memory, bytes and all. */
export class MemoryGroup extends Group {
  readonly kinds: Counts = new Counts();
  readonly memories: ArrayBufferLike[] = [];
  readonly maxima: Column = new Column();

  protected payload(): readonly unknown[] {
    return [this.kinds.wire(), this.memories.map((memory) => new Uint8Array(memory)), this.maxima.wire()];
  }
}

export class ViewGroup extends Group {
  readonly kinds: Counts = new Counts();
  readonly memories: Counts = new Counts();
  readonly offsets: Floats = new Floats();
  readonly lengths: Column = new Column();

  protected payload(): readonly unknown[] {
    return [this.kinds.wire(), this.memories.wire(true), this.offsets.wire(), this.lengths.wire()];
  }
}

/** A Buffer on the pool that Node.js shares between Buffers. */
export interface PoolWindow {
  readonly memory: ArrayBufferLike;
  readonly offset: number;
  readonly length: number;
}

/** Buffers on the pool: their own bytes, unless the pool's memory turned out to be shared (graph-memory.ts). */
export class WindowGroup extends Group {
  readonly windows: PoolWindow[] = [];
  readonly #bufferOf: (memory: ArrayBufferLike) => number | undefined;

  constructor(index: number, integrity: Integrity, bufferOf: (memory: ArrayBufferLike) => number | undefined) {
    super(index, GROUP.window, null, integrity);
    this.#bufferOf = bufferOf;
  }

  protected payload(): readonly unknown[] {
    const buffers = new Column();
    const offsets = new Floats();
    const lengths = new Floats();
    const bytes: Uint8Array[] = [];
    for (const { memory, offset, length } of this.windows) {
      const buffer = this.#bufferOf(memory);
      if (buffer === undefined) {
        buffers.addPlain(0);
        bytes.push(new Uint8Array(memory, offset, length));
      } else {
        buffers.addNumber(buffer);
        bytes.push(NO_BYTES);
      }
      offsets.add(offset);
      lengths.add(length);
    }
    return [buffers.wire(), offsets.wire(), lengths.wire(), bytes];
  }
}

const NO_BYTES = new Uint8Array(0);
