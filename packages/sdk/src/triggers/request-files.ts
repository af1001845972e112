/**
 * Requests by file: `requests/checkpoint` and `requests/checkpoint-and-exit` of a store. Runs in the helper thread, so that a
 * program in a synchronous loop can be asked too.
 *
 * Invariants
 * 1. The folder is watched and, slowly, polled: a missed event or a broken watcher costs time, never a request.
 * 2. A request is told once per identity (inode, mtime, content) until it is settled; a rewritten file is a new request.
 * 3. What a writer may still be at is told, or refused, only when two looks at least SETTLE_MS apart found the same.
 * 4. Only the request that was settled is removed: the file is moved aside first, and put back when it is another.
 * 5. Nothing here rejects or throws after start(): troubles are warned of, each kind once per file.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { CheckpointError, messageOf, systemCode } from '../base/errors.js';
import type { Clock, FileSystem, Timer } from '../base/ports.js';
import { FolderWatch } from './folder-watch.js';
import { answerText, asidePath, removeOldAnswers, writeAnswer } from './request-answer.js';
import { isNonce, LONGEST_REQUEST, parseRequest, REQUEST_KINDS, type RequestContent, type RequestKind } from './request-content.js';
import { type ReadRequest, readRequestFile } from './request-reader.js';

/** One request, as plain data. */
export interface FoundRequest extends RequestContent {
  readonly kind: RequestKind;
  /** Identity of the file as it was found. */
  readonly key: string;
}

export interface RequestFilesOptions {
  /** The store's `requests` folder; made when it is missing. */
  readonly directory: string;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly onRequest: (request: FoundRequest) => void;
  readonly warn: (message: string) => void;
  /** Time between two polls, ms; 2,000 when absent. */
  readonly pollMs?: number;
  /** False: poll only. */
  readonly watch?: boolean;
}

const POLL_MS = 2_000;
const SETTLE_MS = 200;

/** What is known about the file of one kind. */
type Sight =
  | { readonly kind: 'absent' }
  | { readonly kind: 'unsettled'; readonly identity: string; readonly since: number }
  | { readonly kind: 'done'; readonly identity: string };

export class RequestFiles {
  readonly #options: RequestFilesOptions;
  readonly #folder: string;
  readonly #sights = new Map<RequestKind, Sight>();
  #pollMs: number;
  #life: 'new' | 'open' | 'closed' = 'new';
  #timer: Timer | undefined;
  #watch: FolderWatch | undefined;
  /** Everything that touches the folder, one after the other. */
  #work: Promise<void> = Promise.resolve();
  #lookQueued = false;
  readonly #warned = new Set<string>();

  constructor(options: RequestFilesOptions) {
    this.#options = options;
    this.#folder = options.directory;
    this.#pollMs = options.pollMs ?? POLL_MS;
  }

