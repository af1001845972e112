/**
 * Arrays that are just lists of values: of the hidden class (hidden-class.ts) of an array literal. So they have their elements and
 * a length that can be written, are open, and each element is a regular property or, where V8 says so, may be a hole.
 *
 * Invariants
 * 1. A hole is never read, unless no prototype has elements: that would run a getter which somebody put there.
 */
import type { Column } from './column.js';
import { GROUP, INTEGRITY } from './graph-format.js';
import { ArrayGroup } from './graph-groups.js';
import { isIndex } from './graph-properties.js';
import type { GraphSection } from './graph-section.js';
import type { HiddenClasses } from './hidden-class.js';
import { LEAST_RUN } from './met-runs.js';

const hole = (array: unknown[]): unknown[] => {
  array.length++;
  return array;
};

export class PlainArrays {
  readonly #hidden: HiddenClasses;
  // Never handed out, so they stay as they are.
  readonly #integers: unknown[] = [1];
  readonly #floats: unknown[] = [1.5];
  readonly #values: unknown[] = ['x'];
  readonly #withHoles: readonly unknown[][] = [hole(['x']), hole([1]), hole([1.5])];
  readonly #bareAbove: boolean;
  #section: GraphSection | undefined;
  #group: ArrayGroup | undefined;

  constructor(hidden: HiddenClasses) {
    this.#hidden = hidden;
    this.#bareAbove = [Array.prototype, Object.prototype].every((above) => !Object.getOwnPropertyNames(above).some(isIndex));
  }

  /** @returns false when the array must be looked at in full, and nothing was told */
  scan(section: GraphSection, array: readonly unknown[]): boolean {
    if (!this.#isPacked(array) && !this.#isFull(array)) return false;
    if (this.#section !== section) {
      this.#section = section;
      this.#group = arrayGroup(section);
    }
    const group = this.#group;
    if (group === undefined) return false;
    const { items } = group;
    const { length } = array;
    if (length < LEAST_RUN || !section.refs(items, array, false)) tell(section, items, array);
    group.lengths.add(length);
    group.told.add(length);
    section.place(group);
    return true;
  }

  #isPacked(array: readonly unknown[]): boolean {
    const { same } = this.#hidden;
    return same(array, this.#values) || same(array, this.#floats) || same(array, this.#integers);
  }

  /** It may have holes, but has none. */
  #isFull(array: readonly unknown[]): boolean {
    if (!this.#bareAbove || !this.#withHoles.some((like) => this.#hidden.same(array, like))) return false;
    for (let i = 0; i < array.length; i++) if (array[i] === undefined && !Object.hasOwn(array, i)) return false;
    return true;
  }
}

function tell(section: GraphSection, items: Column, array: readonly unknown[]): void {
  for (let i = 0; i < array.length; i++) {
    const value = array[i];
    if (typeof value === 'number') items.addNumber(value);
    else if (typeof value === 'string') items.addText(value);
    else section.cell(items, value);
  }
}

/** The group of open arrays of no class. */
function arrayGroup(section: GraphSection): ArrayGroup {
  return section.group('array  0', (index) => new ArrayGroup(index, GROUP.array, null, INTEGRITY.open));
}
