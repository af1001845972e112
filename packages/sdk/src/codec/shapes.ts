/**
 * Shapes: which objects have the same keys in the same order, so that each key can have a column.
 *
 * Invariants
 * 1. Finding the shape of an object whose predecessor had the same one is a comparison for each key.
 * 2. Objects of too many keys or shapes have none: they are written key by key.
 */
import { MAX_SHAPE_KEYS, MAX_SHAPES } from './graph-format.js';

/** A place in the tree of keys. `group` is set once an object ended here. */
class ShapeNode<Group> {
  group: Group | undefined;
  #lastKey: string | undefined;
  #last: ShapeNode<Group> | undefined;
  #others: Map<string, ShapeNode<Group>> | undefined;

  /** With `existing`, undefined where no object went on before. */
  next(key: string, existing: boolean): ShapeNode<Group> | undefined {
    if (key === this.#lastKey && this.#last !== undefined) return this.#last;
    this.#others ??= new Map();
    let node = this.#others.get(key);
    if (node === undefined) {
      if (existing) return undefined;
      node = new ShapeNode();
      this.#others.set(key, node);
    }
    this.#lastKey = key;
    this.#last = node;
    return node;
  }
}

/** The shapes of one class (or of plain objects) in one section. */
export class Shapes<Group> {
  readonly #root = new ShapeNode<Group>();
  #count = 0;

  /** The group of the objects with these keys; undefined when they are to be written key by key. */
  of(keys: readonly string[], make: (keys: readonly string[]) => Group): Group | undefined {
    if (keys.length > MAX_SHAPE_KEYS) return undefined;
    let node = this.#root;
    const full = this.#count === MAX_SHAPES;
    for (let i = 0; i < keys.length; i++) {
      const next = node.next(keys[i] ?? '', full);
      if (next === undefined) return undefined;
      node = next;
    }
    if (node.group === undefined) {
      if (full) return undefined;
      this.#count++;
      node.group = make(keys);
    }
    return node.group;
  }
}
