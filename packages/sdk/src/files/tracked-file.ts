/**
 * The handle of a tracked file: what `ckpt.file()` returns.
 *
 *   declared → opening → open → closing → closed
 *
 * Invariants
 * 1. Nothing is read or written before start() has put the file back (ERR_CKPT_PHASE). What is asked of a file that is
 *    declared later waits until it is open.
 * 2. `position` is where the program is: behind what it wrote, or behind what it has gone on with.
 * 3. What was written is durable when close() resolves, because images made after it do not look after the file.
 */
import type { Writable } from 'node:stream';
import { CheckpointError } from '../base/errors.js';
import type { FileSystem } from '../base/ports.js';
import type { CapturedFile, FileDeclaration, FileIdentity } from './contract.js';
import { type Ends, type EndsParts, letGo, makeEnds, type OpenedFile, openEnds, positionOf } from './ends.js';
import { assertLength, type Reading } from './reading.js';
import { writeStreamOf } from './write-stream.js';

type State =
  | { readonly at: 'declared' }
  | ({ readonly at: 'opening' } & Ends)
  | ({ readonly at: 'open'; readonly opened: OpenedFile } & Ends)
  | { readonly at: 'closing' }
  | { readonly at: 'closed'; readonly why: string };

export interface TrackedFileParts extends Omit<EndsParts, 'notOpen'> {
  readonly fileSystem: FileSystem;
  /** Throws at the call once this life is fenced. */
  readonly assertAlive: () => void;
  readonly closed: (file: TrackedFile) => void;
}

const CLOSED = 'it was closed';

let handles = 0;

export class TrackedFile implements AsyncDisposable {
  /** @internal */
  readonly declaration: FileDeclaration;
  readonly #parts: TrackedFileParts;
  readonly #handle: number = ++handles;
  #state: State = { at: 'declared' };
  #ready: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #created = false;

  /** @internal made by the checkpointer */
  constructor(declaration: FileDeclaration, parts: TrackedFileParts) {
    this.declaration = declaration;
    this.#parts = parts;
  }

  get name(): string {
    return this.declaration.name;
  }

  /** Absolute path. */
  get path(): string {
    return this.declaration.path;
  }

