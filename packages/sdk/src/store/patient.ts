/**
 * A file system that tries again when it is interrupted.
 *
 * Invariants
 * 1. Only EINTR and EAGAIN are tried again, a bounded number of times; every other error passes at once.
 * 2. A file is closed once: after an interrupted close the descriptor's state is unknown, so it is left alone.
 * 3. A *failed* fsync is never repeated (its error is reported once and then forgotten by the kernel). EINTR and
 *    EAGAIN are no such report.
 */
import { pause } from '../base/deadline.js';
import { systemCode } from '../base/errors.js';
import type { Clock, FileSystem, OpenFile, Ports } from '../base/ports.js';

const ATTEMPTS = 8;
const LONGEST_PAUSE_MS = 50;

async function patiently<T>(clock: Clock, step: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await step();
    } catch (cause) {
      const code = systemCode(cause);
      if ((code !== 'EINTR' && code !== 'EAGAIN') || attempt === ATTEMPTS) throw cause;
      await pause(clock, Math.min(2 ** attempt, LONGEST_PAUSE_MS));
    }
  }
}

async function closeOnce(file: OpenFile): Promise<void> {
  try {
    await file.close();
  } catch (cause) {
    if (systemCode(cause) !== 'EINTR') throw cause;
  }
}

function patientFile(file: OpenFile, clock: Clock): OpenFile {
  return {
    read: (target, offset, length, position) => patiently(clock, () => file.read(target, offset, length, position)),
    write: (source, offset, length, position) => patiently(clock, () => file.write(source, offset, length, position)),
    writeSync: (source, offset, length, position) => file.writeSync(source, offset, length, position),
    truncate: (length) => patiently(clock, () => file.truncate(length)),
    sync: () => patiently(clock, () => file.sync()),
    stat: () => patiently(clock, () => file.stat()),
    close: () => closeOnce(file),
  };
}

export function patientFileSystem({ fileSystem: fs, clock }: Ports): FileSystem {
  return {
    open: async (path, flags, mode) => patientFile(await patiently(clock, () => fs.open(path, flags, mode)), clock),
    mkdir: (path, mode) => patiently(clock, () => fs.mkdir(path, mode)),
    readdir: (path) => patiently(clock, () => fs.readdir(path)),
    lstat: (path) => patiently(clock, () => fs.lstat(path)),
    realpath: (path) => patiently(clock, () => fs.realpath(path)),
    link: (existing, path) => patiently(clock, () => fs.link(existing, path)),
    rename: (from, to) => patiently(clock, () => fs.rename(from, to)),
    unlink: (path) => patiently(clock, () => fs.unlink(path)),
    rmdir: (path) => patiently(clock, () => fs.rmdir(path)),
    syncDirectory: (path) => patiently(clock, () => fs.syncDirectory(path)),
  };
}
