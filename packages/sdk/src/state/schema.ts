/**
 * Standard Schema (https://standardschema.dev), as far as it is needed here: a schema checks a value, synchronously.
 *
 * Invariants
 * 1. A schema only checks: what it returns as its output is ignored, and the value stays the object that it was.
 * 2. An asynchronous result is a failure, never waited for: a value is used or refused in the same turn.
 */
import { messageOf } from '../base/errors.js';

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type SchemaResult = { readonly value: unknown; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

/** What Zod, Valibot, ArkType and others make. */
export interface StandardSchema {
  readonly '~standard': { readonly validate: (value: unknown) => SchemaResult | Promise<SchemaResult> };
}

const MOST_ISSUES = 5;

export function isStandardSchema(value: unknown): value is StandardSchema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null || !('~standard' in value)) return false;
  const standard = value['~standard'];
  return typeof standard === 'object' && standard !== null && 'validate' in standard && typeof standard.validate === 'function';
}

/** @returns what is wrong with the value, undefined when it fits */
export function misfit(schema: StandardSchema, value: unknown): { readonly what: string; readonly cause?: unknown } | undefined {
  let result: SchemaResult | Promise<SchemaResult>;
  try {
    result = schema['~standard'].validate(value);
  } catch (cause) {
    return { what: `its schema threw: ${messageOf(cause)}`, cause };
  }
  if (typeof result !== 'object' || result === null) return { what: `its schema answers with ${String(result)} instead of a result` };
  if ('then' in result) {
    result.then(undefined, () => {});
    return { what: 'its schema answers with a promise: take a synchronous schema' };
  }
  const { issues } = result;
  if (issues === undefined) return undefined;
  const shown = issues.slice(0, MOST_ISSUES).map(({ message, path }) => `${pathText(path)}${message}`);
  const more = issues.length > MOST_ISSUES ? `; and ${issues.length - MOST_ISSUES} more` : '';
  return { what: `it does not fit its schema: ${shown.join('; ')}${more}` };
}

function pathText(path: SchemaIssue['path']): string {
  if (path === undefined || path.length === 0) return '';
  const keys = path.map((part) => (typeof part === 'object' ? part.key : part));
  return `${keys.map((key, at) => (typeof key === 'number' ? `[${key}]` : `${at === 0 ? '' : '.'}${String(key)}`)).join('')}: `;
}
