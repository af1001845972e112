/**
 * The tracked files of a member: every handle, what the source image recorded, and what goes into the next image.
 *
 * Invariants
 * 1. A name is declared once at a time; a closed file's name can be declared again.
 * 2. Recorded files that the program has not declared are carried into every image, as they were recorded, until it does.
 * 3. From a capture to `release` nothing is written to files that are changed in place.
 * 4. Files are opened by start(), later ones at once; a capture never meets a file that is being opened (`settled`).
 */
import { CheckpointError } from '../base/errors.js';
import type { AuditRequest } from './audit.js';
import type { CapturedFile, FileDeclaration, FileIdentity, FileOptions, TrackedFileRecord } from './contract.js';
import { declareFile, writes } from './declaration.js';
import type { OpenedFile } from './ends.js';
import { TrackedFile, type TrackedFileParts } from './tracked-file.js';

/** Opens a declared file: put back already when there is a record, by its baseline otherwise. */
export type OpenTracked = (declaration: FileDeclaration, record: TrackedFileRecord | undefined) => Promise<OpenedFile>;

/** What a capture takes of all files. */
export interface CapturedFiles {
  readonly open: readonly CapturedFile[];
  readonly carried: readonly TrackedFileRecord[];
  /** What else is open is compared with all this; absent: it is not looked at. */
  readonly audit?: AuditRequest;
}

const OVER = "the run has finished, and its files are as it left them; begin anew with restart: 'never'";

export class FileTable {
  readonly #member: string;
  readonly #parts: Omit<TrackedFileParts, 'closed'>;
  readonly #files = new Map<string, TrackedFile>();
  readonly #undeclared: Map<string, TrackedFileRecord>;
  #open: OpenTracked | undefined;
  #over = false;
  #secured = false;

  /**
   * @param records the files of the member in the source image
   */
  constructor(member: string, records: readonly TrackedFileRecord[], parts: Omit<TrackedFileParts, 'closed'>) {
    this.#member = member;
    this.#parts = parts;
    this.#undeclared = new Map(records.map((record) => [record.name, record]));
  }

  /** @throws TypeError; CheckpointError ERR_CKPT_EXISTS when another handle has the path, ERR_CKPT_FILE_UNSAFE (invariant 5) */
  declare(name: string, path: string, options: FileOptions): TrackedFile {
    const declaration = declareFile(name, path, options, this.#open !== undefined);
    this.#assertFree(declaration);
    const file = new TrackedFile(declaration, { ...this.#parts, closed: (closed) => this.#forget(closed) });
    this.#files.set(name, file);
    if (this.#over) file.stayClosed(OVER);
    else if (this.#open !== undefined) void file.begin(this.#openAlone(file, this.#open)).catch(() => {}); // told to whoever uses it
    return file;
  }

  /** What the source image recorded and the program has not opened. */
  get records(): readonly TrackedFileRecord[] {
    return [...this.#undeclared.values()];
  }

  get declarations(): readonly FileDeclaration[] {
    return [...this.#files.values()].map((file) => file.declaration);
  }

  /** The record of a file of the source image, which counts as declared from now on. */
  #take(name: string): TrackedFileRecord | undefined {
    const record = this.#undeclared.get(name);
    this.#undeclared.delete(name);
    return record;
  }

  /** Opens what was declared; everything is put back already. */
  async start(open: OpenTracked): Promise<void> {
    this.#open = open;
    for (const file of this.#files.values()) await file.begin(this.#openAlone(file, open));
  }

  /** A start from a finished image: files are neither touched nor usable. */
  stayClosed(): void {
    this.#over = true;
    for (const file of this.#files.values()) file.stayClosed(OVER);
  }

  /** Resolves when no file is being opened or closed; undefined when that is so already. */
  settled(): Promise<void> | undefined {
    const moving = [...this.#files.values()].filter((file) => !file.settled);
    if (moving.length === 0) return undefined;
    return Promise.all(moving.map((file) => file.whenSettled())).then(() => undefined);
  }

  capture(): CapturedFiles {
    const unsettled = [...this.#files.values()].find((file) => !file.settled);
    if (unsettled !== undefined) {
      throw new CheckpointError(
        'ERR_CKPT_FILE',
        `capturing file '${unsettled.name}': it is still being opened or closed; await flush() or close() before a synchronous loop, or let the event loop turn`,
        { path: unsettled.path, phase: 'capture' },
      );
    }
    const open = [...this.#files.values()].flatMap((file) => file.capture(this.#member) ?? []);
    this.#hold(true);
    return { open, carried: [...this.#undeclared.values()] };
  }

  /** What the last capture took is copied, or not wanted any more: files that are changed in place may be written on. */
  release(): void {
    this.#hold(false);
  }

  /** The image of the last capture was acknowledged. */
  committed(captured: CapturedFiles): void {
    for (const file of captured.open) this.#files.get(file.declaration.name)?.committed(file);
  }

  /** Resolves when all that was written so far is in the files; undefined where no file is open. */
  flush(): Promise<void> | undefined {
    const open = [...this.#files.values()].filter((file) => file.identity !== undefined);
    return open.length === 0 ? undefined : settledAll(open.map((file) => file.flush()));
  }

  /** All that counts is in an image: an exit has nothing left to write. */
  secured(): void {
    this.#secured = true;
  }

  /** For an exit: what is gathered goes to the files without a turn of the event loop. @throws what the first of them fails with */
  flushSync(): void {
    const failures: unknown[] = [];
    for (const file of this.#secured ? [] : this.#files.values()) {
      try {
        file.flushSync();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** The start failed: lets go of everything without writing what was gathered. */
  async abandon(): Promise<void> {
    this.#over = true;
    await Promise.allSettled([...this.#files.values()].map((file) => file.abandon()));
  }

  async close(): Promise<void> {
    this.#over = true;
    await settledAll([...this.#files.values()].map((file) => file.close()));
  }

  /** Two handles of one file would write over each other, whatever paths lead there. */
  async #openAlone(file: TrackedFile, open: OpenTracked): Promise<OpenedFile> {
    const { declaration } = file;
    const opened = await open(declaration, this.#take(file.name));
    const other = [...this.#files.values()].find((one) => one !== file && isSame(one.identity, opened.identity));
    if (other === undefined || !(writes(declaration.flags) || writes(other.declaration.flags))) return opened;
    await opened.file.close();
    throw new CheckpointError(
      'ERR_CKPT_EXISTS',
      `opening file '${file.name}' at ${file.path}: it is the file that '${other.name}' has open as ${other.path}; use one handle for one file`,
      { path: file.path, phase: 'register' },
    );
  }

  #hold(on: boolean): void {
    for (const file of this.#files.values()) file.hold(on);
  }

  #forget(file: TrackedFile): void {
    if (this.#files.get(file.name) === file) this.#files.delete(file.name);
  }

  #assertFree(declaration: FileDeclaration): void {
    for (const other of this.#files.values()) {
      if (other.name !== declaration.name && other.path !== declaration.path) continue;
      throw new CheckpointError(
        'ERR_CKPT_EXISTS',
        `file('${declaration.name}', '${declaration.given}'): '${other.name}' at ${other.path} is declared already; close it first, or use another name and path`,
        { path: declaration.path, phase: 'register' },
      );
    }
  }
}

function isSame(one: FileIdentity | undefined, other: FileIdentity): boolean {
  return one?.ino === other.ino && one.dev === other.dev;
}

/** Waits for all of them. @throws what the first that failed failed with */
async function settledAll(all: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(all)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
