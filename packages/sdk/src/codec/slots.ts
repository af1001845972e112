/// <reference lib="es2024.arraybuffer" />
/// <reference lib="es2024.sharedmemory" />
/**
 * What a built-in object holds inside, asked past everything that a program can put in the way: own properties,
 * getters of subclasses, changed prototypes.
 *
 * Invariants
 * 1. Only functions that were there when this module was loaded run, on objects that have what they read.
 */
import { types } from 'node:util';
import type { BufferKind } from './contract.js';

type Getter = (object: object) => unknown;

function getter(prototype: object, name: string | symbol): Getter {
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get;
  return (object) => (get === undefined ? undefined : Reflect.apply(get, object, []));
}

const TYPED_ARRAY: object = Object.getPrototypeOf(Uint8Array.prototype);
const viewOf = {
  kind: getter(TYPED_ARRAY, Symbol.toStringTag),
  length: getter(TYPED_ARRAY, 'length'),
  buffer: getter(TYPED_ARRAY, 'buffer'),
  offset: getter(TYPED_ARRAY, 'byteOffset'),
};
const dataViewOf = {
  length: getter(DataView.prototype, 'byteLength'),
  buffer: getter(DataView.prototype, 'buffer'),
  offset: getter(DataView.prototype, 'byteOffset'),
};
const plainMemory = {
  length: getter(ArrayBuffer.prototype, 'byteLength'),
  grows: getter(ArrayBuffer.prototype, 'resizable'),
  most: getter(ArrayBuffer.prototype, 'maxByteLength'),
};
const sharedMemory = {
  length: getter(SharedArrayBuffer.prototype, 'byteLength'),
  grows: getter(SharedArrayBuffer.prototype, 'growable'),
  most: getter(SharedArrayBuffer.prototype, 'maxByteLength'),
};

/** `DataView`, or what the typed array was made as, whatever its prototype is now. */
export function viewKind(view: ArrayBufferView): string {
  return types.isDataView(view) ? 'DataView' : String(viewOf.kind(view));
}

/** In elements; of a DataView in bytes. @throws TypeError for a DataView outside its memory */
export function viewLength(view: ArrayBufferView): number {
  return Number(types.isDataView(view) ? dataViewOf.length(view) : viewOf.length(view));
}

export function viewMemory(view: ArrayBufferView): ArrayBufferLike {
  const memory = types.isDataView(view) ? dataViewOf.buffer(view) : viewOf.buffer(view);
  return memory as ArrayBufferLike; // what these getters return
}

/** @throws TypeError for a DataView outside its memory */
export function viewOffset(view: ArrayBufferView): number {
  return Number(types.isDataView(view) ? dataViewOf.offset(view) : viewOf.offset(view));
}

export function memoryKind(memory: ArrayBufferLike): BufferKind {
  return types.isSharedArrayBuffer(memory) ? 'SharedArrayBuffer' : 'ArrayBuffer';
}

export function memoryLength(memory: ArrayBufferLike): number {
  return Number((types.isSharedArrayBuffer(memory) ? sharedMemory : plainMemory).length(memory));
}

/** Most bytes that resizable memory may grow to; undefined for any other. */
export function memoryMaximum(memory: ArrayBufferLike): number | undefined {
  const of = types.isSharedArrayBuffer(memory) ? sharedMemory : plainMemory;
  return of.grows(memory) === true ? Number(of.most(memory)) : undefined;
}

const mapSizeGetter = getter(Map.prototype, 'size');
const setSizeGetter = getter(Set.prototype, 'size');

export function sizeOf(collection: object): number {
  return Number(types.isMap(collection) ? mapSizeGetter(collection) : setSizeGetter(collection));
}

const sourceGetter = getter(RegExp.prototype, 'source');
const FLAGS: readonly (readonly [flag: string, get: Getter])[] = [
  ['d', getter(RegExp.prototype, 'hasIndices')],
  ['g', getter(RegExp.prototype, 'global')],
  ['i', getter(RegExp.prototype, 'ignoreCase')],
  ['m', getter(RegExp.prototype, 'multiline')],
  ['s', getter(RegExp.prototype, 'dotAll')],
  ['u', getter(RegExp.prototype, 'unicode')],
  ['v', getter(RegExp.prototype, 'unicodeSets')],
  ['y', getter(RegExp.prototype, 'sticky')],
];

export function regexpParts(regexp: RegExp): readonly [source: string, flags: string] {
  return [String(sourceGetter(regexp)), FLAGS.flatMap(([flag, get]) => (get(regexp) === true ? [flag] : [])).join('')];
}

const BOXED = [Number, String, Boolean, BigInt, Symbol].map(({ prototype }) => ({ prototype, valueOf: prototype.valueOf }));

/** The primitive in a box that has its own kind's prototype; undefined for any other object. */
export function boxedPrimitive(object: object): unknown {
  const prototype: unknown = Object.getPrototypeOf(object);
  const box = BOXED.find((kind) => kind.prototype === prototype);
  if (box === undefined) return undefined;
  try {
    return Reflect.apply(box.valueOf, object, []);
  } catch {
    return undefined;
  }
}

const hrefGetter = getter(URL.prototype, 'href');

/** Undefined for what is no URL. */
export function urlHref(object: object): string | undefined {
  try {
    return String(hrefGetter(object));
  } catch {
    return undefined;
  }
}

const KINDS: readonly ((value: object) => boolean)[] = [
  types.isMap,
  types.isSet,
  types.isDate,
  types.isRegExp,
  types.isNativeError,
  types.isBoxedPrimitive,
  types.isAnyArrayBuffer,
  types.isArgumentsObject,
  types.isPromise,
  types.isWeakMap,
  types.isWeakSet,
  types.isGeneratorObject,
  types.isMapIterator,
  types.isSetIterator,
  types.isModuleNamespaceObject,
  types.isExternal,
  ArrayBuffer.isView,
];

/** True when an object is more than its properties, whatever its prototype says. */
export function holdsMore(object: object): boolean {
  return KINDS.some((is) => is(object));
}
