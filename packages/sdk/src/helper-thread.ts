/**
 * The helper thread of a program: sign of life, request files, hashing and writing images, the tick that tells
 * safepoints to let the event loop turn. It works on while the program computes.
 *
 * Invariants
 * 1. Jobs are done one after the other, in the order they came.
 * 2. A tick is only set while the program takes it; otherwise the thread slows down.
 * 3. The files of a small image are written without the pool of threads, so that it is durable soon.
 * 4. `stop` is answered after everything before it; `assert-newest` is answered at once, and a piece that was asked for is
 *    taken at once.
 */
import { type MessagePort, workerData } from 'node:worker_threads';
import { packError } from './base/error-transfer.js';
import { isCheckpointError, messageOf } from './base/errors.js';
import type { Ports } from './base/ports.js';
import { PromptFileSystem } from './base/prompt-file-system.js';
import { loadPorts } from './base/system-ports.js';
import { CompressionChoice } from './checkpoint/choose-compression.js';
import { Incremental } from './checkpoint/incremental.js';
import { isSmall, persist, pruneAfter } from './checkpoint/persist.js';
import {
  type FromThread,
  isStaged,
  LIFE_ENDED,
  type PersistJob,
  SHARED,
  type ThreadData,
  type ToThread,
} from './checkpoint/thread-protocol.js';
import { isUncopied, Wanting } from './checkpoint/uncopied.js';
import { WarmMemory } from './checkpoint/warm-memory.js';
import { Audit } from './files/audit.js';
import { Contents } from './files/contents.js';
import { MEMBER_SHARED, slotsOf } from './members/protocol.js';
import type { ImageWriter, Store } from './store/contract.js';
import { openDirectoryStore } from './store/directory.js';
import { layout } from './store/layout.js';
import { PreviousImages } from './store/previous-image.js';
import { RequestFiles } from './triggers/request-files.js';
import { Ticker } from './triggers/ticker.js';

/** Also the grain of `lostMs`, which is counted to the last sign of life. */
const BEAT_MS = 250;
const BEATS_PER_EPOCH_CHECK = 4;
const LIFE_MS = 1_000;

class HelperThread {
  readonly #port: MessagePort;
  readonly #shared: Int32Array;
  readonly #ports: Ports;
  /** Absent with ports of the program's own. */
  readonly #prompt: PromptFileSystem | undefined;
  readonly #store: Store;
  readonly #writer: ImageWriter;
  readonly #contents: Contents;
  readonly #previous: PreviousImages;
  readonly #incremental: Incremental;
  readonly #audit: Audit;
  readonly #compression: CompressionChoice;
  readonly #ticker: Ticker;
  readonly #memberTickers: Ticker[] = [];
  readonly #requests: RequestFiles | undefined;
  readonly #warm = new WarmMemory();
  readonly #wanting = new Wanting((wanted) => this.#send({ type: 'wanted', wanted }));
  #queue: Promise<void> = Promise.resolve();
  #beats = 0;
  #stopped = false;

