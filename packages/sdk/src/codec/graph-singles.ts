/**
 * Objects of the walk that are a few cells each: errors, dates, regular expressions, boxed primitives, URLs.
 *
 * Invariants
 * 1. What an object holds is asked past its own properties and its class (slots.ts).
 */
import { types } from 'node:util';
import type { ClassDefinition } from './classes.js';
import { GROUP, INTEGRITY, type Integrity } from './graph-format.js';
import { CellsGroup, classWire, errorWire } from './graph-groups.js';
import { isIndex, tellExtras } from './graph-properties.js';
import type { GraphSection } from './graph-section.js';
import { boxedPrimitive, regexpParts, urlHref } from './slots.js';

type SingleKind = (typeof GROUP)['date' | 'regexp' | 'boxed' | 'url'];

/** @returns false when nothing was told: it is of no known kind */
export function scanError(
  section: GraphSection,
  error: Error,
  prototype: object,
  of: ClassDefinition | undefined,
  integrity: Integrity,
): boolean {
  const wire = of === undefined ? errorWire(prototype) : classWire(of);
  if (wire === undefined) return false;
  const stack = regularStack(error, integrity);
  tellExtras(section, error, (key) => key === 'stack' && stack !== null);
  const group = section.group(
    `error ${of?.name ?? ''} ${String(wire)} ${integrity}`,
    (index) => new CellsGroup(index, GROUP.error, wire, integrity, 1),
  );
  cells(section, group, [stack]);
  section.place(group);
  return true;
}

/** How this Node.js keeps stacks: newer ones in an accessor of their own, which is no function of the program. */
const STACK_GETTER = Object.getOwnPropertyDescriptor(new Error('for its stack'), 'stack')?.get;

/** The stack, when it is as V8 made it: a hidden text before all other properties. Null: it is told like these, or not there. */
function regularStack(error: Error, integrity: Integrity): string | null {
  if (Reflect.ownKeys(error)[0] !== 'stack') return null;
  const descriptor = Object.getOwnPropertyDescriptor(error, 'stack');
  if (descriptor === undefined || descriptor.enumerable) return null;
  const native = STACK_GETTER !== undefined && descriptor.get === STACK_GETTER;
  const open = integrity === INTEGRITY.open || integrity === INTEGRITY.closed;
  if (descriptor.configurable !== open) return null;
  if (!native && descriptor.writable !== (integrity !== INTEGRITY.frozen)) return null;
  const stack: unknown = native ? error.stack : descriptor.value;
  return typeof stack === 'string' ? stack : null;
}

/** @returns false when nothing was told: it is of no known kind */
export function scanSingle(
  section: GraphSection,
  object: object,
  prototype: object,
  of: ClassDefinition | undefined,
  integrity: Integrity,
): boolean {
  const ours = (base: object): boolean => of !== undefined || prototype === base;
  const place = (kind: SingleKind, values: readonly unknown[], isOwn?: (key: string | symbol) => boolean): true => {
    tellExtras(section, object, isOwn);
    const group = section.group(
      `single ${kind} ${of?.name ?? ''} ${integrity}`,
      (index) => new CellsGroup(index, kind, classWire(of), integrity, values.length),
    );
    cells(section, group, values);
    section.place(group);
    return true;
  };
  if (types.isDate(object)) return ours(Date.prototype) && place(GROUP.date, [Date.prototype.getTime.call(object)]);
  if (types.isRegExp(object)) return ours(RegExp.prototype) && regexp(object, integrity, place);
  if (of !== undefined) return false;
  const primitive = boxedPrimitive(object);
  if (primitive !== undefined) {
    const length = typeof primitive === 'string' ? primitive.length : 0;
    const isOwn = (key: string | symbol): boolean => key === 'length' || (isIndex(key) && Number(key) < length);
    return place(GROUP.boxed, [primitive], typeof primitive === 'string' ? isOwn : undefined);
  }
  if (prototype !== URL.prototype) return false;
  const href = urlHref(object);
  // Some addresses do not come back as themselves.
  return href !== undefined && new URL(href).href === href && place(GROUP.url, [href]);
}

function regexp(
  object: RegExp,
  integrity: Integrity,
  place: (kind: SingleKind, values: readonly unknown[], isOwn?: (key: string | symbol) => boolean) => true,
): boolean {
  const lastIndex = Object.getOwnPropertyDescriptor(object, 'lastIndex');
  // It cannot be deleted, only be made read-only or hold any value: that is for a class of the program's to tell.
  if (typeof lastIndex?.value !== 'number' || lastIndex.writable !== (integrity !== INTEGRITY.frozen)) return false;
  return place(GROUP.regexp, [...regexpParts(object), lastIndex.value], (key) => key === 'lastIndex');
}

export function cells(section: GraphSection, group: CellsGroup, values: readonly unknown[]): void {
  for (let i = 0; i < values.length; i++) {
    const column = group.columns[i];
    if (column !== undefined) section.cell(column, values[i]);
  }
}
