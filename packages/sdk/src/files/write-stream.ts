/**
 * A Node stream that writes through the handle of a tracked file.
 *
 * Invariants
 * 1. The handle gathers: a write is done at once, or when the handle's back pressure has eased.
 * 2. Ending the stream closes the handle; destroying it leaves the handle as it is.
 */
import { Writable } from 'node:stream';

/** The part of a handle that a stream needs. */
interface WritableHandle {
  write(data: Uint8Array): Promise<void> | undefined;
  close(): Promise<void>;
}

export function writeStreamOf(file: WritableHandle): Writable {
  return new Writable({
    write: (chunk: Uint8Array, _encoding, done) => {
      try {
        const pressure = file.write(chunk);
        if (pressure === undefined) done();
        else pressure.then(() => done(), done);
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
    final: (done) => {
      file.close().then(() => done(), done);
    },
  });
}
