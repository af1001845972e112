/**
 * The structure of a section back from msgpack: groups, and which objects lie in them.
 *
 * Invariants
 * 1. Objects are bounded by the bytes of the section; nothing is made here but lists of numbers.
 */
import { ERRORS, GROUP, type GroupKind, type Integrity, MAX_OBJECTS } from './graph-format.js';
import { BadGraph, Cells, type CountList, list, readCounts } from './read-columns.js';

/** Whose instances the objects of a group are. */
export type ReadClass =
  | { readonly of: 'kind' }
  | { readonly of: 'nothing' }
  | { readonly of: 'error'; readonly name: (typeof ERRORS)[number] }
  | { readonly of: 'class'; readonly name: string; readonly version: number };

export interface ReadGroup {
  readonly kind: GroupKind;
  readonly of: ReadClass;
  readonly integrity: Integrity;
  /** The numbers of its objects, ascending. */
  readonly ids: Uint32Array;
  readonly payload: readonly unknown[];
}

export interface ReadExtras {
  readonly targets: CountList;
  readonly keys: Cells;
  readonly values: Cells;
  readonly attributes: CountList;
}

export interface ReadGraph {
  readonly objects: number;
  readonly root: Cells;
  readonly groups: readonly ReadGroup[];
  readonly extras: ReadExtras | undefined;
  /** Encoded instances, in the order in which they are made. */
  readonly resolve: CountList;
}

/** How many lists a group's payload has. */
const PAYLOAD: Readonly<Record<GroupKind, number>> = {
  [GROUP.object]: 2,
  [GROUP.dictionary]: 3,
  [GROUP.array]: 3,
  [GROUP.map]: 3,
  [GROUP.set]: 2,
  [GROUP.date]: 1,
  [GROUP.regexp]: 3,
  [GROUP.error]: 1,
  [GROUP.boxed]: 1,
  [GROUP.url]: 1,
  [GROUP.bulk]: 1,
  [GROUP.memory]: 3,
  [GROUP.view]: 4,
  [GROUP.window]: 4,
  [GROUP.encoded]: 1,
  [GROUP.import]: 2,
};

export function readGraph(wire: unknown): ReadGraph {
  const [root, orderWire, groupWires, extras, resolve] = list(wire, 5, 'a graph');
  const order = readCounts(orderWire, undefined, 'the order of objects');
  if (order.length > MAX_OBJECTS) throw new BadGraph(`more than ${MAX_OBJECTS} objects`);
  if (!Array.isArray(groupWires)) throw new BadGraph('no list of groups');
  const ids = idsByGroup(order, groupWires.length);
  return {
    objects: order.length,
    root: new Cells(root, 1, order.length, 'the root'),
    groups: groupWires.map((group: unknown, index) => readGroup(group, ids[index] ?? new Uint32Array(0))),
    extras: extras === null ? undefined : readExtras(extras, order.length),
    resolve: readCounts(resolve, undefined, 'the order of instances'),
  };
}

function idsByGroup(order: CountList, groups: number): Uint32Array[] {
  const sizes = new Uint32Array(groups);
  for (const group of order) {
    if (group >= groups) throw new BadGraph(`an object of group ${group} of ${groups}`);
    sizes[group] = (sizes[group] ?? 0) + 1;
  }
  const ids = Array.from(sizes, (size) => new Uint32Array(size));
  const filled = new Uint32Array(groups);
  for (let id = 0; id < order.length; id++) {
    const group = order[id] ?? 0;
    const at = filled[group] ?? 0;
    const own = ids[group];
    if (own !== undefined) own[at] = id;
    filled[group] = at + 1;
  }
  return ids;
}

function readGroup(wire: unknown, ids: Uint32Array): ReadGroup {
  if (!Array.isArray(wire)) throw new BadGraph('a group that is no list');
  const [kind, of, integrity, ...payload]: unknown[] = wire;
  if (!isKind(kind)) throw new BadGraph('a group of an unknown kind');
  if (payload.length !== PAYLOAD[kind]) throw new BadGraph(`a group of kind ${kind} with ${payload.length} lists`);
  if (integrity !== 0 && integrity !== 1 && integrity !== 2 && integrity !== 3) throw new BadGraph('a group of unknown integrity');
  return { kind, of: readClass(of), integrity, ids, payload };
}

function isKind(kind: unknown): kind is GroupKind {
  return typeof kind === 'number' && Number.isInteger(kind) && kind >= 0 && kind in PAYLOAD;
}

function readClass(of: unknown): ReadClass {
  if (of === null) return { of: 'kind' };
  if (typeof of === 'number') {
    const name = ERRORS[of];
    if (name === undefined) throw new BadGraph('an error of an unknown kind');
    return { of: 'error', name };
  }
  if (Array.isArray(of) && of.length === 0) return { of: 'nothing' };
  const [name, version] = list(of, 2, 'a class');
  if (typeof name !== 'string' || typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1)
    throw new BadGraph('a class without name or version');
  return { of: 'class', name, version };
}

function readExtras(wire: unknown, objects: number): ReadExtras {
  const [targetWire, keys, values, attributes] = list(wire, 4, 'extras');
  const targets = readCounts(targetWire, undefined, 'extras');
  for (const target of targets) if (target >= objects) throw new BadGraph(`extras of object ${target} of ${objects}`);
  const { length } = targets;
  return {
    targets,
    keys: new Cells(keys, length, objects, 'keys of extras'),
    values: new Cells(values, length, objects, 'extras'),
    attributes: readCounts(attributes, length, 'attributes of extras'),
  };
}
