/**
 * Recorded paths that lie elsewhere now: `--root FROM=TO`, how the mapping reaches the program, and relative paths.
 *
 * Invariants
 * 1. Only whole path components are replaced; the first mapping that fits is taken, and no other after it.
 * 2. What a mapping leads to is as little trusted as the recorded path was: it must lie within the program's roots.
 */
import { isAbsolute, resolve, sep } from 'node:path';
import { z } from 'zod';
import type { TrackedFileRecord } from './contract.js';

/** Recorded paths below `from` are taken to lie below `to`. */
export interface Root {
  readonly from: string;
  readonly to: string;
}

/** The variable in which a restart hands its mappings to the program, as JSON. */
export const ROOTS_VARIABLE = 'CKPT_ROOTS';

const SCHEMA = z.array(z.strictObject({ from: z.string().min(1), to: z.string().min(1) }));

export function mapPath(path: string, roots: readonly Root[]): string {
  for (const { from, to } of roots) {
    const base = withoutSeparator(from);
    if (path === base) return to;
    if (isAbsolute(path) && path.startsWith(base + sep)) return withoutSeparator(to) + path.slice(base.length);
  }
  return path;
}

/** What tells where recorded files lie now. */
export interface Moved {
  readonly roots: readonly Root[];
  /** Working directory at the capture, and now. */
  readonly recorded: string;
  readonly now: string;
}

/** Where a recorded file lies that the program has not declared: by its mapping, else relative as it was given. */
export function locate({ path, given }: Pick<TrackedFileRecord, 'path' | 'given'>, { roots, recorded, now }: Moved): string {
  const mapped = mapPath(path, roots);
  const relative = !isAbsolute(given) && recorded !== '' && resolve(recorded, given) === path;
  return mapped === path && relative ? resolve(now, given) : mapped;
}

/** `/` becomes the empty text, so that what follows begins with the separator again. */
function withoutSeparator(path: string): string {
  return path.endsWith(sep) ? path.slice(0, -1) : path;
}

/** @throws TypeError when the variable is set and is not what a restart writes */
export function parseRootsVariable(text: string | undefined): readonly Root[] {
  if (text === undefined || text === '') return [];
  try {
    return SCHEMA.parse(JSON.parse(text));
  } catch {
    throw new TypeError(`openCheckpointer: ${ROOTS_VARIABLE}: expected JSON such as [{"from":"/old","to":"/new"}], got ${text}`);
  }
}
