/**
 * The conductor: takes requests, waits until the tasks stand, and sees one checkpoint after the other through.
 *
 * Invariants
 * 1. One checkpoint at a time; requests that arrive meanwhile wait together and become at most one more.
 * 2. Every request is settled exactly once, whatever happens.
 * 3. Only the phase decides what is legal (phases.ts); the pause itself is the business of flight.ts.
 * 4. A checkpoint takes off a microtask after everybody stands, so that requests of one turn share an image, and one
 *    asked for in a synchronous loop is taken at its next safepointSync().
 * 5. With members the program waits at its safepoint until all of them stand too, from the first stop on no longer than
 *    `waitingMs`: then the checkpoint is cancelled, everybody goes on, and the error says who did not arrive.
 * 6. The flag that safepoints poll is up while a checkpoint waits or everybody stands for one.
 */
import type { CheckpointError, Missing } from '../base/errors.js';
import type { Place } from '../base/place.js';
import type { Clock } from '../base/ports.js';
import { type ProgramProgress, SafepointGate } from '../members/safepoint-gate.js';
import type { Progress } from '../members/set-contract.js';
import { Batch } from './batch.js';
import { Flight, type FlightParts } from './flight.js';
import { advance, type EndReason, type Phase } from './phases.js';
import { endedError, syncWithMembers } from './refused-calls.js';
import type { CheckpointRequest, CheckpointResult, RequestReason } from './request.js';
import { quiesceTimedOut, Waiting } from './waiting.js';

interface ConductorEvents {
  readonly requested: (facts: { readonly reason: RequestReason; readonly name: string | undefined }) => void;
  readonly waiting: (facts: { readonly reason: RequestReason; readonly sinceMs: number; readonly missing: readonly Missing[] }) => void;
}

/** The members of the checkpoint set beside the program, as the conductor needs them. */
export interface OtherMembers {
  readonly populated: boolean;
  readonly somebodyStands: boolean;
  /** Begins a round. Returns why it cannot succeed. */
  gather(): CheckpointError | undefined;
  progress(program: ProgramProgress): Progress;
  missing(): readonly Missing[];
  /** Goes on without those that are missing, where the program has allowed that. @returns whether anybody was left out */
  leaveOut(): boolean;
  goOn(): void;
}

export interface ConductorParts extends Omit<FlightParts, 'gate' | 'events'> {
  readonly clock: Clock;
  readonly members: OtherMembers;
  readonly events: ConductorEvents & FlightParts['events'];
  /** Period of the `waiting` event, ms. */
  readonly waitingMs: number;
  readonly waitSync: (settled: () => boolean) => void;
  /** Raises the flag that safepoints poll. */
  readonly attention: () => void;
  readonly ended: (why: EndReason) => void;
}

export class Conductor {
  readonly gate: SafepointGate;
  readonly #parts: ConductorParts;
  readonly #waiting: Waiting;
  #phase: Phase = { at: 'idle' };
  #final: CheckpointResult | undefined;
  #queued: CheckpointRequest[] = [];
  #started = false;
  #whenIdle: (() => void)[] = [];

