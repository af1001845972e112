/**
 * The system's file system for a thread that has nothing else to do, and for tools that look at thousands of files: while `prompt`
 * is on, what takes microseconds is done at once, because going to a thread of the pool and back takes ten times as long.
 *
 * Invariants
 * 1. Syncs, deletions, and reads and writes of more than SMALL_BYTES, go to the pool in any case: they are what waits for a disk,
 *    and the thread's signs of life must go on meanwhile.
 * 2. Whoever watches the thread can tell a call that stands still from a thread that does: it is told of each.
 * 3. A descriptor is closed once, whichever way.
 */
import * as files from 'node:fs';
import type { FileSystem, OpenFile } from './ports.js';
import { openedFile, systemFileSystem } from './system-ports.js';

const SMALL_BYTES = 2 ** 16;

export interface CallWatcher {
  begin(): unknown;
  end(): unknown;
}

const UNWATCHED: CallWatcher = { begin: () => {}, end: () => {} };

export class PromptFileSystem implements FileSystem {
  prompt: boolean;
  readonly #watcher: CallWatcher;

  constructor(prompt: boolean, watcher: CallWatcher = UNWATCHED) {
    this.prompt = prompt;
    this.#watcher = watcher;
  }

  async open(path: string, flags: number, mode?: number): Promise<OpenFile> {
    if (!this.prompt) return systemFileSystem.open(path, flags, mode);
    return this.#file(this.#call(() => files.openSync(path, flags, mode)));
  }

  async mkdir(path: string, mode: number): Promise<void> {
    if (!this.prompt) return systemFileSystem.mkdir(path, mode);
    this.#call(() => files.mkdirSync(path, { mode }));
  }

  async readdir(path: string): Promise<string[]> {
    return this.prompt ? this.#call(() => files.readdirSync(path)) : systemFileSystem.readdir(path);
  }

  async lstat(path: string): ReturnType<FileSystem['lstat']> {
    return this.prompt ? this.#call(() => files.lstatSync(path)) : systemFileSystem.lstat(path);
  }

  async realpath(path: string): Promise<string> {
    return systemFileSystem.realpath(path);
  }

  async link(existing: string, path: string): Promise<void> {
    return this.prompt ? this.#call(() => files.linkSync(existing, path)) : systemFileSystem.link(existing, path);
  }

  async rename(from: string, to: string): Promise<void> {
    return this.prompt ? this.#call(() => files.renameSync(from, to)) : systemFileSystem.rename(from, to);
  }

  async unlink(path: string): Promise<void> {
    return systemFileSystem.unlink(path);
  }

  async rmdir(path: string): Promise<void> {
    return this.prompt ? this.#call(() => files.rmdirSync(path)) : systemFileSystem.rmdir(path);
  }

  async syncDirectory(path: string): Promise<void> {
    if (!this.prompt) return systemFileSystem.syncDirectory(path);
    const folder = await this.open(path, files.constants.O_RDONLY | (files.constants.O_DIRECTORY ?? 0));
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  #file(fd: number): OpenFile {
    let closed = false;
    const file = openedFile(fd, async () => {
      closed = true;
      this.#call(() => files.closeSync(fd));
    });
    const atOnce = (bytes = 0): boolean => this.prompt && !closed && bytes <= SMALL_BYTES;
    return {
      ...file,
      read: async (target, offset, length, position) =>
        atOnce(length)
          ? this.#call(() => files.readSync(fd, target, offset, length, position))
          : file.read(target, offset, length, position),
      write: async (source, offset, length, position) =>
        atOnce(length)
          ? this.#call(() => files.writeSync(fd, source, offset, length, position))
          : file.write(source, offset, length, position),
      stat: async () => (atOnce() ? this.#call(() => files.fstatSync(fd)) : file.stat()),
    };
  }

  #call<T>(call: () => T): T {
    this.#watcher.begin();
    try {
      return call();
    } finally {
      this.#watcher.end();
    }
  }
}
