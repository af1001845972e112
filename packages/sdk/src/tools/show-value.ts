/**
 * A value of an image for people: readable, and never more than a few screens.
 *
 * Invariants
 * 1. At most ITEMS items of one container and TOTAL in all are shown, DEPTH levels deep; what is left out is counted.
 * 2. Nothing of the value runs, and it is looked at no further than it is shown.
 */
import { types } from 'node:util';
import { Tagged } from '../codec/classes.js';
import { keyStep, symbolStep } from '../codec/paths.js';
import { boxedPrimitive, regexpParts, sizeOf, urlHref, viewLength } from '../codec/slots.js';
import {
  bytesOf,
  elementIndexes,
  elementsOf,
  entriesOf,
  exactKind,
  isBuffer,
  isObject,
  itemsOf,
  kindOf,
  ownValue,
  propertyKeys,
} from './value-kinds.js';

const DEPTH = 6;
const ITEMS = 100;
const TOTAL = 1000;
const TEXT = 1000;
const BRIEF_TEXT = 60;
const BRIEF_ITEMS = 6;

interface Limits {
  left: number;
  readonly text: number;
  readonly depth: number;
  readonly items: number;
  readonly within: Set<object>;
}

/** Several lines; not yet safe for a terminal. */
export function showValue(value: unknown): string {
  return show(value, { left: TOTAL, text: TEXT, depth: DEPTH, items: ITEMS, within: new Set() }, '\n');
}

/** One line: a primitive, a small plain object with its primitives, or kind and size of anything else; elements of memory never. */
export function briefValue(value: unknown): string {
  if (value instanceof Tagged || !isObject(value)) return isObject(value) ? nameOf(value) : primitive(value, BRIEF_TEXT);
  if (types.isBoxedPrimitive(value)) return `${exactKind(value)} ${primitive(boxedPrimitive(value), BRIEF_TEXT)}`;
  if (types.isNativeError(value)) {
    const message = ownValue(value, 'message')?.value;
    return typeof message === 'string' ? `${exactKind(value)} ${primitive(message, BRIEF_TEXT)}` : exactKind(value);
  }
  const name = nameOf(value);
  if (name !== '' && !types.isMap(value) && !types.isSet(value)) return name;
  return show(value, { left: BRIEF_ITEMS, text: BRIEF_TEXT, depth: 1, items: BRIEF_ITEMS, within: new Set() }, ' ');
}

function show(value: unknown, limits: Limits, line: string): string {
  limits.left--;
  if (!isObject(value)) return primitive(value, limits.text);
  if (value instanceof Holes) return value.count === 1 ? '<1 hole>' : `<${value.count} holes>`;
  if (limits.within.has(value)) return `[circular ${kindOf(value)}]`;
  const atom = atomText(value);
  if (atom !== undefined) return cut(atom, limits.text);
  const name = nameOf(value);
  if (limits.within.size >= limits.depth) return `[${name}]`;
  limits.within.add(value);
  try {
    const shown = itemsShown(value instanceof Tagged ? value.data : value, limits, line);
    return value instanceof Tagged && !isObject(value.data)
      ? `${name} ${primitive(value.data, limits.text)}`
      : `${name} ${shown}`.trimStart();
  } finally {
    limits.within.delete(value);
  }
}

function primitive(value: unknown, longest: number): string {
  if (typeof value === 'string')
    return JSON.stringify(value.slice(0, longest)) + (value.length > longest ? `… (${value.length} characters)` : '');
  if (typeof value === 'bigint') return cut(`${value}n`, longest);
  return Object.is(value, -0) ? '-0' : String(value);
}

function cut(text: string, longest: number): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** Of what is shown as one text. */
function atomText(value: object): string | undefined {
  if (types.isRegExp(value)) return `/${regexpParts(value).join('/')}`;
  if (!types.isDate(value)) return kindOf(value) === 'URL' ? urlHref(value) : undefined;
  const time = Date.prototype.getTime.call(value);
  return Number.isNaN(time) ? 'Date(invalid)' : new Date(time).toISOString();
}

