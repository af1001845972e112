/**
 * Arrays in the walk.
 *
 * Invariants
 * 1. Cost grows with what an array holds, not with its length.
 * 2. Elements that are not regular, and whatever hangs beside them, are told one by one.
 */
import type { ClassDefinition } from './classes.js';
import { CELL, GROUP, INTEGRITY, type Integrity, LONG_RUN, MAX_UNTOLD_HOLES, UNTOLD_COST, untoldCost } from './graph-format.js';
import { ArrayGroup, classWire } from './graph-groups.js';
import { isIndex, isRegular, tellExtras } from './graph-properties.js';
import type { GraphSection } from './graph-section.js';
import { hasExtras } from './own-properties.js';
import { indexStep } from './paths.js';
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
  const told = isSparse(array) ? undefined : tellElements(section, group, array, integrity);
  if (told === undefined) tellExtras(section, array, (key) => key === 'length');
  else if (hasExtras(array)) tellExtras(section, array, (key) => key === 'length' || isIndex(key));
  group.lengths.add(array.length);
  group.told.add(told ?? holes(section, group, array, 0));
  section.place(group);
}

/** @returns how many; undefined when an element is not regular, and nothing was told */
function tellElements(section: GraphSection, group: ArrayGroup, array: readonly unknown[], integrity: Integrity): number | undefined {
  const { items } = group;
  const held = heldLength(array);
  const values: unknown[] = new Array(held);
  for (let i = 0; i < held; i++) {
    const descriptor = Object.getOwnPropertyDescriptor(array, i);
    if (descriptor === undefined) values[i] = HOLE;
    else if (isRegular(descriptor, integrity)) values[i] = descriptor.value;
    else return undefined;
  }
  for (let i = 0; i < held; i++) {
    const value = values[i];
    if (value === HOLE) items.addPlain(CELL.hole);
    else section.cell(items, section.drops?.takes(value, array, () => indexStep(i)) === true ? undefined : value);
  }
  return held + holes(section, group, array, held);
}

const HOLE = Symbol('hole');

/** Up to and with the last element that is there. */
function heldLength(array: readonly unknown[]): number {
  let { length } = array;
  while (length > 0 && !Object.hasOwn(array, length - 1)) length--;
  return length;
}

/** Holes at the end are not told, as long as a reader allows for it. @returns how many were told */
function holes(section: GraphSection, group: ArrayGroup, array: readonly unknown[], held: number): number {
  const cost = untoldCost(array.length, held);
  if (section.untoldHoles + cost <= MAX_UNTOLD_HOLES) {
    section.untoldHoles += cost;
    return 0;
  }
  const missing = array.length - held;
  if (missing > UNTOLD_COST)
    throw new Unsupported(array, property(`one of more than ${MAX_UNTOLD_HOLES / LONG_RUN} long arrays that are nearly empty`));
  for (let i = 0; i < missing; i++) group.items.addPlain(CELL.hole);
  return missing;
}

/** Long and nearly empty, as far as some looks at it tell. */
function isSparse(array: readonly unknown[]): boolean {
  if (array.length <= UNTOLD_COST) return false;
  const step = Math.floor(array.length / FEW);
  let held = 0;
  for (let i = 0; i < FEW; i++) if (Object.hasOwn(array, i * step)) held++;
  return held < FEW / 8;
}
