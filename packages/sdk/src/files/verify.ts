/**
 * Verifying a file against what was recorded of it: size, identity and the bytes before the end.
 *
 * Invariants
 * 1. A device number alone never refuses: it changes with a mount.
 * 2. In a copied store, or where the path is another one than was recorded, inodes say nothing; size and bytes decide.
 * 3. Every refusal says what was expected and what was found.
 */
import { dirname, join } from 'node:path';
import type { FileStat, FileSystem } from '../base/ports.js';
import { hashRange } from './check.js';
import type { FileIdentity, HashedRange } from './contract.js';
import { type FileAttempt, fileError } from './failure.js';
import type { Inspected, Place } from './inspect.js';
import type { Facts } from './plan-types.js';

/** What a file must still be. */
export interface Expected {
  readonly size: number;
  /** Undefined where inodes say nothing (invariant 2). */
  readonly identity: FileIdentity | undefined;
  /** Whether this run itself made the file that lies there now: undoing a removal makes a new inode. */
  readonly isOurs: (stat: FileStat) => boolean;
  readonly check: HashedRange;
  /** Who says so, for messages: `the image recorded`. */
  readonly by: string;
}

const OTHER_IMAGE = 'put the file back, or restart from another image; nothing was changed';
/** The most files of a folder that are looked at to find one that was renamed. */
const MOST_ENTRIES = 1_000;

export function attemptOn({ name, path }: Place): FileAttempt {
  return { operation: 'put back', name, path, phase: 'plan' };
}

export function missing(place: Place, { size, by }: Pick<Expected, 'size' | 'by'>): Error {
  return fileError('ERR_CKPT_FILE_MISSING', attemptOn(place), {
    expected: `${size} bytes, as ${by}`,
    found: 'no file',
    remedy: OTHER_IMAGE,
  });
}

/** A file that may have grown: at least as long, the same file, the same bytes before the end. */
export async function verifyGrown(
  fs: FileSystem,
  place: Place,
  { file, stat }: Inspected,
  expected: Expected,
  facts: Facts,
): Promise<void> {
  facts.beyond = Math.max(0, stat.size - expected.size);
  assertNotShorter(place, stat, expected);
  await assertIdentity(fs, place, stat, expected);
  facts.prefix = (await matches(file, expected.check)) ? 'matches' : 'differs';
  if (facts.prefix === 'differs') throw differs(place, expected);
}

export interface Unchanged extends Expected {
  /** Undefined where times say nothing: in a copy. */
  readonly mtimeMs: number | undefined;
}

/** A file that must be as it was; where all of it was hashed, that decides alone. */
export async function verifyUnchanged(
  fs: FileSystem,
  place: Place,
  inspected: Inspected,
  expected: Unchanged,
  facts: Facts,
): Promise<void> {
  const { file, stat } = inspected;
  facts.beyond = Math.max(0, stat.size - expected.size);
  assertNotShorter(place, stat, expected);
  const { size, check, by, mtimeMs } = expected;
  if (stat.size > size) {
    const found = `${stat.size} bytes`;
    throw fileError('ERR_CKPT_FILE_CHANGED', attemptOn(place), { expected: `${size} bytes, as ${by}`, found, remedy: OTHER_IMAGE });
  }
  const whole = check.from === 0 && check.to === size;
  if (!whole) await assertIdentity(fs, place, stat, expected);
  facts.prefix = (await matches(file, check)) ? 'matches' : 'differs';
  if (facts.prefix === 'differs') throw differs(place, expected);
  if (whole || mtimeMs === undefined || stat.mtimeMs === mtimeMs) return;
  throw fileError('ERR_CKPT_FILE_CHANGED', attemptOn(place), {
    expected: `that it was last changed at ${time(mtimeMs)}, as ${by}`,
    found: time(stat.mtimeMs),
    remedy: `${OTHER_IMAGE}. With verify: 'whole' its bytes decide, and not its time`,
  });
}

function assertNotShorter(place: Place, { size }: FileStat, expected: Expected): void {
  if (size >= expected.size) return;
  throw fileError('ERR_CKPT_FILE_MISSING', attemptOn(place), {
    expected: `at least ${expected.size} bytes, as ${expected.by}`,
    found: `${size} bytes`,
    remedy: OTHER_IMAGE,
  });
}

/** @throws CheckpointError ERR_CKPT_FILE_CHANGED when another file lies there, whose inode tells so (invariant 2) */
export async function assertIdentity(fs: FileSystem, place: Place, stat: FileStat, { identity, isOurs, by }: Expected): Promise<void> {
  if (identity === undefined || identity.ino === stat.ino || isOurs(stat)) return;
  const renamed = await findRenamed(fs, place.path, identity.ino);
  throw fileError('ERR_CKPT_FILE_CHANGED', attemptOn(place), {
    expected: `the file with inode ${identity.ino}, as ${by}`,
    found: `inode ${stat.ino}: it was replaced or rotated${renamed === undefined ? '' : `, and ${renamed} is the file that was recorded`}`,
    remedy: renamed === undefined ? OTHER_IMAGE : 'give it its name back; nothing was changed',
  });
}

async function matches(file: Inspected['file'], { from, to, hash }: HashedRange): Promise<boolean> {
  return (await hashRange(file, from, to)) === hash;
}

function differs(place: Place, { check: { from, to, hash }, by }: Expected): Error {
  return fileError('ERR_CKPT_FILE_CHANGED', attemptOn(place), {
    expected: `the bytes ${from} to ${to} with the hash ${hash.slice(0, 16)}…, as ${by}`,
    found: 'other bytes',
    remedy: OTHER_IMAGE,
  });
}

/** Only to say where the recorded file went; nothing is done to what is found. */
async function findRenamed(fs: FileSystem, path: string, ino: number): Promise<string | undefined> {
  try {
    for (const file of (await fs.readdir(dirname(path))).slice(0, MOST_ENTRIES)) {
      const other = join(dirname(path), file);
      if ((await fs.lstat(other)).ino === ino) return other;
    }
  } catch {
    // The refusal stands without it.
  }
  return undefined;
}

function time(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
