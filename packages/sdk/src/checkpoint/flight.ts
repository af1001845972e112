/**
 * One checkpoint from the moment everybody stands: handlers, capture, resume, persist, commit.
 *
 * Invariants
 * 1. The program stands from the first atCheckpoint handler to the end of the atResume handlers; with `exit` until
 *    the commit, without atResume, unless the checkpoint fails.
 * 2. atResume handlers run exactly once, after a failure too: whatever atCheckpoint undid is redone. Their own failure is
 *    told by event and does not touch the image; after a failed checkpoint it is told together with that failure.
 * 3. An image is acknowledged only by the answer of `persist`; only then do `committed` and the requests hear of it.
 * 4. The gate is opened before anybody is told that the program goes on.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import { newId } from '../base/ids.js';
import type { Clock } from '../base/ports.js';
import type { ImageHead } from '../image/contract.js';
import type { SafepointGate } from '../members/safepoint-gate.js';
import type { PersistOutcome } from './background.js';
import type { Batch } from './batch.js';
import type { Captured } from './capture.js';
import type { HandlerContext, Handlers } from './handlers.js';
import type { KeepAlive } from './keep-alive.js';
import type { CheckpointResult, RequestReason } from './request.js';
import type { PersistJob } from './thread-protocol.js';
import type { LineageTip } from './tip.js';

export interface FlightParts {
  readonly clock: Clock;
  readonly handlers: Handlers;
  readonly keepAlive: KeepAlive;
  readonly gate: SafepointGate;
  readonly tip: LineageTip;
  readonly events: {
    readonly quiesced: (facts: { readonly reason: RequestReason; readonly quiesceMs: number }) => void;
    readonly captured: (facts: {
      readonly reason: RequestReason;
      readonly captureMs: number;
      readonly freezeMs: number;
      readonly stateBytes: number;
    }) => void;
    readonly committed: (result: CheckpointResult) => void;
    readonly failed: (facts: {
      readonly reason: RequestReason;
      readonly name: string | undefined;
      readonly error: CheckpointError;
    }) => void;
  };
  /** Waits until a capture can be taken; undefined when it can be now. */
  readonly prepare: (facts: { readonly reason: RequestReason; readonly name: string | undefined }) => Promise<void> | undefined;
  readonly capture: () => Captured;
  /** The image that holds this capture was acknowledged. */
  readonly acknowledged: (captured: Captured) => void;
  /** The staging memory of the last capture may be used again. */
  readonly recycle: () => void;
  readonly persist: (job: PersistJob, done: (outcome: PersistOutcome) => void) => void;
  /** A capture began at this monotonic time: pacing counts from it. */
  readonly paced: (monotonic: number) => void;
  readonly exit: (code: number) => void;
}

/** What the conductor is told on the way. */
export interface FlightLandmarks {
  /** May throw, when the capture must not be handed over any more. */
  readonly handedOver: () => void;
  readonly fenced: () => void;
  readonly finished: (result: CheckpointResult) => void;
  /** After everything else, unless it finished. */
  readonly over: () => void;
}

/** The code by which HTCondor and others know a program that checkpointed itself and wants to be started again. */
const EXIT_CHECKPOINTED = 85;

interface Taken {
  readonly head: ImageHead;
  readonly captured: Captured;
  readonly captureMs: number;
}

export class Flight {
  readonly #parts: FlightParts;
  readonly #batch: Batch;
  readonly #landmarks: FlightLandmarks;
  readonly #exit: boolean;
  readonly #facts: Omit<HandlerContext, 'signal'> & { readonly reason: RequestReason };
  readonly #stoppedAt: number;
  readonly #quiesceMs: number;
  readonly #names: readonly string[];
  readonly #reservations: readonly string[];
  #over = false;
  #resumed = false;

