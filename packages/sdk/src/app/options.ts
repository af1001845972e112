/**
 * The options of openCheckpointer, parsed once into a frozen object. No default stands anywhere else.
 *
 * Invariants
 * 1. A bad or unknown option is a TypeError at the call that names it.
 * 2. The environment (CKPT_RESTART, CKPT_TAKE_OVER, CKPT_PLAN) wins over the program; CKPT_DIR fills in for a missing `dir`.
 *    CKPT_ROOTS says where recorded paths lie now, which only whoever starts the program can know.
 */
import { resolve } from 'node:path';
import { inspect } from 'node:util';
import { z } from 'zod';
import { parseBytes } from '../base/byte-size.js';
import { type Duration, parseDuration } from '../base/duration.js';
import { isId, isImageName } from '../base/ids.js';
import { INTERPRETED } from '../base/interpreted.js';
import type { Compression } from '../checkpoint/choose-compression.js';
import type { OpenFilesMode } from '../files/audit.js';
import { parseRootsVariable, ROOTS_VARIABLE, type Root } from '../files/mapped-paths.js';
import { compileRules, type FileRule } from '../files/rules.js';
import { isAvailable } from '../image/compression.js';
import type { OnMemberError } from '../members/set-contract.js';
import { PLAN_VARIABLE } from '../restart/plan.js';
import type { RestartChoice } from '../restart/select.js';
import type { Unclaimed } from '../state/provider-plan.js';
import type { AutoLimits } from '../triggers/auto-pace.js';
import { assertSignals } from '../triggers/signals.js';
import { type Every, parseEvery } from './every.js';
import { nearestApp } from './program.js';

export type SignalAction = 'checkpoint' | 'checkpoint-and-exit';

/** Where warnings and errors go: anything shaped like console. */
export interface Logger {
  readonly info?: (message: string) => void;
  readonly warn: (message: string) => void;
  readonly error: (message: string) => void;
}

export interface CheckpointerOptions {
  /** The store's directory; default: CKPT_DIR, else `./ckpt`. */
  readonly dir?: string | undefined;
  /** Default: the nearest package.json of the main script. Only the name must match at a restart. */
  readonly app?: { readonly name: string; readonly version?: string | undefined } | undefined;
  /**
   * Autosave interval, counted from the last capture; false for none (the default). 'auto' picks it from what checkpoints
   * cost, so that they take 1 % of the run time at most; an object says what else is to be kept to.
   */
  readonly every?: Every | undefined;
  /** Default `{ SIGUSR1: 'checkpoint' }`; `{}` for none. */
  readonly signals?: Readonly<Record<string, SignalAction>> | undefined;
  /** Watch `<dir>/requests/`; default true. */
  readonly requests?: boolean | undefined;
  /** Default 'auto': the newest valid image of the lineage, else a fresh start. */
  readonly restart?: 'auto' | 'must' | 'never' | { readonly image: string } | undefined;
  /** Valid images to keep on the lineage, beside named ones; default 3. */
  readonly keep?: number | undefined;
  /** Limit for each handler and each restore function; default '60s'. */
  readonly handlerTimeout?: Duration | undefined;
  /** Period of the `waiting` event, and how long members that stand wait for the others; default '10s'. */
  readonly quiesceTimeout?: Duration | undefined;
  /** How long to wait for a live owner of the store; default '90s'. */
  readonly lockWait?: Duration | undefined;
  /**
   * What becomes of sections of the image that no provider claims: false (the default) refuses the start, 'carry' keeps them,
   * unread, in every later image, 'drop' leaves them out.
   */
  readonly allowUnclaimed?: false | 'carry' | 'drop' | undefined;
  /** Most memory for copies of the state's large buffers, as bytes or '512MiB', '1GiB'; default '1GiB'. Buffers beyond it are copied anew each time. */
  readonly memoryBudget?: number | string | undefined;
  /**
   * Compress structured state: 'auto' (the default) where a sample shows that it pays, never so that an image is durable later for
   * it; 'zstd' needs Node.js 22.15 or newer, also to read it. Bulk memory, files and collections are not compressed.
   */
  readonly compression?: 'auto' | 'zstd' | 'brotli' | 'none' | undefined;
  /** Ask the kernel which pages were written, where the package @ckpt/accelerator is installed and can; default true. */
  readonly accelerator?: boolean | undefined;
  /** Folders in which files may lie whose paths only an image tells; default: the working directory. */
  readonly roots?: readonly string[] | undefined;
  /** Rules for files that libraries open, by a pattern of the path; the first that matches decides. Needs Linux. */
  readonly files?: readonly FileRule[] | undefined;
  /** Keep what a start cuts from files, in the store's `tails/`; default true. */
  readonly keepTails?: boolean | undefined;
  /** 'track': stdout and stderr are put back like tracked files where they are redirected with `>>`; default 'ignore'. Needs Linux. */
  readonly stdio?: 'ignore' | 'track' | undefined;
  /** What to do about files open for writing, sockets and pipes that nobody tracks; default 'warn': tell each once. */
  readonly openFiles?: OpenFilesMode | undefined;
  /** Default 'cancel': no image without a member that died, fails or does not arrive. 'exclude': such members are left out. */
  readonly onMemberError?: OnMemberError | undefined;
  readonly logger?: Logger | undefined;
  /** File URL of a module that exports `fileSystem` and/or `clock`: for tests with injected faults. */
  readonly ports?: string | undefined;
}

