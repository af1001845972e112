/**
 * The options of the tool calls, each parsed once.
 *
 * Invariants
 * 1. A bad argument is a TypeError at the call; it names the call, the option, and what was expected.
 * 2. Unknown options are refused: a misspelt `takeover` must not be passed over in silence.
 * 3. No default stands anywhere else.
 */
import { z } from 'zod';
import { isImageName } from '../base/ids.js';

export interface CreateSettings {
  readonly name?: string | undefined;
  readonly wait: boolean;
  readonly exit: boolean;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface RestartSettings {
  readonly image?: string | undefined;
  readonly dryRun: boolean;
  readonly ask: boolean;
  readonly askMs: number;
  readonly takeOver: boolean;
  readonly waitMs: number;
  readonly stdio: 'inherit' | 'ignore';
  readonly roots: readonly { readonly from: string; readonly to: string }[];
  readonly command?: readonly string[] | undefined;
}

export interface ExportSettings {
  readonly output: string;
  readonly withFiles: boolean;
  readonly roots?: readonly string[] | undefined;
  readonly replace: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface DiffSettings {
  readonly dir?: string | undefined;
  readonly limit: number;
}

export interface ImportSettings {
  readonly dir?: string | undefined;
  readonly waitMs: number;
  readonly signal?: AbortSignal | undefined;
}

const WAIT_MS = 60_000;
const PLACE_MS = 10_000;
const OWNER_WAIT_MS = 10_000;
const ASK_MS = 60_000;
const DIFFERENCES = 1000;

const text = z.string().min(1, 'expected some text');
const path = text.refine((value) => !value.includes('\0'), 'expected a path');
const listener = z.custom<(...values: never[]) => unknown>((value) => typeof value === 'function', 'expected a function');
const abortSignal = z.custom<AbortSignal>((value) => value instanceof AbortSignal, 'expected an AbortSignal');
const name = z.string().refine(isImageName, 'expected an image name: 1 to 64 of A-Z a-z 0-9 _ . - beginning with a letter or digit');

const verifySchema = z.strictObject({ onProgress: listener.optional(), signal: abortSignal.optional() });

const createSchema = z
  .strictObject({
    name: name.optional(),
    wait: z.boolean().default(false),
    exit: z.boolean().default(false),
    timeoutMs: z.number().nonnegative().optional(),
    signal: abortSignal.optional(),
  })
  .transform(({ timeoutMs, ...rest }) => ({ ...rest, timeoutMs: timeoutMs ?? (rest.wait ? WAIT_MS : PLACE_MS) }));

const restartSchema = z.strictObject({
  image: text.optional(),
  dryRun: z.boolean().default(false),
  ask: z.boolean().default(false),
  askMs: z.number().positive().default(ASK_MS),
  takeOver: z.boolean().default(false),
  waitMs: z.number().nonnegative().default(OWNER_WAIT_MS),
  onWaiting: listener.optional(),
  stdio: z.enum(['inherit', 'ignore']).default('inherit'),
  roots: z.array(z.strictObject({ from: text, to: text })).default([]),
  command: z.array(z.string()).min(1).optional(),
});

const exportSchema = z.strictObject({
  output: path,
  withFiles: z.boolean().default(false),
  roots: z.array(path).min(1).optional(),
  replace: z.boolean().default(false),
  signal: abortSignal.optional(),
});

const importSchema = z.strictObject({
  dir: path.optional(),
  waitMs: z.number().nonnegative().default(OWNER_WAIT_MS),
  onWaiting: listener.optional(),
  onWarning: listener.optional(),
  signal: abortSignal.optional(),
});

const diffSchema = z.strictObject({
  dir: path.optional(),
  limit: z.number().int().nonnegative('expected a number of differences').default(DIFFERENCES),
});

/** @throws TypeError that names the argument or option */
export function parseDiffOptions(a: unknown, b: unknown, options: unknown, call: string): DiffSettings {
  parse(text, a, call, 'a');
  parse(text, b, call, 'b');
  return parse(diffSchema, options, call);
}

/** @throws TypeError that names the option */
export function parseExportOptions(value: unknown, call: string): ExportSettings {
  return parse(exportSchema, value, call);
}

/** @throws TypeError that names the option */
export function parseImportOptions(value: unknown, call: string): ImportSettings {
  return parse(importSchema, value, call);
}

/** @throws TypeError when it is no path */
export function checkPath(value: unknown, call: string, subject: string): asserts value is string {
  parse(path, value, call, subject);
}

/** @throws TypeError when it is given and is no text */
export function checkNameOrId(value: unknown, call: string): void {
  parse(text.optional(), value, call, 'nameOrId');
}

/** @throws TypeError that names the option */
export function checkVerifyOptions(value: unknown, call: string): void {
  parse(verifySchema, value, call);
}

/** @throws TypeError that names the option */
export function parseCreateOptions(value: unknown, call: string): CreateSettings {
  return parse(createSchema, value, call);
}

/** @throws TypeError that names the option */
export function parseRestartOptions(value: unknown, call: string): RestartSettings {
  return parse(restartSchema, value, call);
}

function parse<T>(schema: z.ZodType<T>, value: unknown, call: string, subject = 'options'): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new TypeError(`${call}: ${[subject, ...(issue?.path ?? [])].join('.')}: ${issue?.message ?? 'not understood'}`);
}
