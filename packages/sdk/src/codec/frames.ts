/**
 * A container under way in the walk, and the path that the open containers make.
 *
 * Invariants
 * 1. The program's own arrays are never written to: `put` copies before the first change.
 */
import { types } from 'node:util';
import { indexStep, keyStep, mapStep, setStep } from './paths.js';

export type Shape = 'object' | 'null-prototype' | 'array' | 'map' | 'set';

/** `items` are the container's values in order, replaced one by one by what stands for them. */
export interface Frame {
  readonly shape: Shape;
  readonly source: object;
  readonly keys: readonly string[];
  items: unknown[];
  /** True when an item was replaced; until then an array's items are the array itself. */
  changed: boolean;
  index: number;
  /** Levels of msgpack in it, itself included, as far as visited. */
  height: number;
}

/** Replaces the item under way. */
export function put(frame: Frame, wire: unknown): void {
  if (!frame.changed) {
    frame.changed = true;
    if (frame.shape === 'array') frame.items = frame.items.slice();
  }
  frame.items[frame.index] = wire;
}

/** The path of the item under way in the innermost of `stack`. */
export function pathOf(name: string, stack: readonly Frame[]): string {
  let path = name;
  for (const { shape, source, keys, items, index } of stack) {
    if (shape === 'array') path += indexStep(index);
    else if (shape === 'set') path += setStep(index);
    else if (shape !== 'map') path += keyStep(keys[index] ?? '');
    else path += mapStep(originalKey(source, items, index), index >> 1, index % 2 === 0);
  }
  return path;
}

/** A Map's key may already be replaced in `items`; the source still has it. */
function originalKey(source: object, items: readonly unknown[], index: number): unknown {
  if (!types.isMap(source)) return items[index];
  let entry = index >> 1;
  for (const key of source.keys()) if (entry-- === 0) return key;
  return undefined;
}
