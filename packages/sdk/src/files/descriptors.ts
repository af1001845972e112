/**
 * The descriptors of this process, as the kernel tells them (Linux: /proc/self/fd and fdinfo). They belong to the process,
 * not to a thread: the helper thread sees the same.
 *
 * Invariants
 * 1. Nothing here changes anything, and what was closed meanwhile is left out.
 * 2. Not by the file-system port: this is the kernel's account of the process, no file of the program or the store.
 */
// biome-ignore lint/style/noRestrictedImports: invariant 2
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { devNull } from 'node:os';
import type { FileIdentity } from './contract.js';

const FOLDER = '/proc/self/fd';

/** What a descriptor is on. `own`: what the kernel makes for event loops and the like, and devices. */
export type DescriptorKind = 'file' | 'folder' | 'socket' | 'pipe' | 'own';

export interface DescriptorLink {
  readonly fd: number;
  /** A path, or `socket:[123]`, `pipe:[123]`, `anon_inode:[eventpoll]`. */
  readonly target: string;
}

export interface Descriptor extends DescriptorLink {
  readonly kind: DescriptorKind;
  readonly identity: FileIdentity;
  readonly size: number;
  readonly mode: number;
  /** 0 for a file that was deleted while it is open. */
  readonly links: number;
  /** Undefined where no number can hold it: a folder's is the file system's own. */
  readonly position: number | undefined;
  /** O_* flags. */
  readonly flags: number;
}

/** O_ACCMODE, O_APPEND and O_CLOEXEC where /proc tells them: numbers of Linux, which Node has no names for. */
const ACCESS = 0o3;
const APPEND = 0o2000;
const CLOSE_ON_EXEC = 0o2000000;

export function canWrite({ flags }: Pick<Descriptor, 'flags'>): boolean {
  return (flags & ACCESS) !== 0;
}

export function appends({ flags }: Pick<Descriptor, 'flags'>): boolean {
  return (flags & APPEND) !== 0;
}

/** Node opens everything with close-on-exec; what has not got it was given by whoever started the program. */
export function isInherited({ flags }: Pick<Descriptor, 'flags'>): boolean {
  return (flags & CLOSE_ON_EXEC) === 0;
}

/**
 * The numbers of all open descriptors, in some 50 µs, without a look at each; undefined where the system does not tell. The
 * look itself takes the lowest free number, which would be counted: the next one to be opened gets the same.
 */
export function openNumbers(): number[] | undefined {
  const numbers = listedNumbers();
  try {
    const lowest = openSync(devNull, 'r');
    closeSync(lowest);
    return numbers?.filter((number) => number !== lowest);
  } catch {
    return undefined; // another thread took the last one
  }
}

function listedNumbers(): number[] | undefined {
  try {
    return readdirSync(FOLDER).map(Number);
  } catch {
    return undefined;
  }
}

/** Every descriptor and what it is on; undefined where the system does not tell. */
export function listDescriptors(): DescriptorLink[] | undefined {
  return listedNumbers()?.flatMap((fd) => linkOf(fd) ?? []);
}

/** What a descriptor is on; undefined when it is not open, or the system does not tell. */
export function linkOf(fd: number): DescriptorLink | undefined {
  try {
    return { fd, target: readlinkSync(`${FOLDER}/${fd}`) };
  } catch {
    return undefined;
  }
}

/** A folder as the kernel calls it in the targets of descriptors. */
export function realFolder(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return path;
  }
}

/**
 * All there is to know of a descriptor; undefined when it was closed meanwhile.
 * @param known what was found of that number before: it still holds of what has no path and no position
 */
export function describeDescriptor({ fd, target }: DescriptorLink, known?: Descriptor): Descriptor | undefined {
  // The kernel's name of it holds its inode, or says that there is nothing to it.
  if (known?.target === target && !target.startsWith('/')) return known;
  try {
    const stat = fstatSync(fd);
    const kind = kindOf(target, stat);
    // Nobody asks what a device or the kernel's own is open for, and each look costs as much as all else here.
    const info = kind === 'own' ? '' : readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
    const position = Number(/^pos:\s*(\d+)/m.exec(info)?.[1] ?? Number.NaN);
    return {
      fd,
      target,
      kind,
      identity: { dev: stat.dev, ino: stat.ino },
      size: stat.size,
      mode: stat.mode & 0o7777,
      links: stat.nlink,
      position: Number.isSafeInteger(position) ? position : undefined,
      flags: Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? '0', 8),
    };
  } catch {
    return undefined;
  }
}

function kindOf(
  target: string,
  stat: { isFile(): boolean; isDirectory(): boolean; isFIFO(): boolean; isSocket(): boolean },
): DescriptorKind {
  if (stat.isSocket()) return 'socket';
  if (stat.isFIFO()) return 'pipe';
  // Memory that has a descriptor is memory all the same; /proc is the kernel's.
  if (/^\/(?:memfd:|proc\/)/.test(target) || !target.startsWith('/')) return 'own';
  if (stat.isDirectory()) return 'folder';
  return stat.isFile() ? 'file' : 'own';
}
