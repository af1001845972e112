/**
 * The program's side of the helper thread: hands over persist jobs, brings back what the thread has to say.
 *
 * Invariants
 * 1. The thread never keeps the process alive; whoever waits for it holds the event loop by other means.
 * 2. Every job ends: with the thread's answer, or with ERR_CKPT_THREAD when the thread is gone. A lost thread is
 *    replaced, because the heartbeat lives in it.
 * 3. Messages are handled in order, whether they arrive by the event loop or are fetched synchronously.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { unpackError } from '../base/error-transfer.js';
import { CheckpointError, messageOf } from '../base/errors.js';
import type { Clock } from '../base/ports.js';
import type { ImageRef } from '../image/contract.js';
import {
  type FoundRequest,
  type FromThread,
  isStaged,
  LIFE_ENDED,
  type PersistedImage,
  type PersistJob,
  type ReturnedShadow,
  SHARED,
  type ThreadData,
  type ToThread,
  type WantedPiece,
} from './thread-protocol.js';

export type PersistOutcome = { readonly ok: true; readonly image: PersistedImage } | { readonly ok: false; readonly error: Error };

export interface BackgroundEvents {
  readonly request: (request: FoundRequest) => void;
  readonly filesCopied: () => void;
  /** Shadows that a job was given are back; told before the job ends. */
  readonly returned: (shadows: readonly ReturnedShadow[]) => void;
  /** A piece of memory that the job under way has no copy of. */
  readonly wanted: (wanted: WantedPiece) => Uint8Array;
  /** Memory for the copy of a large buffer, touched already. */
  readonly warmed: (memory: ArrayBuffer[]) => void;
  readonly pruned: (images: readonly ImageRef[]) => void;
  readonly fenced: () => void;
  readonly warn: (message: string) => void;
}

/** What the program asks of its helper thread. */
export type HelperThread = Pick<Background, keyof Background>;

type ThreadState = 'running' | 'stopping' | 'stopped';

const REPLACEMENTS = 3;
/** No look at a folder takes nearly as long. */
const ANSWER_MS = 30_000;
const SILENCE_MS = 60_000;

export class Background {
  /** Read by safepoints: see SHARED. */
  readonly shared: Int32Array;
  readonly #data: Omit<ThreadData, 'port' | 'shared'>;
  readonly #events: BackgroundEvents;
  readonly #jobs = new Map<number, (outcome: PersistOutcome) => void>();
  #announceStopped: () => void = () => {};
  #worker!: Worker;
  #port!: MessagePort;
  #state: ThreadState = 'running';
  #replaced = 0;
  #pollMs: number | undefined;
  readonly #ticked: SharedArrayBuffer[] = [];
  /** The answer to the last `assert-newest`. */
  #newest: { readonly error: Error | undefined } | undefined;

  constructor(data: Omit<ThreadData, 'port' | 'shared'>, events: BackgroundEvents) {
    this.#data = data;
    this.#events = events;
    this.shared = new Int32Array(new SharedArrayBuffer(SHARED.LENGTH * Int32Array.BYTES_PER_ELEMENT));
    this.#launch();
  }

  /** `done` is called exactly once, in a turn of the event loop or from within `waitSync`. */
  persist(job: PersistJob, done: (outcome: PersistOutcome) => void): void {
    if (this.#state !== 'running') {
      done({ ok: false, error: threadGone('it had ended before') });
      return;
    }
    this.#jobs.set(job.number, done);
    try {
      this.#send({ type: 'persist', job }, transferable(job));
    } catch (error) {
      this.#finish(job.number, { ok: false, error: threadGone(messageOf(error)) });
    }
  }

  settle(request: FoundRequest, answer: string): void {
    this.#send({ type: 'settle', request, answer });
  }

  pollRequests(everyMs: number): void {
    this.#pollMs = everyMs;
    this.#send({ type: 'poll', everyMs });
  }

  /** Safepoints that poll the first slot of `memory` are told to let their event loop turn. */
  tick(memory: SharedArrayBuffer): void {
    this.#ticked.push(memory);
    this.#send({ type: 'tick', memory });
  }

  /** Asks for memory for the copies of the first capture. */
  warm(lengths: readonly number[]): void {
    if (lengths.length > 0) this.#send({ type: 'warm', lengths });
  }