export interface ResolvedOptions {
  readonly dir: string;
  readonly app: { readonly name: string; readonly version: string };
  readonly everyMs: number | undefined;
  /** Instead of `everyMs`. */
  readonly auto: AutoLimits | undefined;
  readonly signals: Readonly<Record<string, SignalAction>>;
  readonly requests: boolean;
  readonly restart: RestartChoice;
  readonly keep: number;
  readonly handlerTimeoutMs: number;
  readonly quiesceTimeoutMs: number;
  readonly lockWaitMs: number;
  /** Bytes. */
  readonly memoryBudget: number;
  readonly compression: Compression;
  readonly accelerator: boolean;
  readonly takeOver: boolean;
  readonly allowUnclaimed: Unclaimed;
  /** Where start() writes its plan instead of starting: a file, or '1' for standard output. */
  readonly planTo: string | undefined;
  /** Absolute. */
  readonly roots: readonly string[];
  /** Where recorded paths lie now. */
  readonly mappedRoots: readonly Root[];
  readonly files: readonly FileRule[];
  readonly keepTails: boolean;
  readonly stdio: 'ignore' | 'track';
  readonly openFiles: OpenFilesMode;
  readonly onMemberError: OnMemberError;
  readonly logger: Logger;
  readonly ports: string | undefined;
}

function duration(value: unknown, option: string, fallback: Duration): number {
  return parseDuration(value ?? fallback, `openCheckpointer: ${option}`);
}

const isLogger = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'warn' in value &&
  typeof value.warn === 'function' &&
  'error' in value &&
  typeof value.error === 'function';

const text = (expected: string): z.ZodString => z.string({ error: expected }).min(1, expected);

const APP = 'expected { name, version }, both strings';
const ACTION = "expected 'checkpoint' or 'checkpoint-and-exit'";
const KEEP = 'expected a whole number of 1 or more';
const COMPRESSION = "expected 'auto', 'zstd', 'brotli' or 'none'";
const ROOTS = 'expected a list of folders';
const RULE = "expected { pattern, policy }, with a glob pattern and 'append', 'volatile' or 'ignore'";

const SCHEMA = z.strictObject({
  dir: text('expected the path of a directory').optional(),
  app: z.strictObject({ name: text(APP).max(214, APP), version: z.string(APP).max(256, APP).optional() }, APP).optional(),
  every: z.unknown().optional(),
  signals: z
    .record(z.string(), z.enum(['checkpoint', 'checkpoint-and-exit'], ACTION), 'expected an object from signal names to actions')
    .default({ SIGUSR1: 'checkpoint' }),
  requests: z.boolean('expected true or false').default(true),
  restart: z
    .union(
      [z.enum(['auto', 'must', 'never']), z.strictObject({ image: z.string().min(1) })],
      "expected 'auto', 'must', 'never' or { image: NAME }",
    )
    .default('auto'),
  keep: z.int(KEEP).min(1, KEEP).default(3),
  handlerTimeout: z.unknown().optional(),
  quiesceTimeout: z.unknown().optional(),
  lockWait: z.unknown().optional(),
  allowUnclaimed: z.literal([false, 'carry', 'drop'], "expected false, 'carry' or 'drop'").default(false),
  memoryBudget: z.unknown().optional(),
  compression: z.enum(['auto', 'zstd', 'brotli', 'none'], COMPRESSION).default('auto'),
  accelerator: z.boolean('expected true or false').default(true),
  roots: z.array(text(ROOTS), ROOTS).optional(),
  files: z
    .array(
      z.strictObject({ pattern: text(RULE), policy: z.enum(['append', 'volatile', 'ignore'], RULE) }, RULE),
      'expected a list of rules',
    )
    .default([]),
  keepTails: z.boolean('expected true or false').default(true),
  stdio: z.enum(['ignore', 'track'], "expected 'ignore' or 'track'").default('ignore'),
  openFiles: z.enum(['warn', 'error', 'ignore'], "expected 'warn', 'error' or 'ignore'").default('warn'),
  onMemberError: z.enum(['cancel', 'exclude'], "expected 'cancel' or 'exclude'").default('cancel'),
  logger: z.custom<Logger>(isLogger, 'expected an object with warn(message) and error(message), such as console').optional(),
  ports: text('expected the file URL of a module').optional(),
});