  constructor(parts: ConductorParts) {
    this.#parts = parts;
    this.gate = new SafepointGate(
      () => this.advance(),
      () => parts.members.goOn(),
      parts.clock,
    );
    this.#waiting = new Waiting(parts.clock, parts.waitingMs);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** True while a checkpoint wants the tasks to stand. */
  get due(): boolean {
    return this.#phase.at === 'quiescing' || this.#phase.at === 'capturing';
  }

  /** Requests that came before are served from now on. */
  start(): void {
    this.#started = true;
    this.#beginNext();
  }

  ask(request: CheckpointRequest): void {
    if (this.#final !== undefined && !request.exit) {
      request.settled?.({ ok: true, result: this.#final });
      return;
    }
    const refusal = this.#phase.at === 'ended' ? endedError(this.#phase.why) : this.#reserve(request);
    if (refusal !== undefined) {
      this.#refuse(request, refusal);
      return;
    }
    this.#parts.events.requested({ reason: request.reason, name: request.name });
    if (this.#phase.at === 'quiescing') {
      this.#phase.batch.add(request);
      return;
    }
    this.#queued.push(request);
    this.#beginNext();
  }

  /** Takes a request back, if its checkpoint has not begun; `error` is why. The request itself is not settled. */
  withdraw(request: CheckpointRequest, error: CheckpointError): void {
    const queued = this.#queued.indexOf(request);
    if (queued >= 0) this.#queued.splice(queued, 1);
    const batched = this.#phase.at === 'quiescing' && this.#phase.batch.remove(request);
    if (queued < 0 && !batched) return;
    if (request.name !== undefined) this.#parts.tip.release([request.name]);
    this.#parts.events.failed({ reason: request.reason, name: request.name, error });
    if (this.#phase.at !== 'quiescing' || !this.#phase.batch.empty) return;
    this.gate.open();
    this.#parts.members.goOn();
    this.#toIdle();
  }

  /** The checkpoint that gathers the members cannot succeed: everybody goes on. */
  cancel(error: CheckpointError): void {
    if (this.#phase.at !== 'quiescing') return;
    const { batch } = this.#phase;
    this.#waiting.end();
    this.#phase = advance(this.#phase, { at: 'idle' });
    this.gate.open();
    this.#parts.members.goOn();
    this.#refuseBatch(batch, error);
    if (this.#phase.at === 'idle') this.#toIdle();
  }

  /** A member joined: the program waits for it too. */
  joined(): void {
    if (this.#phase.at === 'quiescing') this.gate.hold('gathering');
  }

  /** Final, because the program was finished before it was started: whoever asks is answered with its final image. */
  endFinished(final: CheckpointResult): void {
    this.#final = final;
    this.end('finished', final);
  }

  /** Resolves when no checkpoint is in flight. */
  async settled(): Promise<void> {
    while (this.#phase.at === 'capturing' || this.#phase.at === 'persisting') {
      await this.#parts.keepAlive.during(new Promise<void>((resolve) => this.#whenIdle.push(resolve)));
    }
  }

  /**
   * Final: nothing can be asked for any more.
   * @param last the final image of a finished program: it answers whoever still waits for an image without a name
   */
  end(why: EndReason, last?: CheckpointResult): void {
    if (this.#phase.at === 'ended') return;
    // From the take-off on, the flight settles its batch itself.
    const batch = this.#phase.at === 'quiescing' ? this.#phase.batch : undefined;
    this.#waiting.end();
    this.#phase = advance(this.#phase, { at: 'ended', why });
    this.#parts.ended(why);
    this.gate.open();
    if (batch !== undefined) this.#refuseBatch(batch, endedError(why));
    for (const request of this.#queued.splice(0)) {
      if (last !== undefined && request.name === undefined) request.settled?.({ ok: true, result: last });
      else this.#refuse(request, endedError(why));
    }
    this.#wake();
  }

  /** A checkpoint inside a synchronous loop, if one is due: without a turn of the event loop. */
  runSync(task: string, place: Place): void {
    if (this.#phase.at !== 'quiescing') return;
    const { batch } = this.#phase;
    this.gate.arrive(task, place, 'safepoint');
    try {
      if (this.#parts.members.populated) throw syncWithMembers(String(place));
      if (!this.gate.everybodyStands()) return;
      const flight = this.#takeOff(batch);
      flight.runSync();
      this.#parts.waitSync(() => flight.over);
    } finally {
      this.gate.leave(task, 'safepoint');
    }
  }

  #beginNext(): void {
    if (!this.#started || this.#phase.at !== 'idle' || this.#queued.length === 0) return;
    const batch = new Batch(this.#queued, this.#parts.clock.monotonic());
    this.#queued = [];
    this.#phase = advance(this.#phase, { at: 'quiescing', batch });
    this.#parts.attention();
    this.#waiting.begin((sinceMs) => this.#parts.events.waiting({ reason: batch.reason, sinceMs, missing: this.#missing() }));
    const refusal = this.#parts.members.gather();
    if (this.#parts.members.populated) this.gate.hold('gathering');
    if (refusal === undefined) this.advance();
    else this.cancel(refusal);
  }

  /** Somebody came to stand, or left the set. */
  advance(): void {
    queueMicrotask(() => {
      if (this.#phase.at !== 'quiescing') return;
      const { members } = this.#parts;
      if (members.populated && (this.gate.somebodyStands() || members.somebodyStands)) {
        this.#waiting.somebodyStands(() => this.#losePatience());
      }
      const progress = members.progress(this.gate.progress);
      if (progress === 'program-runs-on') this.gate.runOn();
      else if (progress === 'stopping') this.gate.hold();
      else if (progress === 'stopped') void this.#takeOff(this.#phase.batch).run();
    });
  }

  /** Invariant 5; members may be left out, the program itself may not. */
  #losePatience(): void {
    if (this.gate.everybodyStands() && this.#parts.members.leaveOut()) this.advance();
    else this.cancel(quiesceTimedOut(this.#parts.waitingMs, this.#missing()));
  }

  #missing(): readonly Missing[] {
    const asked = this.#phase.at === 'quiescing' ? this.#phase.batch.since : 0;
    return [...this.gate.missing(asked), ...this.#parts.members.missing()];
  }

  /** From here on everybody stands. */
  #takeOff(batch: Batch): Flight {
    this.#waiting.end();
    this.#phase = advance(this.#phase, { at: 'capturing', batch });
    this.gate.hold();
    this.#parts.attention();
    return new Flight({ ...this.#parts, gate: this.gate }, batch, {
      handedOver: () => {
        if (this.#phase.at === 'ended') throw endedError(this.#phase.why);
        this.#phase = advance(this.#phase, { at: 'persisting', batch });
      },
      fenced: () => this.end('fenced'),
      finished: (result) => this.end('finished', result),
      over: () => {
        if (this.#phase.at !== 'ended') this.#toIdle();
      },
    });
  }

  #reserve(request: CheckpointRequest): CheckpointError | undefined {
    return request.name === undefined ? undefined : this.#parts.tip.reserve(request.name, request.replace === true);
  }

  #refuse(request: CheckpointRequest, error: CheckpointError): void {
    this.#parts.events.failed({ reason: request.reason, name: request.name, error });
    request.settled?.({ ok: false, error });
  }

  #refuseBatch(batch: Batch, error: CheckpointError): void {
    this.#parts.tip.release(batch.reservations);
    this.#parts.events.failed({ reason: batch.reason, name: batch.names[0], error });
    batch.settle({ ok: false, error });
  }

  #toIdle(): void {
    this.#waiting.end();
    if (this.#phase.at !== 'idle') this.#phase = advance(this.#phase, { at: 'idle' });
    this.#wake();
    this.#beginNext();
  }

  #wake(): void {
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}
