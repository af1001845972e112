/**
 * One checkpoint from the moment everybody stands: handlers, capture, resume, persist, commit.
 *
 * Invariants
 * 1. The program stands from the first atCheckpoint handler to the end of the atResume handlers; with `exit` until
 *    the commit, without atResume, unless the checkpoint fails.
 * 2. atResume handlers run exactly once, after a failure too: whatever atCheckpoint undid is redone. Their own failure is
 *    told by event and does not touch the image; after a failed checkpoint it is told together with that failure (resuming.ts).
 * 3. An image is acknowledged only by the answer of `persist`; only then do `committed` and the requests hear of it.
 * 4. The gate is opened before anybody is told that the program goes on.
 * 5. What there is no copy of is written before the program goes on; how the job ended is dealt with after that.
 * 6. What members have captured may come while everybody goes on; nothing is written before it is all here. With memory of
 *    which there is no copy everybody stands until then, and the program is captured anew: the event loop has turned.
 */
import { type CheckpointError, isCheckpointError } from '../base/errors.js';
import { newId } from '../base/ids.js';
import type { Clock } from '../base/ports.js';
import type { ImageHead } from '../image/contract.js';
import type { SafepointGate } from '../members/safepoint-gate.js';
import type { PersistOutcome } from './background.js';
import type { Batch } from './batch.js';
import type { Captured } from './capture.js';
import type { HandlerContext, Handlers } from './handlers.js';
import type { KeepAlive } from './keep-alive.js';
import { Landing } from './landing.js';
import type { CheckpointResult, RequestReason } from './request.js';
import { asCheckpointError, bothFailures, Resuming } from './resuming.js';
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
  /** What the program itself has captured is not wanted: it is captured again. */
  readonly discard: () => void;
  readonly persist: (job: PersistJob, done: (outcome: PersistOutcome) => void) => void;
  /** Waits until the memory of the last capture that is not copied was taken, or the job is over; the event loop does not turn. */
  readonly takeUncopied: (over: () => boolean) => void;
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
  readonly start: number;
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
  readonly #resuming: Resuming;
  /** Of a capture that was handed over before the program goes on. */
  #early: Landing | undefined;

  constructor(parts: FlightParts, batch: Batch, landmarks: FlightLandmarks) {
    this.#parts = parts;
    this.#batch = batch;
    this.#landmarks = landmarks;
    this.#exit = batch.exit;
    this.#names = batch.names;
    this.#reservations = batch.reservations;
    this.#facts = { reason: batch.reason, name: batch.names[0], image: undefined };
    this.#resuming = new Resuming(parts, this.#facts);
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
      const taken = this.#handOver(await this.#captureWhole());
      if (!this.#exit) this.#resumeFailed(await this.#resuming.run());
      this.#goOn(taken);
    } catch (error) {
      this.#failed(error, await this.#resuming.run());
    }
  }

  runSync(): void {
    const { handlers } = this.#parts;
    try {
      handlers.runSync('atCheckpoint', this.#facts);
      const taken = this.#handOver(this.#capture());
      if (!this.#exit) this.#resumeFailed(this.#resuming.runSync());
      this.#goOn(taken);
    } catch (error) {
      this.#failed(error, this.#resuming.runSync());
    }
  }

  /** Invariant 6. */
  async #captureWhole(): Promise<Taken> {
    const taken = this.#capture();
    const { uncopiedBytes, delivered } = taken.captured;
    if (uncopiedBytes === 0 || delivered === undefined) return taken;
    this.#parts.discard();
    await this.#parts.keepAlive.during(delivered);
    return this.#capture();
  }

  /** What there is no copy of, at once. */
  #handOver(taken: Taken): Taken {
    if (taken.captured.uncopiedBytes === 0) return taken;
    this.#landmarks.handedOver();
    const early = this.#persist(taken);
    this.#early = early;
    this.#parts.takeUncopied(() => early.over);
    return { ...taken, captureMs: this.#parts.clock.monotonic() - taken.start };
  }

  #capture(): Taken {
    const { clock, paced, handlers, capture, tip } = this.#parts;
    const start = clock.monotonic();
    paced(start);
    const captured = handlers.guard('a capture function', capture);
    const head = tip.next({ id: newId(), names: this.#names, reason: this.#facts.reason, finished: this.#batch.finish });
    return { head, captured, start, captureMs: clock.monotonic() - start };
  }

  #goOn(taken: Taken): void {
    const { clock, events, gate } = this.#parts;
    const { captured, captureMs } = taken;
    if (this.#early === undefined) this.#landmarks.handedOver();
    const freezeMs = clock.monotonic() - this.#stoppedAt;
    events.captured({ reason: this.#facts.reason, captureMs, freezeMs, stateBytes: captured.stateBytes });
    if (!this.#exit) {
      gate.open();
      this.#batch.captured();
    }
    const { delivered } = captured;
    if (this.#early !== undefined) this.#land(this.#early, taken, freezeMs);
    else if (delivered === undefined) this.#land(this.#persist(taken), taken, freezeMs);
    else
      void this.#parts.keepAlive
        .during(delivered)
        .then(() => this.#persist(taken))
        .then(
          (landing) => this.#land(landing, taken, freezeMs),
          (error: unknown) => this.#notCommitted(asCheckpointError(error)),
        );
  }

  #land(landing: Landing, { head, captured, captureMs }: Taken, freezeMs: number): void {
    landing.whenOver((outcome) => {
      this.#parts.recycle();
      if (outcome.ok) this.#committed(head, captured, { freezeMs, captureMs }, outcome.image);
      else this.#notCommitted(outcome.error);
    });
  }

  #persist({ head, captured }: Taken): Landing {
    const { keepAlive, persist, tip } = this.#parts;
    const landing = new Landing();
    keepAlive.hold();
    const { id, epoch, generation } = head.image;
    const job: PersistJob = {
      number: generation,
      ref: { id, epoch, generation },
      names: this.#names,
      input: { head, sections: captured.sections, buffers: captured.buffers },
      files: captured.files,
      release: this.#exit || head.image.finished,
      keep: tip.keep,
    };
    persist(job, (outcome) => {
      keepAlive.release();
      landing.end(outcome);
    });
    return landing;
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
      bytes: { state: captured.stateBytes, dirty: captured.dirtyBytes, uncopied: captured.uncopiedBytes, stored: stored.size },
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
    void this.#resuming.run().then((resumeError) => this.#failed(error, resumeError));
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

  #resumeFailed(error: CheckpointError | undefined): void {
    if (error !== undefined) this.#parts.events.failed({ reason: this.#facts.reason, name: this.#facts.name, error });
  }
}