/** @throws TypeError naming the option, what was expected and what was found */
export function resolveOptions(options: CheckpointerOptions, env: NodeJS.ProcessEnv): ResolvedOptions {
  const parsed = SCHEMA.safeParse(options, INTERPRETED);
  if (!parsed.success)
    throw new TypeError(`openCheckpointer: ${parsed.error.issues.map((issue) => describeIssue(issue, options)).join('; ')}`);
  const given = parsed.data;
  assertSignals(given.signals);
  compileRules(given.files, process.cwd()); // a pattern that cannot be read is told here, not by the first capture
  const app = given.app ?? nearestApp();
  return Object.freeze({
    dir: resolve(given.dir ?? (env['CKPT_DIR'] || 'ckpt')),
    app: { name: app.name, version: app.version ?? '' },
    ...parseEvery(given.every),
    signals: given.signals,
    requests: given.requests,
    restart: restartChoice(given.restart, env['CKPT_RESTART']),
    keep: given.keep,
    handlerTimeoutMs: duration(given.handlerTimeout, 'handlerTimeout', '60s'),
    quiesceTimeoutMs: duration(given.quiesceTimeout, 'quiesceTimeout', '10s'),
    lockWaitMs: duration(given.lockWait, 'lockWait', '90s'),
    memoryBudget: parseBytes(given.memoryBudget ?? '1GiB', 'openCheckpointer: memoryBudget'),
    compression: availableCompression(given.compression),
    accelerator: given.accelerator,
    takeOver: env['CKPT_TAKE_OVER'] === '1',
    allowUnclaimed: given.allowUnclaimed,
    planTo: env[PLAN_VARIABLE] || undefined,
    roots: (given.roots ?? ['.']).map((root) => resolve(root)),
    mappedRoots: parseRootsVariable(env[ROOTS_VARIABLE]),
    files: given.files,
    keepTails: given.keepTails,
    stdio: given.stdio,
    openFiles: given.openFiles,
    onMemberError: given.onMemberError,
    logger: unfailing(given.logger ?? console),
    ports: given.ports,
  });
}

function availableCompression(compression: Compression): Compression {
  if (compression === 'auto' || compression === 'none' || isAvailable(compression)) return compression;
  throw new TypeError(
    `openCheckpointer: compression: '${compression}' needs Node.js 22.15 or newer, this is ${process.versions.node}; take 'auto' or 'brotli'`,
  );
}

/** A logger that throws must not stop a checkpoint halfway. */
function unfailing(logger: Logger): Logger {
  const guarded = (level: 'warn' | 'error') => (message: string) => {
    try {
      logger[level](message);
    } catch {
      // There is nobody left to tell.
    }
  };
  return { warn: guarded('warn'), error: guarded('error') };
}

function describeIssue(issue: z.core.$ZodIssue, options: unknown): string {
  if (issue.code === 'unrecognized_keys') {
    const unknown = issue.keys.map((key) => `'${[...issue.path, key].join('.')}'`).join(', ');
    return `there is no option ${unknown}; options are ${Object.keys(SCHEMA.shape).join(', ')}`;
  }
  const found = issue.path.reduce((value: unknown, key) => Object(value)[key], options);
  const shown = inspect(found, { depth: 1, breakLength: Number.POSITIVE_INFINITY });
  return `${issue.path.join('.') || 'options'}: ${issue.message}, got ${shown}`;
}

function restartChoice(option: 'auto' | 'must' | 'never' | { image: string }, fromEnv: string | undefined): RestartChoice {
  const [source, wanted] = fromEnv !== undefined && fromEnv !== '' ? (['CKPT_RESTART', fromEnv] as const) : (['restart', option] as const);
  if (wanted === 'auto' || wanted === 'must' || wanted === 'never') return { mode: wanted };
  const image = typeof wanted === 'string' ? wanted : wanted.image;
  if (image === 'latest') return { mode: 'must' };
  if (isImageName(image) || isId(image)) return { mode: 'named', image };
  throw new TypeError(
    `openCheckpointer: ${source}: expected auto, must, never, latest or the name or id of an image, got ${JSON.stringify(image)}`,
  );
}
