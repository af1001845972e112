/**
 * The ports of a real machine, and the way a thread finds the ports its program was given.
 *
 * Invariants
 * 1. Timers never keep the process alive unless asked to.
 * 2. A timer longer than setTimeout's limit is chained, never shortened.
 */
import { constants, promises as fs, writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { Clock, FileSystem, OpenFile, Ports, Timer } from './ports.js';

const LONGEST_TIMEOUT = 2 ** 31 - 1;

async function open(path: string, flags: number, mode?: number): Promise<OpenFile> {
  const handle = await fs.open(path, flags, mode);
  return {
    read: async (target, offset, length, position) => (await handle.read(target, offset, length, position)).bytesRead,
    write: async (source, offset, length, position) => (await handle.write(source, offset, length, position)).bytesWritten,
    writeSync: (source, offset, length, position) => writeSync(handle.fd, source, offset, length, position),
    truncate: (length) => handle.truncate(length),
    sync: () => handle.sync(),
    stat: () => handle.stat(),
    close: () => handle.close(),
  };
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
  lstat: (path) => fs.lstat(path),
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
