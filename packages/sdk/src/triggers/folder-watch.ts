/**
 * Notices changes in one folder through chokidar.
 *
 * Invariants
 * 1. A watcher that fails (out of inotify watches or instances, for example) is given up with one warning; the caller polls.
 * 2. It never keeps the process alive.
 */
import { basename, resolve } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { messageOf } from '../base/errors.js';
import { REQUEST_KINDS } from './request-content.js';

export class FolderWatch {
  readonly #watcher: FSWatcher;
  #closing: Promise<void> | undefined;

  constructor(folder: string, onChange: () => void, warn: (message: string) => void) {
    this.#watcher = watch(folder, {
      depth: 0,
      ignoreInitial: true,
      persistent: false,
      followSymlinks: false,
      atomic: false,
      ignored: (path) => resolve(path) !== resolve(folder) && !REQUEST_KINDS.some((kind) => kind === basename(path)),
    });
    this.#watcher.on('add', onChange);
    this.#watcher.on('change', onChange);
    this.#watcher.on('error', (error) => {
      if (this.#closing !== undefined) return;
      warn(`watch ${folder}: ${messageOf(error)}; requests are found by polling alone`);
      void this.close();
    });
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#watcher.close();
    return this.#closing;
  }
}
