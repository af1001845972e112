/**
 * The files that lie under the rules of the option `files`, whether somebody has them open or not: a library that opens its
 * file for each line is never seen with it.
 *
 * Invariants
 * 1. Only folders that a pattern with policy `append` can lead to are read, through no symbolic link, and never the store.
 * 2. Bounded: of too many entries nothing is told, instead of a part.
 * 3. The program may name a folder through a link: its paths and patterns are resolved once, because what the kernel and the
 *    folders tell are real paths.
 */
// biome-ignore lint/style/noRestrictedImports: the program stands meanwhile, and ports have no synchronous look
import { type Dirent, lstatSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join, posix, resolve } from 'node:path';
import { type FileRule, folderOf, type PolicyOf } from './rules.js';

/** Entries of folders that are read at the most. */
const MOST_ENTRIES = 20_000;

export interface Searched {
  readonly rules: readonly FileRule[];
  readonly policyOf: PolicyOf;
  readonly workingDirectory: string;
  /** Folder of the store. */
  readonly store: string;
  /** Entries that are read at the most; default MOST_ENTRIES. */
  readonly most?: number;
}

/** Regular files whose policy is `append`; undefined when there is too much to look through. Synchronous. */
export function findMatching({ rules, policyOf, workingDirectory, store, most = MOST_ENTRIES }: Searched): ReadonlySet<string> | undefined {
  const found = new Set<string>();
  let left = most;
  const look = (folder: string, depth: number): void => {
    if (depth < 1 || left < 0 || folder === store) return;
    for (const entry of entriesOf(folder)) {
      if (--left < 0) return;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) look(path, depth - 1);
      else if (entry.isFile() && policyOf(path) === 'append') found.add(path);
    }
  };
  for (const { pattern, policy } of rules) {
    if (policy !== 'append') continue;
    const { folder, depth } = folderOf(pattern);
    const path = resolve(workingDirectory, folder);
    if (realPath(path) !== path) continue;
    if (depth > 0) look(path, depth);
    else if (policyOf(path) === 'append' && lstatSync(path, { throwIfNoEntry: false })?.isFile() === true) found.add(path);
  }
  return left < 0 ? undefined : found;
}

/** The rules with the folders that they name as they are really called (invariant 3). */
export function realRules(rules: readonly FileRule[], workingDirectory: string): FileRule[] {
  return rules.map(({ pattern, policy }) => {
    const { folder, depth } = folderOf(pattern);
    const named = resolve(workingDirectory, folder);
    const real = depth > 0 ? realPlace(named) : realFile(named);
    if (real === named) return { pattern, policy };
    const rest = depth > 0 ? `/${posix.normalize(pattern).slice(folder === '.' ? 0 : folder.length + 1)}` : '';
    return { pattern: asPattern(real) + rest, policy };
  });
}

/** Where a file really lies, there or not; the file itself may not be a link. */
export function realFile(path: string): string {
  return join(realPlace(dirname(path)), basename(path));
}

/** As far as it is there. */
function realPlace(path: string): string {
  return realPath(path) ?? (dirname(path) === path ? path : join(realPlace(dirname(path)), basename(path)));
}

function asPattern(path: string): string {
  return path.replaceAll(/[\\*?[\]{}]/gu, '\\$&');
}

/** A folder that is not there, or not to be read, holds nothing that the program could write. */
function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
