/**
 * The arguments of the checkpointer's calls: what is accepted, and the TypeError for what is not.
 *
 * Invariants
 * 1. A bad argument is a TypeError at the call that names it; nothing has been registered or asked for by then.
 * 2. Options that this version does not know are refused, never ignored: a `secret` that does nothing would leak state.
 */
import { types } from 'node:util';
import { assertImageName } from '../base/ids.js';
import { isStandardSchema } from '../state/schema.js';

export interface CheckpointOptions {
  /** Takes the request back, if its checkpoint has not begun. */
  readonly signal?: AbortSignal | undefined;
  /** Lets a name move that this incarnation has given before. */
  readonly replace?: boolean | undefined;
}

const kindOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value);

const VERSIONING = ['version', 'migrate', 'schema', 'validateAtCapture', 'was'] as const;

/** @throws TypeError */
function assertOnUnsupported(call: string, { onUnsupported }: { readonly onUnsupported?: unknown }): void {
  if (onUnsupported !== undefined && onUnsupported !== 'refuse' && onUnsupported !== 'drop')
    throw new TypeError(`${call}: onUnsupported: expected 'refuse' or 'drop', got ${String(onUnsupported)}`);
}

/** Shapes only; what the registry knows better (versions, names) it checks itself. @throws TypeError */
function assertVersioning(call: string, options: { readonly [K in (typeof VERSIONING)[number]]?: unknown }): void {
  const { migrate, schema, validateAtCapture, was } = options;
  if (migrate !== undefined && !isSteps(migrate))
    throw new TypeError(`${call}: migrate: expected { VERSION: old => new } with functions, got ${kindOf(migrate)}`);
  if (schema !== undefined && !isStandardSchema(schema))
    throw new TypeError(`${call}: schema: expected a Standard Schema, with a validate function in '~standard', got ${kindOf(schema)}`);
  if (validateAtCapture !== undefined && typeof validateAtCapture !== 'boolean')
    throw new TypeError(`${call}: validateAtCapture: expected true or false, got ${kindOf(validateAtCapture)}`);
  if (validateAtCapture === true && schema === undefined)
    throw new TypeError(`${call}: validateAtCapture: expected a schema to check with, got none`);
  if (was !== undefined && !Array.isArray(was)) throw new TypeError(`${call}: was: expected a list of former names, got ${kindOf(was)}`);
}

function isSteps(migrate: unknown): boolean {
  return typeof migrate === 'object' && migrate !== null && Object.values(migrate).every((step) => typeof step === 'function');
}

/** @throws TypeError */
export function assertStateArguments(name: string, init: unknown, options: unknown): void {
  if (typeof init !== 'function')
    throw new TypeError(`state('${name}', init): expected a function that makes the initial object, got ${kindOf(init)}`);
  const call = `state('${name}', init, options)`;
  assertKnown(call, options, [...VERSIONING, 'onUnsupported']);
  assertVersioning(call, options);
  assertOnUnsupported(call, options);
}

/** What `init` returned. @throws TypeError */
export function assertInitial(name: string, value: unknown): void {
  if (value instanceof Promise) {
    value.catch(() => {});
    throw new TypeError(
      `state('${name}', init): expected init to return an object, got a promise; init is synchronous: await before, and hand the result over`,
    );
  }
  if (typeof value === 'object' && value !== null) return;
  throw new TypeError(`state('${name}', init): expected init to return an object, got ${kindOf(value)}; use provide() for a primitive`);
}

/** @throws TypeError */
export function assertProvideOptions(name: string, options: { readonly capture?: unknown; readonly restore?: unknown }): void {
  assertKnown(`provide('${name}', options)`, options, ['capture', 'restore', ...VERSIONING, 'onUnsupported']);
  const others: object = options;
  assertVersioning(`provide('${name}', options)`, others);
  assertOnUnsupported(`provide('${name}', options)`, others);
  for (const part of ['capture', 'restore'] as const) {
    if (typeof options[part] !== 'function')
      throw new TypeError(`provide('${name}', options): expected ${part} to be a function, got ${kindOf(options[part])}`);
  }
}