  /** Begins to watch. @throws CheckpointError ERR_CKPT_STORE_UNSAFE, ERR_CKPT_IO */
  async start(): Promise<void> {
    const { fileSystem, clock } = this.#options;
    try {
      await this.#makeFolder();
      await removeOldAnswers(fileSystem, clock, this.#folder);
    } catch (error) {
      if (error instanceof CheckpointError) throw error;
      throw new CheckpointError('ERR_CKPT_IO', `watch for requests: ${this.#folder} cannot be prepared: ${messageOf(error)}`, {
        path: this.#folder,
        phase: 'open',
        cause: error,
      });
    }
    if (this.#life !== 'new') return;
    this.#life = 'open';
    if (this.#options.watch !== false) this.#watch = new FolderWatch(this.#folder, () => void this.look(), this.#options.warn);
    void this.look();
  }

  /** Takes effect at once: synchronous loops want 50 ms. */
  setPollInterval(ms: number): void {
    this.#pollMs = ms;
    if (this.#timer !== undefined) this.#arm();
  }

  /** Looks now; resolves when everything found has been told. Looks that wait together become one. */
  look(): Promise<void> {
    if (this.#life !== 'open' || this.#lookQueued) return this.#work;
    this.#lookQueued = true;
    return this.#next(async () => {
      this.#lookQueued = false;
      if (this.#life !== 'open') return;
      await this.#makeFolder();
      for (const kind of REQUEST_KINDS) await this.#lookAt(kind);
      this.#arm();
    });
  }

  /** Removes the request's file and writes the answer when it had a nonce (`answerText`). Also after close(). */
  settle(found: FoundRequest, answer: string): Promise<void> {
    return this.#next(async () => {
      await this.#remove(found.kind, found.key);
      await this.#answer(found.nonce, answer);
    });
  }

  /** Idempotent. After it nothing is told any more. */
  async close(): Promise<void> {
    this.#life = 'closed';
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#watch?.close();
    await this.#work;
  }

  #next(job: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(job).catch((error: unknown) => {
      this.#warnOnce('folder', `requests: ${this.#folder} cannot be used: ${messageOf(error)}`);
      this.#arm();
    });
    return this.#work;
  }

  #arm(): void {
    this.#timer?.cancel();
    if (this.#life !== 'open') return;
    const unsettled = [...this.#sights.values()].some((sight) => sight.kind === 'unsettled');
    this.#timer = this.#options.clock.timer(unsettled ? Math.min(this.#pollMs, SETTLE_MS) : this.#pollMs, () => void this.look());
  }

  /** The folder may be missing (a new store, or removed by hand), but never a link to somewhere else. */
  async #makeFolder(): Promise<void> {
    const { fileSystem } = this.#options;
    try {
      if ((await fileSystem.lstat(this.#folder)).isDirectory()) return;
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
      return await fileSystem.mkdir(this.#folder, 0o700);
    }
    const message = `watch for requests: expected a directory at ${this.#folder}, found something else; remove it and start again`;
    throw new CheckpointError('ERR_CKPT_STORE_UNSAFE', message, { path: this.#folder, phase: 'open' });
  }

  async #lookAt(kind: RequestKind): Promise<void> {
    const read = await readRequestFile(this.#options.fileSystem, join(this.#folder, kind));
    const identity = identityOf(kind, read);
    if (identity === undefined) return void this.#sights.set(kind, { kind: 'absent' });
    const before = this.#sights.get(kind);
    if (before?.kind === 'done' && before.identity === identity) return;
    const now = this.#options.clock.monotonic();
    const since = before?.kind === 'unsettled' && before.identity === identity ? before.since : now;
    const parsed = read.kind === 'text' ? parseRequest(read.text) : { ok: false as const, problem: problemOf(read) };
    if (now - since < SETTLE_MS && !(parsed.ok && parsed.complete)) {
      return void this.#sights.set(kind, { kind: 'unsettled', identity, since });
    }
    this.#sights.set(kind, { kind: 'done', identity });
    if (!parsed.ok) return await this.#refuse(kind, identity, parsed.problem, parsed.nonce);
    if (this.#life === 'open') this.#options.onRequest({ kind, key: identity, ...parsed.content });
  }

  async #refuse(kind: RequestKind, identity: string, problem: string, nonce: string | undefined): Promise<void> {
    const path = join(this.#folder, kind);
    const message = `read the request ${path}: ${problem}; write it again`;
    this.#options.warn(message);
    await this.#remove(kind, identity);
    await this.#answer(
      nonce,
      answerText({ ok: false, error: new CheckpointError('ERR_CKPT_REQUEST', message, { path, phase: 'request' }) }),
    );
  }

  /** Removes the file if it still is the one with this identity (invariant 4). */
  async #remove(kind: RequestKind, identity: string): Promise<void> {
    const { fileSystem } = this.#options;
    const path = join(this.#folder, kind);
    const found = await readRequestFile(fileSystem, path);
    // A directory may hold something of value: it stays.
    if (found.kind === 'directory' || identityOf(kind, found) !== identity) return;
    const aside = asidePath(this.#folder, 'taken');
    try {
      await fileSystem.rename(path, aside);
      const moved = identityOf(kind, await readRequestFile(fileSystem, aside));
      if (moved !== identity) await this.#putBack(aside, path);
      await fileSystem.unlink(aside);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') this.#warnOnce(identity, `remove the request ${path}: ${messageOf(error)}; remove it by hand`);
    }
  }

  /** A link does not overwrite: a request that is newer still takes the place of this one. */
  async #putBack(aside: string, path: string): Promise<void> {
    try {
      await this.#options.fileSystem.link(aside, path);
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
  }

  async #answer(nonce: string | undefined, text: string): Promise<void> {
    if (!isNonce(nonce)) return;
    try {
      await writeAnswer(this.#options.fileSystem, this.#folder, nonce, text);
    } catch (error) {
      this.#options.warn(`answer the request ${nonce}: ${messageOf(error)}`);
    }
  }

  #warnOnce(subject: string, message: string): void {
    if (this.#warned.has(subject)) return;
    this.#warned.add(subject);
    this.#options.warn(message);
  }
}

/** Undefined when there is no file. */
function identityOf(kind: RequestKind, read: ReadRequest): string | undefined {
  if (read.kind === 'absent') return undefined;
  const content = read.kind === 'text' ? createHash('sha256').update(read.text).digest('hex') : read.kind;
  return `${kind}:${read.ino}:${read.mtimeMs}:${content}`;
}

function problemOf(read: ReadRequest): string {
  if (read.kind === 'too-large') return `expected at most ${LONGEST_REQUEST} bytes, found more`;
  if (read.kind === 'unreadable') return `it cannot be read: ${read.reason}`;
  return `expected a regular file, found ${read.kind === 'directory' ? 'a directory' : 'something else'}`;
}