  /** Handles what the thread has sent, without a turn of the event loop. */
  drain(): void {
    for (let next = receiveMessageOnPort(this.#port); next !== undefined; next = receiveMessageOnPort(this.#port)) {
      this.#handle(next.message as FromThread); // only helper-thread.ts holds the other end
    }
  }

  /**
   * Blocks until `settled` is true, handling messages meanwhile. The events of a worker need a turn of the event loop,
   * so a thread that ended, or shows no life for long, is noticed in the memory that it shares.
   */
  waitSync(settled: () => boolean): void {
    let life = Number.NaN;
    let since = performance.now();
    while (!settled()) {
      const seen = Atomics.load(this.shared, SHARED.MESSAGES);
      this.drain();
      if (settled()) return;
      const now = Atomics.load(this.shared, SHARED.LIFE);
      if (now !== life || Atomics.load(this.shared, SHARED.IN_CALL) !== 0) since = performance.now();
      life = now;
      if (now === LIFE_ENDED) this.#lost(this.#worker, 'it ended while the program waited for it');
      else if (performance.now() - since > SILENCE_MS) this.#lost(this.#worker, `it showed no life for ${SILENCE_MS / 1_000} s`);
      else Atomics.wait(this.shared, SHARED.MESSAGES, seen, 1_000);
    }
  }

  /**
   * Asks the thread whether this epoch is still the newest, without a turn of the event loop.
   * @throws CheckpointError ERR_CKPT_FENCED, ERR_CKPT_THREAD, or why it cannot be known
   */
  assertNewestSync(clock: Clock): void {
    if (this.#state === 'stopping' || this.#state === 'stopped') throw threadGone('it had ended before');
    const end = clock.monotonic() + ANSWER_MS;
    this.#newest = undefined;
    this.#send({ type: 'assert-newest' });
    this.waitSync(() => this.#newest !== undefined || clock.monotonic() > end);
    const { error } = this.#newest ?? { error: threadGone('it does not answer') };
    if (error !== undefined) throw error;
  }

  /** The same without a turn of the event loop, for a program that is about to exit. */
  stopSync(): void {
    if (this.#state === 'stopped') return;
    let stopped = false;
    this.#announceStopped = () => {
      stopped = true;
    };
    this.#state = 'stopping';
    this.#send({ type: 'stop' });
    this.waitSync(() => stopped);
    this.#state = 'stopped';
  }

  async stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'stopping';
    const stopped = new Promise<void>((resolve) => {
      this.#announceStopped = resolve;
    });
    this.#port.ref();
    this.#send({ type: 'stop' });
    await stopped;
    this.#state = 'stopped';
    this.#port.close();
    await this.#worker.terminate();
  }

  #send(message: ToThread, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer);
  }

  #launch(): void {
    Atomics.store(this.shared, SHARED.LIFE, 0);
    Atomics.store(this.shared, SHARED.IN_CALL, 0);
    const { port1, port2 } = new MessageChannel();
    const data: ThreadData = { ...this.#data, port: port2, shared: this.shared.buffer as SharedArrayBuffer }; // made so in the constructor
    const worker = new Worker(new URL('./helper-thread.js', import.meta.url), {
      workerData: data,
      transferList: [port2],
      name: 'ckpt',
      execArgv: [],
      stdout: false,
      stderr: false,
    });
    worker.unref();
    worker.on('error', (error) => this.#lost(worker, messageOf(error)));
    worker.on('exit', (code) => this.#lost(worker, `it exited with code ${code}`));
    port1.on('message', (message: FromThread) => this.#handle(message));
    port1.unref();
    this.#worker = worker;
    this.#port = port1;
    if (this.#pollMs !== undefined) this.pollRequests(this.#pollMs);
    for (const memory of this.#ticked) this.#send({ type: 'tick', memory });
  }

  #handle(message: FromThread): void {
    switch (message.type) {
      case 'persisted':
        this.#events.returned(message.shadows);
        this.#finish(message.number, message.image ? { ok: true, image: message.image } : { ok: false, error: failureOf(message) });
        return;
      case 'wanted':
        this.#send({ type: 'piece', piece: this.#events.wanted(message.wanted) });
        return;
      case 'request':
        this.#events.request(message.request);
        return;
      case 'files-copied':
        this.#events.filesCopied();
        return;
      case 'newest':
        this.#newest = { error: message.error === undefined ? undefined : unpackError(message.error) };
        return;
      case 'warmed':
        this.#events.warmed(message.memory);
        return;
      case 'pruned':
        this.#events.pruned(message.images);
        return;
      case 'fenced':
        this.#events.fenced();
        return;
      case 'warn':
        this.#events.warn(message.message);
        return;
      case 'stopped':
        this.#announceStopped();
        return;
    }
  }

  #finish(number: number, outcome: PersistOutcome): void {
    const done = this.#jobs.get(number);
    this.#jobs.delete(number);
    done?.(outcome);
  }

  #lost(worker: Worker, why: string): void {
    if (worker !== this.#worker || this.#state === 'stopped') return;
    this.drain();
    this.#announceStopped();
    if (this.#state === 'stopping') return;
    void worker.terminate(); // a slow thread must not go on beside its replacement
    this.#port.close();
    const replace = this.#replaced++ < REPLACEMENTS;
    if (replace) this.#launch();
    else this.#state = 'stopped';
    for (const number of [...this.#jobs.keys()]) this.#finish(number, { ok: false, error: threadGone(why) });
    this.#events.warn(`the helper thread ended: ${why}; ${replace ? 'it was started again' : 'no further images can be written'}`);
  }
}

function threadGone(why: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_THREAD',
    `persist: the helper thread is gone: ${why}; earlier images are untouched, the next checkpoint tries again`,
    {
      phase: 'persist',
    },
  );
}

function failureOf(message: Extract<FromThread, { type: 'persisted' }>): Error {
  return message.error === undefined ? threadGone('it answered without a result') : unpackError(message.error);
}

/** Structured state and shadows are handed over, not copied; other bulk state is shared memory already. */
function transferable(job: PersistJob): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const section of job.input.sections)
    for (const chunk of section.chunks) if (chunk.buffer instanceof ArrayBuffer) buffers.add(chunk.buffer);
  for (const buffer of job.input.buffers) if (isStaged(buffer)) for (const window of buffer.memory) buffers.add(window);
  return [...buffers];
}
