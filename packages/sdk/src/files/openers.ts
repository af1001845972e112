/**
 * Where files were opened, for a program that was started with `node --import @ckpt/sdk/register`: the calls of node:fs
 * that open files are watched. Imports nothing of the package, so that it is there before user code.
 *
 * Invariants
 * 1. A watched call does what it did before; a failure to note something is passed over.
 * 2. One table per process, however many copies of this package are loaded; its size is bounded by the highest descriptor.
 */
// biome-ignore lint/style/noRestrictedImports: what is watched are the calls themselves
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface NotedOpener {
  readonly fd: number;
  readonly path: string;
  readonly place: string;
}

const SLOT: unique symbol = Symbol.for('ckpt.openers');
const FRAMES = 12;

/** Only this file writes the property, in this copy of the package or in another. */
const holder = globalThis as { [SLOT]?: Map<number, NotedOpener> };

/** What was noted of each descriptor number; empty when nobody watches. */
export function recordedOpeners(): readonly NotedOpener[] {
  return [...(holder[SLOT]?.values() ?? [])];
}

/** Watches from now on; in other threads nothing is watched. */
export function watchOpeners(): void {
  if (holder[SLOT] !== undefined) return;
  const noted = new Map<number, NotedOpener>();
  holder[SLOT] = noted;
  const note = (path: unknown, fd: number, place: string | undefined): void => {
    const text = typeof path === 'string' ? path : path instanceof URL ? fileURLToPath(path) : undefined;
    if (text !== undefined && place !== undefined) noted.set(fd, { fd, path: resolve(text), place });
  };
  watchSync(note);
  watchCallback(note);
  watchPromise(note);
  syncBuiltinESMExports();
}

type Note = (path: unknown, fd: number, place: string | undefined) => void;

function watchSync(note: Note): void {
  const { openSync } = fs;
  fs.openSync = function openSyncWatched(...args: Parameters<typeof openSync>): number {
    const fd = openSync(...args);
    quietly(() => note(args[0], fd, callerOf(openSyncWatched)));
    return fd;
  };
}

function watchCallback(note: Note): void {
  const { open } = fs;
  function openWatched(...args: unknown[]): void {
    const place = callerOf(openWatched);
    const done = args.at(-1);
    if (typeof done === 'function') {
      args[args.length - 1] = (error: unknown, fd: number) => {
        if (error === null) quietly(() => note(args[0], fd, place));
        done(error, fd);
      };
    }
    // The arguments are the caller's own, whatever they are.
    Reflect.apply(open, fs, args);
  }
  fs.open = Object.assign(openWatched, open) as typeof open; // the overloads differ in arguments only, which are passed on
}

function watchPromise(note: Note): void {
  const { open } = fs.promises;
  fs.promises.open = async function openWatched(...args: Parameters<typeof open>): ReturnType<typeof open> {
    const place = callerOf(openWatched);
    const handle = await open(...args);
    quietly(() => note(args[0], handle.fd, place));
    return handle;
  };
}

/** The first place outside Node that led to the call. */
function callerOf(watched: (...args: never[]) => unknown): string | undefined {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  const trace: { stack?: string } = {};
  Error.captureStackTrace(trace, watched);
  Error.stackTraceLimit = before;
  const line = trace.stack?.split('\n').find((frame) => /^\s+at /.test(frame) && !frame.includes('node:'));
  return line?.replace(/^\s+at (?:async )?/, '').replaceAll('file://', '');
}

function quietly(step: () => void): void {
  try {
    step();
  } catch {
    // Invariant 1.
  }
}
