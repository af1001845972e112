/**
 * A Node stream that writes through the handle of a tracked file.
 *
 * Invariants
 * 1. The handle has every chunk when write() returns: what waited in the stream's own queue would be known to no capture,
 *    flush or close of the handle. Only the stream's callbacks, and so its `drain`, wait for the handle's back pressure.
 * 2. Ending the stream closes the handle; destroying it leaves the handle as it is.
 */
import { Writable } from 'node:stream';

/** The part of a handle that a stream needs. */
interface WritableHandle {
  write(data: Uint8Array): Promise<void> | undefined;
  close(): Promise<void>;
}

export function writeStreamOf(file: WritableHandle): Writable {
  return new HandleStream(file);
}

type Done = (error?: Error | null) => void;

class HandleStream extends Writable {
  readonly #file: WritableHandle;
  #pressure: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(file: WritableHandle) {
    super();
    this.#file = file;
  }

  override write(chunk: unknown, encoding?: BufferEncoding | Done, callback?: Done): boolean {
    if (this.writable && this.#failure === undefined) this.#hand(chunk, typeof encoding === 'string' ? encoding : 'utf8');
    // The stream itself refuses what is no chunk, and whatever comes after its end.
    return typeof encoding === 'function' ? super.write(chunk, encoding) : super.write(chunk, encoding ?? 'utf8', callback);
  }

  override end(chunk?: unknown, encoding?: BufferEncoding | (() => void), callback?: () => void): this {
    const done = [chunk, encoding, callback].find((given): given is () => void => typeof given === 'function');
    // Node's own end() would put the chunk past write().
    if (chunk !== undefined && chunk !== null && typeof chunk !== 'function')
      this.write(chunk, typeof encoding === 'string' ? encoding : undefined);
    return super.end(done);
  }

  override _write(_chunk: unknown, _encoding: BufferEncoding, done: Done): void {
    this.#taken(done);
  }

  override _writev(_chunks: unknown, done: Done): void {
    this.#taken(done);
  }

  override _final(done: Done): void {
    this.#file.close().then(() => done(), done);
  }

  /** Invariant 1. */
  #hand(chunk: unknown, encoding: BufferEncoding): void {
    const bytes = bytesOf(chunk, encoding);
    if (bytes === undefined) return;
    try {
      this.#pressure = this.#file.write(bytes);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    }
  }

  #taken(done: Done): void {
    if (this.#failure !== undefined) done(this.#failure);
    else if (this.#pressure === undefined) done();
    else this.#pressure.then(() => done(), done);
  }
}

/** Undefined for what is no chunk. */
function bytesOf(chunk: unknown, encoding: BufferEncoding): Uint8Array | undefined {
  if (typeof chunk === 'string') return Buffer.from(chunk, encoding);
  return ArrayBuffer.isView(chunk) ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength) : undefined;
}
