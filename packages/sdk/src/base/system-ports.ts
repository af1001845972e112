/**
 * The ports of a real machine, and the way a thread finds the ports its program was given.
 *
 * Invariants
 * 1. Timers never keep the process alive unless asked to.
 * 2. A timer longer than setTimeout's limit is chained, never shortened.
 * 3. What is done for each of thousands of files goes by descriptors and callbacks: half of what promises and handles cost. A
 *    descriptor is closed once; after that its number may be another file's.
 */
import * as files from 'node:fs';
import { constants, promises as fs, type PathLike, type Stats, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { Clock, FileSystem, OpenFile, Ports, Timer } from './ports.js';

const LONGEST_TIMEOUT = 2 ** 31 - 1;

function open(path: string, flags: number, mode?: number): Promise<OpenFile> {
  return new Promise((resolve, reject) => {
    files.open(path, flags, mode, (error, fd) => (error === null ? resolve(openedFile(fd)) : reject(error)));
  });
}

function closeFile(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    files.close(fd, (error) => (error ? reject(error) : resolve()));
  });
}

/** The file of a descriptor, which it closes once. */
export function openedFile(fd: number, close: (fd: number) => Promise<void> = closeFile): OpenFile {
  let closed: Promise<void> | undefined;
  const use = <T>(begin: (done: (error: Error | null, result?: T) => void) => void): Promise<T> =>
    new Promise((resolve, reject) => {
      // Invariant 3.
      if (closed !== undefined) reject(Object.assign(new Error('EBADF: the file is closed'), { code: 'EBADF' }));
      // What has no result is asked for as void.
      else begin((error, result) => (error === null ? resolve(result as T) : reject(error)));
    });
  return {
    read: (target, offset, length, position) => use((done) => files.read(fd, target, offset, length, position, done)),
    write: (source, offset, length, position) => use((done) => files.write(fd, source, offset, length, position, done)),
    writeSync: (source, offset, length, position) => writeSync(fd, source, offset, length, position),
    truncate: (length) => use<void>((done) => files.ftruncate(fd, length, done)),
    sync: () => use<void>((done) => files.fsync(fd, done)),
    stat: () => use<Stats>((done) => files.fstat(fd, done)),
    close: () => {
      closed ??= close(fd);
      return closed;
    },
  };
}

function lstat(path: PathLike): Promise<Stats> {
  return new Promise((resolve, reject) => {
    files.lstat(path, (error, stat) => (error === null ? resolve(stat) : reject(error)));
  });
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.open(path, constants.O_RDONLY | (constants.O_DIRECTORY ?? 0));
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export const systemFileSystem: FileSystem = {
  open,
  mkdir: async (path, mode) => {
    await fs.mkdir(path, { mode });
  },
  readdir: (path) => fs.readdir(path),
  lstat,
  realpath: (path) => fs.realpath(path),
  link: (existing, path) => fs.link(existing, path),
  rename: (from, to) => fs.rename(from, to),
  unlink: (path) => fs.unlink(path),
  rmdir: (path) => fs.rmdir(path),
  syncDirectory,
};

function timer(ms: number, fire: () => void): Timer {
  const end = performance.now() + ms;
  let held = false;
  let current: NodeJS.Timeout;
  const arm = (): void => {
    const left = end - performance.now();
    current = setTimeout(() => (left > LONGEST_TIMEOUT ? arm() : fire()), Math.min(Math.max(left, 0), LONGEST_TIMEOUT));
    if (!held) current.unref();
  };
  arm();
  return {
    cancel: () => clearTimeout(current),
    keepAlive: (on) => {
      held = on;
      if (on) current.ref();
      else current.unref();
    },
  };
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  timer,
};

const systemPorts: Ports = { fileSystem: systemFileSystem, clock: systemClock };

/**
 * The ports exported by a module (`fileSystem`, `clock`; either may be absent), or the system's own.
 * @param address file URL of the module; undefined for the system's ports
 */
export async function loadPorts(address: string | undefined): Promise<Ports> {
  if (address === undefined) return systemPorts;
  const module: Partial<Ports> = await import(address);
  return {
    ...systemPorts,
    ...(module.fileSystem ? { fileSystem: module.fileSystem } : {}),
    ...(module.clock ? { clock: module.clock } : {}),
  };
}