function nameOf(value: object): string {
  if (value instanceof Tagged) return value.version === 1 ? value.class : `${value.class} (version ${value.version})`;
  if (types.isTypedArray(value)) return `${kindOf(value)}(${viewLength(value)})`;
  if (isBuffer(value) || types.isDataView(value)) return `${kindOf(value)}(${bytesOf(value).length})`;
  if (types.isMap(value) || types.isSet(value)) return `${kindOf(value)}(${sizeOf(value)})`;
  if (Array.isArray(value)) return value.length > 6 ? `Array(${value.length})` : '';
  return types.isNativeError(value) ? 'Error' : '';
}

function itemsShown(value: unknown, limits: Limits, line: string): string {
  if (!isObject(value)) return '';
  const [open, close] = Array.isArray(value) || ArrayBuffer.isView(value) || isBuffer(value) ? ['[', ']'] : ['{', '}'];
  const shown: string[] = [];
  let left = 0;
  let passed = 0;
  const inner = line === ' ' ? ' ' : `${line}  `;
  for (const [label, item] of itemsIn(value)) {
    if (shown.length >= limits.items || limits.left <= 0) {
      left = countOf(value) - passed;
      break;
    }
    shown.push(label + show(item, limits, inner));
    passed += item instanceof Holes ? item.count : 1;
  }
  if (left > 0) shown.push(`… ${left} more`);
  if (shown.length === 0) return open + close;
  const flat = shown.join(', ');
  if (line === ' ' || (flat.length <= 100 && !flat.includes('\n'))) return `${open} ${flat} ${close}`;
  return `${open}${inner}${wrapped(shown, inner)}${line}${close}`;
}

/** Short items share lines. */
function wrapped(items: readonly string[], line: string): string {
  if (items.some((item) => item.length > 24)) return items.join(`,${line}`);
  const lines: string[] = [];
  for (let at = 0; at < items.length; at += 8) lines.push(items.slice(at, at + 8).join(', '));
  return lines.join(`,${line}`);
}

function countOf(value: object): number {
  if (Array.isArray(value)) return value.length;
  if (types.isTypedArray(value)) return viewLength(value);
  if (types.isMap(value) || types.isSet(value)) return sizeOf(value);
  return isBuffer(value) || types.isDataView(value) ? bytesOf(value).length : propertyKeys(value).length;
}

function* itemsIn(value: object): Generator<readonly [label: string, item: unknown]> {
  if (types.isTypedArray(value) || isBuffer(value) || types.isDataView(value)) {
    const list = types.isTypedArray(value) ? elementsOf(value) : bytesOf(value);
    for (let index = 0; index < list.length; index++) yield ['', list[index]];
    return;
  }
  if (types.isMap(value)) for (const [key, item] of entriesOf(value)) yield [`${briefKey(key)} => `, item];
  else if (types.isSet(value)) for (const item of itemsOf(value)) yield ['', item];
  else if (Array.isArray(value)) yield* elementsIn(value);
  for (const key of propertyKeys(value)) {
    const step = typeof key === 'symbol' ? symbolStep(key) : keyStep(key);
    const found = ownValue(value, key);
    if (found !== undefined) yield [`${step.startsWith('.') ? step.slice(1) : step}: `, found.value];
  }
}

/** So many elements that are not there. */
class Holes {
  readonly count: number;

  constructor(count: number) {
    this.count = count;
  }
}

function* elementsIn(array: readonly unknown[]): Generator<readonly [label: string, item: unknown]> {
  let next = 0;
  for (const index of elementIndexes(array)) {
    if (index > next) yield ['', new Holes(index - next)];
    yield ['', array[index]];
    next = index + 1;
  }
  if (array.length > next) yield ['', new Holes(array.length - next)];
}

function briefKey(key: unknown): string {
  return isObject(key) ? kindOf(key) : primitive(key, BRIEF_TEXT);
}