  constructor(data: ThreadData, ports: Ports, prompt: PromptFileSystem | undefined) {
    this.#port = data.port;
    this.#shared = new Int32Array(data.shared);
    this.#ports = ports;
    this.#prompt = prompt;
    this.#store = openDirectoryStore(data.location, ports);
    this.#writer = this.#store.writer(data.epoch);
    this.#contents = new Contents(this.#store, ports.fileSystem);
    this.#previous = new PreviousImages(this.#store);
    this.#incremental = new Incremental(this.#store);
    this.#audit = new Audit(data.location, (message) => this.#send({ type: 'warn', message }));
    this.#compression = new CompressionChoice(data.compression, ports.clock);
    this.#ticker = new Ticker(ports.clock, this.#shared, SHARED.ATTENTION);
    if (data.requests) {
      this.#requests = new RequestFiles({
        directory: layout(data.location).requests,
        fileSystem: ports.fileSystem,
        clock: ports.clock,
        onRequest: (request) => this.#send({ type: 'request', request }),
        warn: (message) => this.#send({ type: 'warn', message }),
      });
    }
  }

  async run(): Promise<void> {
    this.#port.on('message', (message: ToThread) => {
      if (message.type === 'assert-newest') {
        void this.#assertNewest();
        return;
      }
      if (message.type === 'piece') {
        this.#wanting.got(message.piece);
        return;
      }
      if (message.type === 'warm') {
        void this.#warm.make(message.lengths, (memory) => this.#send({ type: 'warmed', memory }));
        return;
      }
      if (message.type === 'persist' || message.type === 'stop') this.#warm.stop();
      this.#queue = this.#queue
        .then(() => this.#take(message))
        .catch((error: unknown) => this.#send({ type: 'warn', message: messageOf(error) }));
    });
    this.#ticker.start();
    this.#scheduleBeat();
    this.#showLife();
    await this.#requests?.start().catch((error: unknown) => this.#send({ type: 'warn', message: messageOf(error) }));
  }

  /** Apart from the heartbeat, whose file operations may stand still for long. */
  #showLife(): void {
    process.once('exit', () => {
      Atomics.store(this.#shared, SHARED.LIFE, LIFE_ENDED);
      Atomics.store(this.#shared, SHARED.ATTENTION, 1); // nobody else raises it from now on
      Atomics.notify(this.#shared, SHARED.MESSAGES);
    });
    Atomics.add(this.#shared, SHARED.LIFE, 1);
    setInterval(() => Atomics.add(this.#shared, SHARED.LIFE, 1), LIFE_MS);
  }

  async #take(message: Exclude<ToThread, { type: 'assert-newest' | 'piece' | 'warm' }>): Promise<void> {
    switch (message.type) {
      case 'persist':
        return this.#persist(message.job).finally(() => this.#prompted(false));
      case 'settle':
        return this.#requests?.settle(message.request, message.answer);
      case 'poll':
        return this.#requests?.setPollInterval(message.everyMs);
      case 'tick':
        return this.#tick(message.memory);
      case 'stop':
        return this.#stop();
    }
  }

  #tick(memory: SharedArrayBuffer): void {
    const ticker = new Ticker(this.#ports.clock, slotsOf(memory), MEMBER_SHARED.ATTENTION);
    this.#memberTickers.push(ticker);
    ticker.start();
  }

  async #persist(job: PersistJob): Promise<void> {
    const { input } = job;
    const shadows = input.buffers.filter(isStaged).map(({ key, memory }) => ({ key, memory }));
    const buffers = input.buffers.map((buffer) => (isUncopied(buffer) ? this.#wanting.streamed(buffer) : buffer));
    this.#prompted(isSmall(job));
    try {
      const image = await persist(
        { ...job, input: { ...input, buffers } },
        {
          writer: this.#writer,
          ports: this.#ports,
          store: this.#store,
          contents: this.#contents,
          previous: this.#previous,
          incremental: this.#incremental,
          audit: this.#audit,
          compression: this.#compression,
          filesCopied: () => this.#send({ type: 'files-copied', number: job.number }),
        },
      );
      if (job.release) await this.#incremental.release();
      if (job.release) await this.#writer.release().catch((error: unknown) => this.#send({ type: 'warn', message: messageOf(error) }));
      this.#send({ type: 'persisted', number: job.number, image, shadows });
    } catch (error) {
      this.#send({ type: 'persisted', number: job.number, error: packError(error), shadows });
      return;
    }
    // The first of a life reads the manifests of all images.
    this.#prompted(true);
    const images = await pruneAfter(job, this.#store, (message) => this.#send({ type: 'warn', message }));
    if (images.length > 0) this.#send({ type: 'pruned', images });
  }

  #prompted(on: boolean): void {
    if (this.#prompt !== undefined) this.#prompt.prompt = on;
  }

  async #assertNewest(): Promise<void> {
    try {
      await this.#writer.assertNewest();
      this.#send({ type: 'newest' });
    } catch (error) {
      if (isCheckpointError(error, 'ERR_CKPT_FENCED')) this.#send({ type: 'fenced' });
      this.#send({ type: 'newest', error: packError(error) });
    }
  }

  #scheduleBeat(): void {
    this.#ports.clock.timer(BEAT_MS, () => void this.#beat()).keepAlive(true);
  }

  async #beat(): Promise<void> {
    if (this.#stopped) return;
    try {
      await this.#writer.beat();
      if (this.#beats++ % BEATS_PER_EPOCH_CHECK === 0) await this.#writer.assertNewest();
      this.#scheduleBeat();
    } catch (error) {
      // Fenced is final; anything else is tried again with the next beat and told by the next checkpoint.
      if (isCheckpointError(error, 'ERR_CKPT_FENCED')) this.#send({ type: 'fenced' });
      else this.#scheduleBeat();
    }
  }

  async #stop(): Promise<void> {
    this.#stopped = true;
    this.#ticker.stop();
    for (const ticker of this.#memberTickers) ticker.stop();
    await this.#requests?.close();
    await this.#incremental.release();
    this.#send({ type: 'stopped' });
  }

  #send(message: FromThread): void {
    if (message.type === 'fenced') Atomics.store(this.#shared, SHARED.FENCED, 1);
    this.#port.postMessage(message, handedOver(message));
    Atomics.store(this.#shared, SHARED.ATTENTION, 1);
    Atomics.add(this.#shared, SHARED.MESSAGES, 1);
    Atomics.notify(this.#shared, SHARED.MESSAGES);
  }
}

function handedOver(message: FromThread): readonly ArrayBuffer[] {
  if (message.type === 'warmed') return message.memory;
  return message.type === 'persisted' ? message.shadows.flatMap((shadow) => shadow.memory) : [];
}

const data = workerData as ThreadData; // only checkpoint/background.ts starts this file

async function start(): Promise<void> {
  const ports = await loadPorts(data.portsAddress);
  if (data.portsAddress !== undefined) return new HelperThread(data, ports, undefined).run();
  const shared = new Int32Array(data.shared);
  const prompt = new PromptFileSystem(false, {
    begin: () => Atomics.store(shared, SHARED.IN_CALL, 1),
    end: () => Atomics.store(shared, SHARED.IN_CALL, 0),
  });
  return new HelperThread(data, { ...ports, fileSystem: prompt }, prompt).run();
}

void start();
