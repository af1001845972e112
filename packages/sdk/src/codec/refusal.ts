/**
 * Why a value is refused, in words: what it is, and what to do instead.
 *
 * Invariants
 * 1. Telling what a value is runs none of the program's code: no getter, no proxy trap, no toString.
 */
import { types } from 'node:util';
import { CheckpointError } from '../base/errors.js';
import { LEAVE_OUT, outsideRemedy } from './outside.js';
import { shown } from './paths.js';
import { holdsMore } from './slots.js';
import { VIEW_KINDS } from './tags.js';

const PLAIN = 'convert it to plain data, or register it with provide() and turn it into plain data in capture and back in restore';

/** Built-in classes whose genuine instances of this realm are carried. */
const CARRIED: ReadonlySet<string> = new Set([
  ...[
    'Object',
    'Array',
    'Map',
    'Set',
    'Date',
    'RegExp',
    'Number',
    'String',
    'Boolean',
    'BigInt',
    'Symbol',
    'ArrayBuffer',
    'SharedArrayBuffer',
  ],
  ...['Error', 'EvalError', 'RangeError', 'ReferenceError', 'SyntaxError', 'TypeError', 'URIError', 'AggregateError'],
  ...VIEW_KINDS,
]);

export interface Reason {
  readonly what: string;
  readonly remedy: string;
  /** For an instance of a class that only is not registered: the class's name, and the line of code that mends it. */
  readonly missing?: { readonly name: string; readonly line: string };
}

/** An instance of a class that is not registered. */
interface MissingClass {
  readonly path: string;
  readonly name: string;
  readonly line: string;
}

/** @param more whether there are others */
export function refuseClasses(provider: string, missing: readonly MissingClass[], more: boolean): CheckpointError {
  const found = missing.map(({ path, name, line }) => `\n  ${line}; // ${shown(path)} is an instance of ${name}`).join('');
  const message =
    `state of ${provider}: it cannot be carried without loss: ${more ? 'more than ' : ''}${missing.length} classes are not registered; ` +
    `before the first state() or provide(), call${found}`;
  return new CheckpointError('ERR_CKPT_UNSUPPORTED_VALUE', message, { provider, path: missing[0]?.path ?? provider });
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

export const ARGUMENTS: Reason = { what: 'the arguments of a function call', remedy: 'register an array of them ([...arguments])' };

export const WRONG_PROTOTYPE: Reason = {
  what: 'a built-in object whose prototype was changed',
  remedy: 'leave its prototype as it is, or keep its contents in an object of their own',
};

export function property(what: string): Reason {
  return { what, remedy: PLAIN };
}

const KINDS: readonly (readonly [(value: unknown) => boolean, string, string])[] = [
  [types.isPromise, 'a promise', 'await it first and register its result'],
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
  const call = outsideRemedy(value);
  if (call !== undefined) return { what: `an instance of the class ${name}`, remedy: call };
  const builtIn = builtInReason(value, name);
  if (builtIn !== undefined) return builtIn;
  const special = holdsMore(value) && !types.isMap(value) && !types.isSet(value) && !types.isNativeError(value);
  const line = registration(name, special ? ', { encode, decode }' : '');
  return {
    what: `an instance of the class ${name}${special ? ', of a built-in kind that is carried only as it is' : ''}`,
    remedy: `before the first state() or provide(), call ${line}`,
    missing: { name, line },
  };
}

/** Registering a class that is built in is no remedy: it is refused. */
function builtInReason(value: object, name: string): Reason | undefined {
  const maker = makerOf(value);
  if (maker === undefined) return Array.isArray(value) || holdsMore(value) ? WRONG_PROTOTYPE : undefined;
  if (!/\{\s*\[native code\]\s*\}\s*$/.test(Function.prototype.toString.call(maker))) return undefined;
  const here: unknown = Object.getOwnPropertyDescriptor(globalThis, name)?.value;
  if (types.isNativeError(value) && here === maker) return NODE_ERROR;
  if (CARRIED.has(name) && here !== maker)
    return { what: `an instance of the class ${name} of another realm (node:vm)`, remedy: 'register a copy of it: structuredClone(value)' };
  if (CARRIED.has(name))
    return { what: `no genuine instance of the class ${name}: its prototype is an object of its own`, remedy: PROTOTYPE };
  return { what: `an instance of the class ${name}, which is built in`, remedy: LEAVE_OUT };
}

const PROTOTYPE = 'give it the prototype of a class and register that, or keep its properties in a plain object';

const NODE_ERROR: Reason = {
  what: 'an error of a class that Node.js keeps to itself',
  remedy: 'keep what is needed of it, such as { code, message }, or a new Error with these',
};

/** The line of code that would mend it. */
function registration(name: string, more = ''): string {
  const known = /^[\p{ID_Start}$_]/u.test(name);
  return `ckpt.registerClass('${known ? name : 'Name'}', ${known ? name : 'TheClass'}${more})`;
}

function className(value: object): string {
  const maker = makerOf(value);
  if (maker === undefined) return '(unknown)';
  const name: unknown = Object.getOwnPropertyDescriptor(maker, 'name')?.value;
  return typeof name === 'string' && name !== '' ? name : '(anonymous)';
}

/** What the nearest prototype names as its constructor. */
function makerOf(value: object): object | undefined {
  let holder: object | null = value;
  for (let steps = 0; holder !== null && steps < 16 && !types.isProxy(holder); steps++) {
    const maker: unknown = Object.getOwnPropertyDescriptor(holder, 'constructor')?.value;
    if (typeof maker === 'function' && !types.isProxy(maker)) return maker;
    holder = Object.getPrototypeOf(holder);
  }
  return undefined;
}
