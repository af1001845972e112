/**
 * Looking at a path before anything is done to it, and opening it so that what was looked at is what is opened.
 *
 * Invariants
 * 1. Only a regular file is opened, and never through a symbolic link at the path itself. What is written to has one link.
 * 2. A path that the program did not register lies below one of its roots, has no detours, and passes no symbolic link:
 *    its real path is itself. That is asked *after* the open, together with the inode that lies there, so that a folder
 *    swapped in between is noticed whenever it happens.
 * 3. A pipe or a device is found out before it is opened; one that is swapped in then does not block.
 */
import { constants } from 'node:fs';
import { isAbsolute, join, normalize, relative, resolve, sep } from 'node:path';
import type { FileStat, FileSystem, OpenFile } from '../base/ports.js';
import { kindOf } from '../store/context.js';
import { NO_FOLLOW } from '../store/durable.js';
import { ifPresent, quietly } from '../store/failure.js';
import { type FileAttempt, fileError, onFile } from './failure.js';

/** Who vouches for the path: the program, which registered it, or nobody. */
export type Trust = 'registered' | 'image-only';

export interface Place {
  readonly name?: string | undefined;
  readonly path: string;
  readonly trust: Trust;
}

export interface Inspected {
  readonly file: OpenFile;
  readonly stat: FileStat;
}

type Inspector = { readonly fileSystem: FileSystem; readonly roots: readonly string[] };

const NO_BLOCK: number = constants.O_NONBLOCK ?? 0;

/** What lies at a path: a regular file, or nothing. @throws CheckpointError ERR_CKPT_FILE_UNSAFE for anything else */
export async function look(context: Inspector, place: Place, writing: boolean): Promise<FileStat | undefined> {
  const attempt = attemptOn('use', place);
  const path = await safePath(context, place);
  const stat = await onFile(attempt, () => ifPresent(() => context.fileSystem.lstat(path)));
  if (stat !== undefined) assertRegular(stat, attempt, writing);
  return stat;
}

/** Opens what lies at a path (invariants 1, 2). @returns undefined when nothing does */
export async function openInspected(context: Inspector, place: Place, writing: boolean): Promise<Inspected | undefined> {
  const attempt = attemptOn('open', place);
  const { fileSystem } = context;
  const path = await safePath(context, place);
  if ((await look(context, place, writing)) === undefined) return undefined;
  const flags = (writing ? constants.O_RDWR : constants.O_RDONLY) | NO_FOLLOW | NO_BLOCK;
  const file = await onFile(attempt, () => ifPresent(() => fileSystem.open(path, flags)));
  if (file === undefined) return undefined;
  try {
    const stat = await onFile(attempt, () => file.stat());
    assertRegular(stat, attempt, writing);
    await assertStillThere(fileSystem, path, stat, place);
    return { file, stat };
  } catch (cause) {
    await quietly(() => file.close());
    throw cause;
  }
}

/** Opens, lets `use` work with the file, and closes it. @returns undefined when nothing lies there */
export async function withInspected<T>(
  context: Inspector,
  place: Place,
  writing: boolean,
  use: (inspected: Inspected) => Promise<T>,
): Promise<T | undefined> {
  const inspected = await openInspected(context, place, writing);
  if (inspected === undefined) return undefined;
  try {
    return await onFile(attemptOn('use', place), () => use(inspected));
  } finally {
    await quietly(() => inspected.file.close());
  }
}

/** The path to work with: the given one, or for an unregistered one its place below a root, that root resolved. */
async function safePath({ fileSystem, roots }: Inspector, place: Place): Promise<string> {
  if (place.trust === 'registered') return place.path;
  const { path } = place;
  if (isAbsolute(path) && normalize(path) === path && !path.includes('\0')) {
    for (const root of roots) {
      const real = await ifPresent(() => fileSystem.realpath(root)).catch(() => undefined);
      if (real === undefined) continue;
      if (isBelow(real, path)) return path;
      if (isBelow(resolve(root), path)) return join(real, relative(resolve(root), path));
    }
  }
  throw fileError('ERR_CKPT_FILE_UNSAFE', attemptOn('use', place), {
    expected: `a path below one of the program's roots (${roots.join(', ') || 'none'})`,
    found: `${JSON.stringify(path)}, which only the image or the store names`,
    remedy: 'declare the file before start(), or add its folder to the option roots',
  });
}

export function isBelow(folder: string, path: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function assertRegular(stat: FileStat, attempt: FileAttempt, writing: boolean): void {
  // Reading through one of several names of a file harms nobody; package managers make such files.
  if (stat.isFile() && (!writing || stat.nlink === 1)) return;
  throw fileError('ERR_CKPT_FILE_UNSAFE', attempt, {
    expected: writing ? 'a regular file with one link' : 'a regular file',
    found: stat.isFile() ? `a file with ${stat.nlink} links` : kindOf(stat),
    remedy: stat.isSymbolicLink() ? 'declare the path that it leads to' : 'put a file of its own there, or declare another path',
  });
}

async function assertStillThere(fileSystem: FileSystem, path: string, opened: FileStat, place: Place): Promise<void> {
  const attempt = attemptOn('open', place);
  const there = await onFile(attempt, () => ifPresent(() => fileSystem.lstat(path)));
  const real = place.trust === 'registered' ? path : await onFile(attempt, () => ifPresent(() => fileSystem.realpath(path)));
  if (there?.ino === opened.ino && there.dev === opened.dev && real === path) return;
  throw fileError('ERR_CKPT_FILE_UNSAFE', attempt, {
    expected: 'the file that was opened to lie there, through no symbolic link',
    found: real === undefined || there === undefined ? 'nothing' : real === path ? 'another file' : `that it leads to ${real}`,
    remedy: 'see who changes this folder; nothing was changed by this start',
  });
}

function attemptOn(operation: string, { name, path }: Place): FileAttempt {
  return { operation, name, path, phase: 'plan' };
}