  /** Byte offset of what comes next: behind what was written, or behind what the program has gone on with. */
  get position(): number {
    return positionOf(this.#open('position'));
  }

  /** Goes on elsewhere; for files that are read, or changed in place (flags 'r' and 'r+'). */
  set position(position: number) {
    const { writer, reader } = this.#open('position');
    if (reader === undefined)
      throw new TypeError(
        `file '${this.name}': with flags '${this.declaration.flags}' it is written at its end; its position cannot be set`,
      );
    if (!Number.isSafeInteger(position) || position < 0)
      throw new TypeError(`file '${this.name}': position: expected a whole number of bytes, got ${String(position)}`);
    writer?.seek(position);
    reader.seek(position);
  }

  /**
   * Writes at the position. Text is UTF-8, each by itself: half a surrogate pair becomes U+FFFD.
   * @returns a promise only under back pressure; await it when there is one
   * @throws CheckpointError ERR_CKPT_PHASE, ERR_CKPT_FENCED, and what an earlier write failed with: ERR_CKPT_IO, ERR_CKPT_NO_SPACE
   */
  write(data: string | Uint8Array): Promise<void> | undefined {
    const { writer, reader } = this.#usable('write()');
    if (writer === undefined) throw new TypeError(`file '${this.name}': write(): it is opened for reading (flags 'r')`);
    if (typeof data !== 'string' && !(data instanceof Uint8Array))
      throw new TypeError(`file '${this.name}': write(): expected text or a Uint8Array, got ${typeof data}`);
    this.#parts.assertAlive();
    const pressure = writer.write(data);
    reader?.seek(writer.position);
    return pressure;
  }

  /** Reads up to `length` bytes; fewer only at the end of the file, none behind it. */
  read(length: number): Promise<Buffer> {
    assertLength(length, `file '${this.name}': read(n)`);
    return this.#reader('read()').read(length);
  }

  /** The lines from the position on, without their ends (LF or CRLF), decoded as UTF-8. */
  lines(): AsyncIterableIterator<string, undefined> {
    return this.#reader('lines()').lines();
  }

  /** Pieces of `length` bytes from the position on; the last may be shorter. */
  chunks(length: number): AsyncIterableIterator<Buffer, undefined> {
    assertLength(length, `file '${this.name}': chunks(n)`);
    return this.#reader('chunks()').chunks(length);
  }

  /** A stream that writes through this handle; ending it closes the handle, destroying it does not. */
  createWriteStream(): Writable {
    return writeStreamOf(this);
  }

  /** Resolves when all that was written is in the file (not yet durable: the next checkpoint makes it so). */
  async flush(): Promise<void> {
    const { writer } = this.#usable('flush()');
    await this.#ready; // a file that is being opened has a position only then
    await writer?.flush();
  }

  /** Makes what was written durable and lets go. A later restart from an image made before finds the file as that image recorded it. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Lets go without writing what was gathered: the start is undone. */
  async abandon(): Promise<void> {
    await this.#ready.catch(() => {});
    const state = this.#state;
    this.#state = { at: 'closed', why: 'the start failed' };
    if (state.at !== 'open') return;
    state.writer?.fail(this.#wrongPhase('write()', 'the start failed'));
    await state.opened.file.close();
  }

  /** @internal It is not opened in this life. */
  stayClosed(why: string): void {
    this.#state = { at: 'closed', why };
  }

  /** @internal Begins to open: writes are gathered, reads wait, until `opening` resolves. */
  begin(opening: Promise<OpenedFile>): Promise<void> {
    const ready = opening.then((opened) => this.#opened(opened));
    this.#ready = ready;
    const notOpen = (): Error =>
      this.#wrongPhase('write()', 'it is being opened, and what was written meanwhile is too much; await flush()');
    const { writer, reader } = makeEnds(this.declaration, { ...this.#parts, notOpen }, ready);
    this.#state = { at: 'opening', writer, reader };
    ready.catch((error: unknown) => writer?.fail(error));
    return ready;
  }

  /** @internal False while it is being opened or closed: a capture waits until it is the one or the other. */
  get settled(): boolean {
    return this.#state.at !== 'opening' && this.#state.at !== 'closing';
  }

  /** @internal Resolves when it is settled; rejects when it could not be opened. */
  async whenSettled(): Promise<void> {
    if (this.#state.at === 'closing')
      await this.#closing?.catch(() => {}); // told to whoever closes it
    else await this.#ready;
  }

  /** @internal Undefined unless it is open. */
  get identity(): FileIdentity | undefined {
    return this.#state.at === 'open' ? this.#state.opened.identity : undefined;
  }

  /** @internal What an image needs to know; undefined when there is nothing to record. */
  capture(member: string): CapturedFile | undefined {
    const state = this.#state;
    if (state.at !== 'open' || this.declaration.policy === 'ignore') return undefined;
    const { writer, opened } = state;
    return {
      declaration: this.declaration,
      member,
      position: positionOf(state),
      size: Math.max(opened.size, writer?.end ?? 0),
      identity: opened.identity,
      pending: writer?.pending() ?? [],
      created: this.#created,
      handle: this.#handle,
    };
  }

  /** @internal An image that holds this capture was acknowledged: the file's directory entry is durable. */
  committed({ handle }: CapturedFile): void {
    if (handle === this.#handle) this.#created = false;
  }

  /** @internal The content of a file that is changed in place stays as captured while it is copied (`false` when it is). */
  hold(on: boolean): void {
    if (this.declaration.policy === 'contents' && this.declaration.flags === 'r+' && this.#state.at === 'open')
      this.#state.writer?.hold(on);
  }

  /** @internal For an exit: what is gathered goes to the file without a turn of the event loop. */
  flushSync(): void {
    if (this.#state.at === 'open') this.#state.writer?.flushSync();
  }

  #opened(opened: OpenedFile): void {
    if (this.#state.at !== 'opening') return;
    const { writer, reader } = this.#state;
    openEnds({ writer, reader }, opened);
    this.#created = opened.created;
    this.#state = { at: 'open', opened, writer, reader };
  }

  async #close(): Promise<void> {
    if (this.#state.at === 'opening') await this.#ready.catch(() => {});
    const state = this.#state;
    this.#state = { at: 'closing' };
    try {
      if (state.at === 'open') {
        const { opened, writer } = state;
        await letGo(this.declaration, { file: opened.file, writer, created: this.#created }, this.#parts.fileSystem);
      }
      // It could not be opened: what was written meanwhile is lost, which whoever wrote it is told here.
      if (state.at === 'opening' && state.writer?.isUsed === true) await state.writer.close();
    } finally {
      this.#state = { at: 'closed', why: CLOSED };
      this.#parts.closed(this);
    }
  }

  #usable(call: string): Ends {
    const state = this.#state;
    if (state.at === 'open' || state.at === 'opening') return state;
    const why = { declared: 'it is opened by start(); await ckpt.start() first', closing: CLOSED };
    throw this.#wrongPhase(call, state.at === 'closed' ? state.why : why[state.at]);
  }

  #open(call: string): Ends {
    const ends = this.#usable(call);
    if (this.#state.at === 'opening') throw this.#wrongPhase(call, 'it is being opened; await flush() first');
    return ends;
  }

  #reader(call: string): Reading {
    const { reader } = this.#usable(call);
    if (reader !== undefined) return reader;
    throw new TypeError(`file '${this.name}': ${call}: it is opened for writing (flags '${this.declaration.flags}')`);
  }

  #wrongPhase(call: string, why: string): CheckpointError {
    return new CheckpointError('ERR_CKPT_PHASE', `file '${this.name}': ${call}: ${why}`, { path: this.path });
  }
}
