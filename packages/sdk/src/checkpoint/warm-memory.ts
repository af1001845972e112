/**
 * Memory for copies of large buffers: windows that begin at a page, and in the helper thread their first touch, which is what
 * takes long.
 *
 * Invariants
 * 1. Only what was touched from beginning to end is handed out.
 * 2. Whatever else the thread has to do comes first: it turns to it after each slice, and gives up once there is a job.
 * 3. Without memory for it there is none: whether that is an error, the capture finds out.
 */

/** One typed array spans at most 4 GiB on some versions of Node. */
const WINDOW = 2 ** 30;
const SLICE = 2 ** 23;
const STEP = 4096;

export function newWindows(length: number): ArrayBuffer[] {
  const memory: ArrayBuffer[] = [];
  for (let at = 0; at < length; at += WINDOW) {
    const size = Math.min(WINDOW, length - at);
    // Resizable memory begins at a page, as direct writing wants it.
    memory.push(new ArrayBuffer(size, { maxByteLength: size }));
  }
  return memory;
}

function windowsIfAny(length: number): ArrayBuffer[] | undefined {
  try {
    return newWindows(length);
  } catch {
    return undefined;
  }
}

export class WarmMemory {
  #stopped = false;

  /** Of each length in turn. */
  async make(lengths: readonly number[], ready: (memory: ArrayBuffer[]) => void): Promise<void> {
    for (const length of lengths) {
      const windows = windowsIfAny(length);
      if (windows === undefined) return;
      for (const window of windows) await this.#touch(window);
      if (this.#stopped) return;
      ready(windows);
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  async #touch(window: ArrayBuffer): Promise<void> {
    const bytes = new Uint8Array(window);
    for (let at = 0; at < bytes.length && !this.#stopped; at += SLICE) {
      const end = Math.min(at + SLICE, bytes.length);
      for (let place = at; place < end; place += STEP) bytes[place] = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