  constructor(parts: FlightParts, batch: Batch, landmarks: FlightLandmarks) {
    this.#parts = parts;
    this.#batch = batch;
    this.#landmarks = landmarks;
    this.#exit = batch.exit;
    this.#names = batch.names;
    this.#reservations = batch.reservations;
    this.#facts = { reason: batch.reason, name: batch.names[0], image: undefined };
    this.#stoppedAt = parts.clock.monotonic();
    this.#quiesceMs = this.#stoppedAt - batch.since;
    parts.events.quiesced({ reason: batch.reason, quiesceMs: this.#quiesceMs });
  }

  /** True when it has committed or failed. */
  get over(): boolean {
    return this.#over;
  }

  async run(): Promise<void> {
    const { handlers, keepAlive } = this.#parts;
    try {
      await keepAlive.during(handlers.run('atCheckpoint', this.#facts));
      const preparing = this.#parts.prepare(this.#facts);
      if (preparing !== undefined) await keepAlive.during(preparing);
      const taken = this.#capture();
      if (!this.#exit) this.#resumeFailed(await this.#resume());
      this.#handOver(taken);
    } catch (error) {
      this.#failed(error, await this.#resume());
    }
  }

  runSync(): void {
    const { handlers } = this.#parts;
    try {
      handlers.runSync('atCheckpoint', this.#facts);
      const taken = this.#capture();
      if (!this.#exit) this.#resumeFailed(this.#resumeSync());
      this.#handOver(taken);
    } catch (error) {
      this.#failed(error, this.#resumeSync());
    }
  }

  #capture(): Taken {
    const { clock, paced, handlers, capture, tip } = this.#parts;
    const start = clock.monotonic();
    paced(start);
    const captured = handlers.guard('a capture function', capture);
    const head = tip.next({ id: newId(), names: this.#names, reason: this.#facts.reason, finished: this.#batch.finish });
    return { head, captured, captureMs: clock.monotonic() - start };
  }

  #handOver({ head, captured, captureMs }: Taken): void {
    const { clock, events, keepAlive, gate, persist, recycle, tip } = this.#parts;
    this.#landmarks.handedOver();
    const freezeMs = clock.monotonic() - this.#stoppedAt;
    events.captured({ reason: this.#facts.reason, captureMs, freezeMs, stateBytes: captured.stateBytes });
    if (!this.#exit) {
      gate.open();
      this.#batch.captured();
    }
    keepAlive.hold();
    const { id, epoch, generation } = head.image;
    const input = { head, sections: captured.sections, buffers: captured.buffers };
    const job: PersistJob = {
      number: generation,
      ref: { id, epoch, generation },
      names: this.#names,
      input,
      files: captured.files,
      release: this.#exit || head.image.finished,
      keep: tip.keep,
    };
    persist(job, (outcome) => {
      keepAlive.release();
      recycle();
      if (outcome.ok) this.#committed(head, captured, { freezeMs, captureMs }, outcome.image);
      else this.#notCommitted(outcome.error);
    });
  }

  #committed(
    head: ImageHead,
    captured: Captured,
    pause: Pick<CheckpointResult['times'], 'freezeMs' | 'captureMs'>,
    stored: { readonly path: string; readonly size: number; readonly persistMs: number },
  ): void {
    const { clock, events, tip, exit, acknowledged } = this.#parts;
    tip.release(this.#reservations);
    const result: CheckpointResult = {
      image: tip.committed(head, stored.path),
      reason: this.#facts.reason,
      times: { quiesceMs: this.#quiesceMs, ...pause, persistMs: stored.persistMs, totalMs: clock.monotonic() - this.#batch.since },
      bytes: { state: captured.stateBytes, dirty: captured.dirtyBytes, stored: stored.size },
    };
    this.#over = true;
    acknowledged(captured);
    events.committed(result);
    this.#batch.settle({ ok: true, result });
    if (this.#exit) exit(EXIT_CHECKPOINTED);
    if (head.image.finished) this.#landmarks.finished(result);
    this.#landmarks.over();
  }

  #notCommitted(error: Error): void {
    if (isCheckpointError(error, 'ERR_CKPT_FENCED')) this.#landmarks.fenced();
    if (!this.#exit) {
      this.#failed(error);
      return;
    }
    // The program stood for the commit; it goes on after all.
    void this.#resume().then((resumeError) => this.#failed(error, resumeError));
  }

  #failed(thrown: unknown, resumeError?: CheckpointError): void {
    const { events, gate, recycle, tip } = this.#parts;
    const error = bothFailures(asCheckpointError(thrown), resumeError);
    tip.release(this.#reservations);
    recycle();
    this.#over = true;
    events.failed({ reason: this.#facts.reason, name: this.#facts.name, error });
    gate.open();
    this.#batch.settle({ ok: false, error });
    this.#landmarks.over();
  }

  async #resume(): Promise<CheckpointError | undefined> {
    if (this.#resumed) return undefined;
    this.#resumed = true;
    const { handlers, keepAlive } = this.#parts;
    return await keepAlive.during(handlers.run('atResume', this.#facts)).then(() => undefined, asCheckpointError);
  }

  #resumeSync(): CheckpointError | undefined {
    if (this.#resumed) return undefined;
    this.#resumed = true;
    try {
      this.#parts.handlers.runSync('atResume', this.#facts);
    } catch (error) {
      return asCheckpointError(error);
    }
    return undefined;
  }

  #resumeFailed(error: CheckpointError | undefined): void {
    if (error !== undefined) this.#parts.events.failed({ reason: this.#facts.reason, name: this.#facts.name, error });
  }
}

function asCheckpointError(error: unknown): CheckpointError {
  return isCheckpointError(error) ? error : new CheckpointError('ERR_CKPT_IO', `checkpoint: ${messageOf(error)}`, { cause: error });
}

/** One failed checkpoint is one error, with the code of what made it fail. */
function bothFailures(error: CheckpointError, resumeError: CheckpointError | undefined): CheckpointError {
  if (resumeError === undefined) return error;
  const message = `${error.message}; and when the program went on, ${resumeError.message}`;
  const phase = error.phase === undefined ? {} : { phase: error.phase };
  return new CheckpointError(error.code, message, { ...error.context, ...phase, cause: new AggregateError([error, resumeError], message) });
}
