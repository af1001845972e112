/**
 * Two graphs walked side by side.
 *
 * Invariants
 * 1. No recursion. An object has one partner on the other side, the one that it was first met with; a pair that was seen, or
 *    of which both sides were seen, is not walked again. So it ends, and the cost is that of the two graphs.
 * 2. What is met with another partner is told once, where it was met; what hangs below is compared, but not told again as of
 *    another identity.
 * 3. Nothing is told exactly when the two are the same in structure and identity.
 */
import { types } from 'node:util';
import { Tagged } from '../codec/classes.js';
import { trackingOf } from '../codec/length-tracking.js';
import { boxedPrimitive, memoryLength, memoryMaximum, regexpParts, urlHref, viewLength, viewMemory, viewOffset } from '../codec/slots.js';
import { compareContents, compareIntegrity, comparePlain } from './diff-contents.js';
import type { ChangedElements } from './diff-elements.js';
import type { DifferentPart, Finding, Inside, Side } from './diff-parts.js';
import { elementsOf, exactKind, isBuffer, isObject, kindOf } from './value-kinds.js';
import type { Trail } from './value-trail.js';

/** Two views whose elements are still to be compared. */
export interface ViewPair {
  readonly a: ArrayBufferView;
  readonly b: ArrayBufferView;
  readonly trail: Trail;
}

/** Memory that was met with each other, through views or by itself. */
export interface MemoryPair {
  readonly a: ArrayBufferLike;
  readonly b: ArrayBufferLike;
  readonly trail: Trail;
}

interface Pair {
  readonly a: unknown;
  readonly b: unknown;
  readonly trail: Trail;
  /** Below what was told as of another identity. */
  readonly copied: boolean;
}

interface Meeting {
  readonly a: object;
  readonly b: object;
  readonly trail: Trail;
}

type Task = ({ readonly do: 'pair' } & Pair) | { readonly do: 'tell'; readonly found: Finding } | ({ readonly do: 'view' } & ViewPair);

/** One for all sections that may share objects. */
export class Walk {
  readonly memories: MemoryPair[] = [];
  readonly #a = new Map<object, Meeting>();
  readonly #b = new Map<object, Meeting>();
  /** Memory of A whose length is that of a view that was told. */
  readonly #whole = new Set<object>();

  /** What differs, in the order of A; and views, for somebody else to compare. */
  *compare(a: unknown, b: unknown, path: string): Generator<Finding | ViewPair> {
    const stack: Task[] = [{ do: 'pair', a, b, trail: { from: undefined, step: path }, copied: false }];
    for (let task = stack.pop(); task !== undefined; task = stack.pop()) {
      if (task.do === 'tell') yield task.found;
      else if (task.do === 'view') yield task;
      else for (const next of this.#pair(task).reverse()) stack.push(next);
    }
  }

  #pair({ a, b, trail, copied }: Pair): Task[] {
    const inside = new Collected(trail, copied, (object) => this.#a.get(object)?.b);
    if (!isObject(a) || !isObject(b)) {
      if (!Object.is(a, b)) inside.tell(kindOf(a) === kindOf(b) ? 'M' : 'T', 'value', { value: a }, { value: b });
      return inside.tasks;
    }
    const [left, right] = [this.#a.get(a), this.#b.get(b)];
    if (left?.b === b || right?.a === a) return [];
    if (left !== undefined || right !== undefined) {
      const both = left !== undefined && right !== undefined;
      if (!copied || both) inside.differs('identity', { met: left?.trail }, { met: right?.trail });
      inside.copied = true;
      if (both) return inside.tasks;
    }
    const meeting = { a, b, trail };
    if (left === undefined) this.#a.set(a, meeting);
    if (right === undefined) this.#b.set(b, meeting);
    const kind = exactKind(a);
    if (kind !== exactKind(b)) inside.tell('T', 'value', { value: a }, { value: b });
    else if (kind === 'object') comparePlain(a, b, inside);
    else this.#compareObjects(a, b, inside);
    return inside.tasks;
  }

  #compareObjects(a: object, b: object, inside: Collected): void {
    if (a instanceof Tagged && b instanceof Tagged) {
      if (a.version !== b.version) inside.differs('version', { text: `version ${a.version}` }, { text: `version ${b.version}` });
      compareIntegrity(a, b, inside);
      inside.both('', a.data, b.data);
      return;
    }
    compareSlots(a, b, inside, this.#whole.has(a));
    if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b)) {
      if (isWhole(a) && isWhole(b)) this.#whole.add(viewMemory(a));
      inside.both('', viewMemory(a), viewMemory(b));
      inside.tasks.push({ do: 'view', a, b, trail: inside.trail });
    } else if (isBuffer(a) && isBuffer(b)) this.memories.push({ a, b, trail: inside.trail });
    compareContents(a, b, inside);
  }
}

