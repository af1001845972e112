/**
 * Arrays in the walk.
 *
 * Invariants
 * 1. Cost grows with what an array holds, not with its length.
 * 2. Elements that are not regular, and whatever hangs beside them, are told one by one.
 */
import type { ClassDefinition } from './classes.js';
import { CELL, GROUP, INTEGRITY, type Integrity, MAX_UNTOLD_HOLES, UNTOLD_COST } from './graph-format.js';
import { ArrayGroup, classWire } from './graph-groups.js';
import { isIndex, isRegular, tellExtras, tellProperty } from './graph-properties.js';
import type { GraphSection } from './graph-section.js';
import { hasExtras } from './own-properties.js';
import { property } from './refusal.js';
import { Unsupported } from './unsupported.js';

const FEW = 64;

export function scanArray(section: GraphSection, array: readonly unknown[], of: ClassDefinition | undefined, integrity: Integrity): void {
  const group = section.group(
    `array ${of?.name ?? ''} ${integrity}`,
    (index) => new ArrayGroup(index, GROUP.array, classWire(of), integrity),
  );
  if (Object.getOwnPropertyDescriptor(array, 'length')?.writable !== true && integrity !== INTEGRITY.frozen)
    throw new Unsupported(array, property('an array whose length is read-only'));
  const told = isSparse(array) ? 0 : tellElements(section, group, array, integrity);
  if (told === undefined) tellOneByOne(section, array);
  else if (told === 0 && array.length > 0) tellExtras(section, array, (key) => key === 'length');
  else if (hasExtras(array)) tellExtras(section, array, (key) => key === 'length' || isIndex(key));
  group.lengths.add(array.length);
  group.told.add(told ?? 0);
  section.place(group);
}

/** @returns how many; undefined when an element is not regular, and nothing was told */
function tellElements(section: GraphSection, group: ArrayGroup, array: readonly unknown[], integrity: Integrity): number | undefined {
  const { items } = group;
  const told = toldLength(section, array);
  const values: unknown[] = new Array(told);
  for (let i = 0; i < told; i++) {
    const descriptor = Object.getOwnPropertyDescriptor(array, i);
    if (descriptor === undefined) values[i] = HOLE;
    else if (isRegular(descriptor, integrity)) values[i] = descriptor.value;
    else return undefined;
  }
  for (const value of values) {
    if (value === HOLE) items.addPlain(CELL.hole);
    else section.cell(items, value);
  }
  return told;
}

const HOLE = Symbol('hole');

/** Holes at the end are not told, as long as a reader allows for it. */
function toldLength(section: GraphSection, array: readonly unknown[]): number {
  let { length } = array;
  while (length > 0 && !Object.hasOwn(array, length - 1)) length--;
  const holes = Math.min(array.length - length, UNTOLD_COST);
  if (section.untoldHoles + holes > MAX_UNTOLD_HOLES && array.length <= UNTOLD_COST) return array.length;
  section.untoldHoles += holes;
  return length;
}

/** Long and nearly empty, as far as some looks at it tell. */
function isSparse(array: readonly unknown[]): boolean {
  if (array.length <= UNTOLD_COST) return false;
  const step = Math.floor(array.length / FEW);
  let held = 0;
  for (let i = 0; i < FEW; i++) if (Object.hasOwn(array, i * step)) held++;
  return held < FEW / 8;
}

function tellOneByOne(section: GraphSection, array: readonly unknown[]): void {
  for (const key of Reflect.ownKeys(array)) if (key !== 'length') tellProperty(section, array, key);
}