/** @throws TypeError */
export function assertClassOptions(name: string, options: unknown): void {
  assertKnown(`registerClass('${name}', class, options)`, options, ['version', 'encode', 'decode', 'migrate']);
}

function assertMemberName(call: string, name: unknown): asserts name is string {
  if (typeof name === 'string' && name !== 'main' && /^[A-Za-z0-9][\w.-]{0,63}$/.test(name)) return;
  const shown = JSON.stringify(name) ?? String(name);
  throw new TypeError(`${call}(name, program): expected a name of 1 to 64 of A-Z a-z 0-9 _ . - other than main, got ${shown}`);
}

/** @throws TypeError */
export function assertForkArguments(name: unknown, program: unknown, args: unknown, options: unknown): void {
  assertMemberName('fork', name);
  if (!(program instanceof URL) && typeof program !== 'string')
    throw new TypeError(`fork('${name}', program): expected a path or a file URL, got ${kindOf(program)}`);
  if (!Array.isArray(args) || !args.every((arg) => typeof arg === 'string'))
    throw new TypeError(`fork('${name}', program, args): expected an array of strings`);
  assertKnown(`fork('${name}', program, args, options)`, options, ['execArgv', 'cwd', 'env', 'opaque']);
  assertOpaque(`fork('${name}', program, args, { opaque })`, options);
}

/** @throws TypeError */
function assertOpaque(call: string, { opaque }: { readonly opaque?: unknown }): void {
  if (opaque !== undefined && opaque !== 'restart' && opaque !== 'exclude' && opaque !== 'error')
    throw new TypeError(`${call}: expected 'restart', 'exclude' or 'error', got ${String(opaque)}`);
}

/** @throws TypeError */
export function assertWorkerArguments(name: unknown, program: unknown, options: unknown): void {
  assertMemberName('worker', name);
  if (!(program instanceof URL) && (typeof program !== 'string' || !URL.canParse(program)))
    throw new TypeError(
      `worker('${name}', program): expected a file URL, such as new URL('./solver.js', import.meta.url), got ${String(program)}`,
    );
  assertKnown(`worker('${name}', program, options)`, options, ['workerData', 'opaque']);
  assertOpaque(`worker('${name}', program, { opaque })`, options);
}

/** @throws TypeError */
export function assertCheckpointArguments(name: unknown, options: { readonly signal?: unknown; readonly replace?: unknown }): void {
  if (name !== undefined) assertImageName(name, 'checkpoint(name)');
  assertKnown('checkpoint(name, options)', options, ['signal', 'replace']);
  const { signal, replace } = options;
  if (signal !== undefined && !isAbortSignal(signal))
    throw new TypeError(`checkpoint(name, { signal }): expected an AbortSignal, got ${kindOf(signal)}`);
  if (replace !== undefined && typeof replace !== 'boolean')
    throw new TypeError(`checkpoint(name, { replace }): expected true or false, got ${kindOf(replace)}`);
}

/** By shape: it may come from another realm or a polyfill. */
function isAbortSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value && 'removeEventListener' in value;
}

function assertKnown(call: string, options: unknown, known: readonly string[]): asserts options is object {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`${call}: expected an object of options, got ${kindOf(options)}`);
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw new TypeError(`${call}: unknown option '${key}'; expected only ${known.join(', ')}`);
  }
}

/** The bytes that a view or a whole buffer stands for. @throws TypeError */
export function assertRange(range: unknown): { readonly memory: ArrayBufferLike; readonly start: number; readonly length: number } {
  if (ArrayBuffer.isView(range)) return { memory: range.buffer, start: range.byteOffset, length: range.byteLength };
  if (types.isAnyArrayBuffer(range)) return { memory: range, start: 0, length: range.byteLength };
  throw new TypeError(
    `dirty(range): expected a view of the bytes that were written, such as grid.subarray(from, to), or a buffer, got ${kindOf(range)}`,
  );
}