function isWhole(view: ArrayBufferView): boolean {
  return elementsOf(view).byteLength === memoryLength(viewMemory(view));
}

/** What the objects are beside what is in them. */
function compareSlots(a: object, b: object, inside: Inside, lengthTold: boolean): void {
  const others = slotsOf(b);
  for (const [place, [part, slot]] of slotsOf(a).entries()) {
    const other = others[place]?.[1];
    if (Object.is(slot, other) || (lengthTold && part === 'length')) continue;
    const whole = part === 'value';
    inside.differs(part, { value: whole ? a : slot }, { value: whole ? b : other });
  }
}

function slotsOf(value: object): readonly (readonly [part: DifferentPart, slot: unknown])[] {
  if (types.isDate(value)) return [['value', Date.prototype.getTime.call(value)]];
  if (types.isRegExp(value)) return [['value', regexpParts(value).join('/')]];
  if (types.isBoxedPrimitive(value)) return [['value', boxedPrimitive(value)]];
  if (ArrayBuffer.isView(value)) {
    const follows = memoryMaximum(viewMemory(value)) !== undefined && trackingOf(value) === 'tracking';
    return [
      ['length', viewLength(value)],
      ['offset', viewOffset(value)],
      ['tracking', follows],
    ];
  }
  if (isBuffer(value)) {
    return [
      ['length', memoryLength(value)],
      ['maxLength', memoryMaximum(value)],
    ];
  }
  return kindOf(value) === 'URL' ? [['value', urlHref(value)]] : [];
}

class Collected implements Inside {
  readonly tasks: Task[] = [];
  readonly trail: Trail;
  readonly partnerOf: (a: object) => object | undefined;
  copied: boolean;

  constructor(trail: Trail, copied: boolean, partnerOf: (a: object) => object | undefined) {
    this.trail = trail;
    this.copied = copied;
    this.partnerOf = partnerOf;
  }

  both(step: string, a: unknown, b: unknown): void {
    if (!isObject(a) && Object.is(a, b)) return;
    this.tasks.push({ do: 'pair', a, b, trail: this.#to(step), copied: this.copied });
  }

  only(mark: '+' | '-', step: string, side: Side): void {
    const found = { mark, part: 'value', trail: this.#to(step), ...(mark === '+' ? { b: side } : { a: side }) } as const;
    this.tasks.push({ do: 'tell', found });
  }

  differs(part: DifferentPart, a: Side, b: Side, step = ''): void {
    this.tasks.push({ do: 'tell', found: { mark: 'M', part, trail: this.#to(step), a, b } });
  }

  tell(mark: 'M' | 'T', part: DifferentPart, a: Side, b: Side): void {
    this.tasks.push({ do: 'tell', found: { mark, part, trail: this.trail, a, b } });
  }

  elements(a: unknown, b: unknown, elements: ChangedElements): void {
    const found = { mark: 'M', part: 'elements', trail: this.trail, a: { value: a }, b: { value: b }, elements } as const;
    this.tasks.push({ do: 'tell', found });
  }

  #to(step: string): Trail {
    return step === '' ? this.trail : { from: this.trail, step };
  }
}
