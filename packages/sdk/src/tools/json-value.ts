/**
 * A value of an image as JSON, with a tag for each thing that JSON cannot carry.
 *
 * Invariants
 * 1. Nothing is left out: what has no JSON form is an object with exactly one key that begins with `$`; an object of the
 *    program that has such a key is told as `$object`.
 * 2. An object is written where it is met first; after that it is `{"$ref": path}`. So it ends, whatever refers to what.
 * 3. No recursion: depth costs memory of the heap, not of the stack. The text comes in pieces.
 */
import { types } from 'node:util';
import { Tagged } from '../codec/classes.js';
import { indexStep, keyStep, mapStep, setStep, symbolStep } from '../codec/paths.js';
import { boxedPrimitive, regexpParts, urlHref } from '../codec/slots.js';
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
import { pathOf, type Trail } from './value-trail.js';

interface Child {
  readonly value: unknown;
  readonly step: string;
}
type Part = string | Child;

const PIECE = 65_536;

/** @param path of the value, with which the paths of `$ref` begin */
export function* jsonPieces(value: unknown, path: string): Generator<string> {
  const met = new Map<object, Trail>();
  const stack: { readonly parts: Iterator<Part>; readonly trail: Trail }[] = [];
  let text = '';
  const enter = (child: unknown, trail: Trail): void => {
    if (!isObject(child)) {
      text += primitive(child);
      return;
    }
    const known = met.get(child);
    if (known === undefined) stack.push({ parts: partsOf(child), trail });
    else text += `{"$ref":${JSON.stringify(pathOf(known))}}`;
    if (known === undefined) met.set(child, trail);
  };
  enter(value, { from: undefined, step: path });
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const { done, value: part } = top.parts.next();
    if (done === true) stack.pop();
    else if (typeof part === 'string') text += part;
    else enter(part.value, { from: top.trail, step: part.step });
    if (text.length > PIECE) {
      yield text;
      text = '';
    }
  }
  yield text;
}

function primitive(value: unknown): string {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? String(value) : `{"$number":"${Object.is(value, -0) ? '-0' : value}"}`;
    case 'bigint':
      return `{"$bigint":"${value}"}`;
    case 'undefined':
      return '{"$undefined":true}';
    case 'symbol':
      return `{"$symbol":${JSON.stringify(String(value))}}`;
    default:
      return JSON.stringify(value);
  }
}

/** What has more properties than its kind tells comes as `$with`. */
function* partsOf(object: object): Generator<Part> {
  if (object instanceof Tagged) {
    yield `{"$class":{"name":${JSON.stringify(object.class)},"version":${object.version},"data":`;
    yield { value: object.data, step: '' };
    yield '}}';
    return;
  }
  const kind = kindOf(object);
  const keys = propertyKeys(object);
  if (kind === 'Error') {
    yield `{"$error":{"kind":"${exactKind(object)}","properties":`;
    yield* propertiesOf(object, keys);
    yield '}}';
    return;
  }
  if (kind === 'object' && !types.isBoxedPrimitive(object)) {
    yield* propertiesOf(object, keys);
    return;
  }
  yield keys.length > 0 ? '{"$with":{"value":' : '';
  yield* contentOf(object, kind);
  if (keys.length === 0) return;
  yield ',"properties":';
  yield* propertiesOf(object, keys);
  yield '}}';
}

function* propertiesOf(object: object, keys: readonly (string | symbol)[]): Generator<Part> {
  const tagged = keys.some((key) => typeof key === 'symbol' || key.startsWith('$'));
  yield tagged ? '{"$object":[' : '{';
  let comma = '';
  for (const key of keys) {
    const found = ownValue(object, key);
    if (found === undefined) continue;
    const name = typeof key === 'symbol' ? primitive(key) : JSON.stringify(key);
    yield tagged ? `${comma}[${name},` : `${comma}${name}:`;
    yield { value: found.value, step: typeof key === 'symbol' ? symbolStep(key) : keyStep(key) };
    yield tagged ? ']' : '';
    comma = ',';
  }
  yield tagged ? ']}' : '}';
}

function* contentOf(object: object, kind: string): Generator<Part> {
  if (Array.isArray(object)) yield* elements(object);
  else if (types.isMap(object)) yield* mapParts(object);
  else if (types.isSet(object)) yield* setParts(object);
  else if (types.isTypedArray(object)) yield* typedParts(object);
  else if (types.isBoxedPrimitive(object)) yield `{"$boxed":${primitive(boxedPrimitive(object))}}`;
  else if (isBuffer(object) || types.isDataView(object)) yield `{"$bytes":{"kind":"${kind}","base64":"${base64(bytesOf(object))}"}}`;
  else if (types.isDate(object)) yield `{"$date":${JSON.stringify(new Date(Date.prototype.getTime.call(object)))}}`;
  else if (types.isRegExp(object)) yield `{"$regexp":${JSON.stringify(`/${regexpParts(object).join('/')}`)}}`;
  else yield `{"$url":${JSON.stringify(urlHref(object))}}`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** A run of holes is one item, which tells its length. */
function* elements(array: readonly unknown[]): Generator<Part> {
  yield '[';
  let next = 0;
  for (const index of elementIndexes(array)) {
    if (index > next) yield `${next > 0 ? ',' : ''}{"$holes":${index - next}}`;
    if (index > 0) yield ',';
    yield { value: array[index], step: indexStep(index) };
    next = index + 1;
  }
  if (array.length > next) yield `${next > 0 ? ',' : ''}{"$holes":${array.length - next}}`;
  yield ']';
}

function* mapParts(map: Map<unknown, unknown>): Generator<Part> {
  yield '{"$map":[';
  let entry = 0;
  for (const [key, value] of entriesOf(map)) {
    yield entry === 0 ? '[' : ',[';
    yield { value: key, step: mapStep(key, entry, true) };
    yield ',';
    yield { value, step: mapStep(key, entry, false) };
    yield ']';
    entry++;
  }
  yield ']}';
}

function* setParts(set: Set<unknown>): Generator<Part> {
  yield '{"$set":[';
  let item = 0;
  for (const value of itemsOf(set)) {
    if (item > 0) yield ',';
    yield { value, step: setStep(item) };
    item++;
  }
  yield ']}';
}

function* typedParts(view: NodeJS.TypedArray): Generator<Part> {
  const array = elementsOf(view);
  yield `{"$typed":{"kind":"${exactKind(view)}","values":[`;
  for (let index = 0; index < array.length; index++) yield `${index > 0 ? ',' : ''}${primitive(array[index])}`;
  yield ']}}';
}
