/**
 * A file system around another one that tells of every operation and can make one go wrong. Plain JavaScript, because a
 * program under test and its helper thread load it without a build.
 *
 * Invariants
 * 1. Every operation is a real one on real files, or the fault that stands in its place; nothing is pretended.
 * 2. Operations on heartbeats and on request files are not counted and never fail: how many there are depends on time.
 * 3. A fault that has fired says so (`onFired`), because an injection counts only if it happened.
 */

/** @param {string} path */
export function isCounted(path) {
  return !path.includes('.heartbeat') && !/[/\\]requests([/\\]|$)/.test(path);
}

/** Whether a fault is meant for this operation, the number of its occurrence aside. */
function isMeant(fault, operation) {
  if (fault.op !== undefined && fault.op !== operation.name) return false;
  const paths = [operation.path, operation.to ?? ''];
  if (fault.end !== undefined && !paths.some((path) => path.endsWith(fault.end))) return false;
  return fault.path === undefined || paths.some((path) => path.includes(fault.path));
}

function systemError(code, { name, path }) {
  return Object.assign(new Error(`${code}: injected, ${name} '${path}'`), { code, syscall: name, path });
}

const never = () => new Promise(() => {});

/** Decides for each operation whether it runs, fails, or ends the process. */
export class Faults {
  /** @param {{ onOperation?: (operation: object) => void, onFired?: (fault: object, operation: object) => void, onHalted?: () => void }} listeners */
  constructor(faults = [], listeners = {}) {
    this.replace(faults);
    this.listeners = listeners;
    this.halted = false;
  }

  /** Other faults from now on. */
  replace(faults) {
    this.pending = faults.map((fault) => ({ fault, seen: 0, fired: 0 }));
  }

  async around(operation, run) {
    if (this.halted) return never();
    if (!isCounted(operation.path)) return run();
    const fault = this.next(operation);
    if (fault === undefined) return this.perform(operation, run);
    const [action, code] = fault.action.split(':');
    switch (action) {
      case 'errno':
        // A close that fails has closed all the same.
        if (operation.name === 'close') await run();
        throw systemError(code, operation);
      case 'errno-after':
        this.tell(operation, await run());
        throw systemError(code, operation);
      case 'short':
        return this.tell(operation, await run(Math.max(1, operation.length >> 1)));
      case 'kill-before':
        return this.end('SIGKILL');
      case 'kill-after':
        // Some operations are expected to fail: a folder that is there, a mark that is not.
        await run().catch(() => {});
        return this.end('SIGKILL');
      case 'stop-before':
        process.kill(process.pid, 'SIGSTOP');
        // The kernel hands the signal to the main thread, and this one runs on until that is scheduled: it waits for it here.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
        return this.tell(operation, await run());
      case 'halt-before':
        return this.halt();
      case 'halt-after':
        // As above: what fails is done as well.
        await run().then(
          (result) => this.tell(operation, result),
          () => {},
        );
        return this.halt();
      default:
        throw new Error(`no such fault: ${fault.action}`);
    }
  }

  /** The same for an operation without a turn of the event loop. */
  aroundSync(operation, run) {
    if (!isCounted(operation.path)) return run();
    const fault = this.next(operation);
    const [action, code] = fault?.action.split(':') ?? [];
    if (action === 'errno') throw systemError(code, operation);
    if (action === 'kill-before') process.kill(process.pid, 'SIGKILL');
    const result = this.tell(operation, action === 'short' ? run(Math.max(1, operation.length >> 1)) : run());
    if (action === 'kill-after') process.kill(process.pid, 'SIGKILL');
    return result;
  }

  /** What really fails is told as well: occurrences are counted over all that was tried. */
  async perform(operation, run) {
    try {
      return this.tell(operation, await run());
    } catch (error) {
      this.listeners.onOperation?.({ ...operation, error });
      throw error;
    }
  }

  next(operation) {
    for (const entry of this.pending) {
      if (!isMeant(entry.fault, operation)) continue;
      entry.seen += 1;
      const first = entry.fault.nth ?? 1;
      if (entry.seen < first || entry.seen >= first + (entry.fault.times ?? 1)) continue;
      entry.fired += 1;
      this.listeners.onFired?.(entry.fault, operation);
      return entry.fault;
    }
    return undefined;
  }

  tell(operation, result) {
    this.listeners.onOperation?.({ ...operation, result });
    return result;
  }

  halt() {
    this.halted = true;
    this.listeners.onHalted?.();
    return never();
  }

  end(signal) {
    process.kill(process.pid, signal);
    return never();
  }
}

/** `abandon` is beside the port's own operations. */
export function faultyFileSystem(base, faults) {
  let handles = 0;
  const opened = new Set();
  const call = (name, path, run, more = {}) => faults.around({ name, path, ...more }, run);
  const file = (inner, path, handle) => ({
    read: (target, offset, length, position) =>
      call('read', path, (cut = length) => inner.read(target, offset, cut, position), { handle, length, position }),
    write: (source, offset, length, position) =>
      call('write', path, (cut = length) => inner.write(source, offset, cut, position), {
        handle,
        length,
        position,
        bytes: source.subarray(offset, offset + length),
      }),
    writeSync: (source, offset, length, position) =>
      faults.aroundSync(
        { name: 'write-sync', path, handle, length, position, bytes: source.subarray(offset, offset + length) },
        (cut = length) => inner.writeSync(source, offset, cut, position),
      ),
    truncate: (length) => call('truncate', path, () => inner.truncate(length), { handle, length }),
    sync: () => call('fsync', path, () => inner.sync(), { handle }),
    stat: () => call('stat', path, () => inner.stat(), { handle }),
    close: () => {
      const closing = () => {
        opened.delete(inner);
        return inner.close();
      };
      return call('close', path, closing, { handle });
    },
  });
  return {
    open: async (path, flags, mode) => {
      const handle = ++handles;
      const opening = async () => {
        const inner = await base.open(path, flags, mode);
        opened.add(inner);
        return inner;
      };
      return file(await call('open', path, opening, { handle, flags }), path, handle);
    },
    mkdir: (path, mode) => call('mkdir', path, () => base.mkdir(path, mode)),
    readdir: (path) => call('readdir', path, () => base.readdir(path)),
    lstat: (path) => call('lstat', path, () => base.lstat(path)),
    realpath: (path) => call('realpath', path, () => base.realpath(path)),
    link: (path, to) => call('link', path, () => base.link(path, to), { to }),
    rename: (path, to) => call('rename', path, () => base.rename(path, to), { to }),
    unlink: (path) => call('unlink', path, () => base.unlink(path)),
    rmdir: (path) => call('rmdir', path, () => base.rmdir(path)),
    syncDirectory: (path) => call('fsync-directory', path, () => base.syncDirectory(path)),
    /** What the kernel does when a process ends: closes what is still open. */
    abandon: async () => {
      for (const inner of opened) await inner.close().catch(() => {});
      opened.clear();
    },
  };
}
