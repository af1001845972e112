/**
 * Why a value is refused, in words: what it is, and what to do instead.
 *
 * Invariants
 * 1. Telling what a value is runs none of the program's code: no getter, no proxy trap, no toString.
 */
import { types } from 'node:util';
import { CheckpointError } from '../base/errors.js';
import { shown } from './paths.js';

const PLAIN = 'convert it to plain data, or register it with provide() and turn it into plain data in capture and back in restore';
const LEAVE_OUT = 'keep it outside the registered state and make it anew after a restart';

export interface Reason {
  readonly what: string;
  readonly remedy: string;
}

export function refuse(provider: string, path: string, reason: Reason): CheckpointError {
  const message = `state of ${provider}: ${shown(path)} cannot be carried without loss: it is ${reason.what}; ${reason.remedy}`;
  return new CheckpointError('ERR_CKPT_UNSUPPORTED_VALUE', message, { provider, path });
}

/** What a function or symbol is called. */
export function describePrimitive(value: unknown): Reason {
  return { what: typeof value === 'symbol' ? 'a symbol' : 'a function', remedy: LEAVE_OUT };
}

export const PROXY: Reason = { what: 'a Proxy', remedy: 'register the object behind it' };

export function property(what: string): Reason {
  return { what, remedy: PLAIN };
}

export const NOT_EXTENSIBLE: Reason = {
  what: 'frozen, sealed or otherwise not extensible, which would be lost',
  remedy: 'register a copy ({ ...value }), or leave it out and make it anew after a restart',
};

export const EXTRA: Reason = {
  what: 'a built-in object with properties of its own',
  remedy: 'keep those properties in an object beside it',
};

const KINDS: readonly (readonly [(value: unknown) => boolean, string, string])[] = [
  [types.isPromise, 'a promise', 'await it first and register its result'],
  [types.isRegExp, 'a RegExp', 'register its source and flags as strings'],
  [types.isNativeError, 'an Error', 'register its message and other fields as plain data'],
  [types.isBoxedPrimitive, 'a boxed primitive', 'register the primitive itself'],
  [types.isWeakMap, 'a WeakMap', LEAVE_OUT],
  [types.isWeakSet, 'a WeakSet', LEAVE_OUT],
  [types.isGeneratorObject, 'a generator', LEAVE_OUT],
  [types.isMapIterator, 'an iterator', LEAVE_OUT],
  [types.isSetIterator, 'an iterator', LEAVE_OUT],
  [types.isModuleNamespaceObject, 'a module', LEAVE_OUT],
  [types.isExternal, 'a native handle', LEAVE_OUT],
];

/** What an object is that the encoding does not know. */
export function describeObject(value: object): Reason {
  for (const [is, what, remedy] of KINDS) if (is(value)) return { what, remedy };
  const name = className(value);
  if (name === 'WeakRef' || name === 'FinalizationRegistry') return { what: `a ${name}`, remedy: LEAVE_OUT };
  if (types.isMap(value) || types.isSet(value) || Array.isArray(value) || ArrayBuffer.isView(value)) {
    return { what: `an instance of the class ${name}, which extends a built-in one`, remedy: PLAIN };
  }
  return { what: `an instance of the class ${name}`, remedy: PLAIN };
}

function className(value: object): string {
  let holder: object | null = value;
  for (let steps = 0; holder !== null && steps < 16 && !types.isProxy(holder); steps++) {
    const maker: unknown = Object.getOwnPropertyDescriptor(holder, 'constructor')?.value;
    if (typeof maker === 'function' && !types.isProxy(maker)) {
      const name: unknown = Object.getOwnPropertyDescriptor(maker, 'name')?.value;
      return typeof name === 'string' && name !== '' ? name : '(anonymous)';
    }
    holder = Object.getPrototypeOf(holder);
  }
  return '(unknown)';
}
