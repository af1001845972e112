/**
 * Ports for a program under test, loaded by its main and helper thread alike (`loadPorts`). Environment:
 *
 *   CKPT_FAULT        one fault or a list, as JSON: { "thread": "main" | "helper", "op": "fsync", "path": "images",
 *                     "nth": 3, "times": 1, "action": "kill-before" | "kill-after" | "stop-before" | "errno:EIO" |
 *                     "errno-after:EIO" | "short" }; without `thread` it is meant for both, each counting for itself
 *   CKPT_FAULT_FILE   file with the same; it is looked at before every operation, and when it has changed the faults in it take
 *                     the place of those before, counting anew
 *   CKPT_FAULT_LOG    file; a line is appended when a fault fires: thread, operation, path, action
 *   CKPT_FAULT_TRACE  file; a line is appended for every counted operation: thread, operation, path
 *
 * Invariants
 * 1. The log is written before the fault takes effect, so that it is there after a SIGKILL.
 */
import { appendFileSync, constants, existsSync, promises as fs, readFileSync, writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { Faults, faultyFileSystem } from './fault-file-system.mjs';

const thread = isMainThread ? 'main' : 'helper';

const nodeFileSystem = {
  open: async (path, flags, mode) => {
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
  },
  mkdir: (path, mode) => fs.mkdir(path, { mode }),
  readdir: (path) => fs.readdir(path),
  lstat: (path) => fs.lstat(path),
  realpath: (path) => fs.realpath(path),
  link: (existing, path) => fs.link(existing, path),
  rename: (from, to) => fs.rename(from, to),
  unlink: (path) => fs.unlink(path),
  rmdir: (path) => fs.rmdir(path),
  syncDirectory: async (path) => {
    const handle = await fs.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

function note(variable, line) {
  const file = process.env[variable];
  if (file) appendFileSync(file, `${line}\n`);
}

const meant = (text) => [JSON.parse(text || '[]')].flat().filter((fault) => (fault.thread ?? thread) === thread);

/** Follows CKPT_FAULT_FILE. */
class FollowingFaults extends Faults {
  #seen = '';

  next(operation) {
    const file = process.env.CKPT_FAULT_FILE;
    const text = file && existsSync(file) ? readFileSync(file, 'utf8') : '';
    if (text !== this.#seen) this.replace(meant(text));
    this.#seen = text;
    return super.next(operation);
  }
}

const faults = new FollowingFaults(meant(process.env.CKPT_FAULT), {
  onOperation: ({ name, path, to }) => note('CKPT_FAULT_TRACE', `${thread} ${name} ${to ?? path}`),
  onFired: (fault, { name, path, to }) => note('CKPT_FAULT_LOG', `${thread} ${name} ${to ?? path} ${fault.action}`),
});

export const fileSystem = faultyFileSystem(nodeFileSystem, faults);
