/**
 * The member's side of a checkpoint: comes to stand when asked, drains its channels, captures, and goes on when told.
 *
 *   free → gathering (standing or running on to the target step) → stopped → free
 *
 * Invariants
 * 1. Once it has reported that it stands, it stays until it is told to run on or to resume: the program counts on it.
 * 2. Below the target step it does not stop: peers may need its messages to come to theirs.
 * 3. What it is handed while it stands is taken when it goes on (`whenGoingOn`).
 * 4. The flag that safepoints poll is lowered before messages are read, so none is overlooked.
 * 5. Without a turn of the event loop it does the same, woken by the memory it shares with the program.
 */
import { receiveMessageOnPort } from 'node:worker_threads';
import { packError, unpackError } from '../base/error-transfer.js';
import { CheckpointError } from '../base/errors.js';
import type { Place } from '../base/place.js';
import type { AgentParts, MemberRound, Standing } from './agent-contract.js';
import { transferable } from './parts.js';
import { type EndOfSet, type FromMember, MEMBER_SHARED, type StandingKind, type ToMember } from './protocol.js';

export class MemberAgent {
  readonly #parts: AgentParts;
  #round: MemberRound | undefined;
  #standing: Standing | undefined;
  readonly #onLeave: (() => void)[] = [];
  #onGo: () => void = () => {};
  #ended: EndOfSet | undefined;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    parts.port.on('message', (message: ToMember) => this.#take(message));
    parts.port.unref();
  }

  get ended(): EndOfSet | undefined {
    return this.#ended;
  }

  /** True while a checkpoint wants this member to stand. */
  get hurried(): boolean {
    return this.#round !== undefined && !this.#round.stopped;
  }

  post(message: FromMember, transfer: readonly ArrayBuffer[] = []): void {
    this.#parts.port.postMessage(message, [...transfer]);
  }

  /** Resolves when the program lets it begin. */
  async go(): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      this.#onGo = resolve;
    });
    this.post({ type: 'started' });
    await this.#parts.during(gone);
  }

  whenGoingOn(take: () => void): void {
    if (this.#standing === undefined) take();
    else this.#onLeave.push(take);
  }

  /** Reads what has arrived. @returns whether a safepoint has to stop here */
  look(step: number | undefined): boolean {
    const { shared, port } = this.#parts;
    Atomics.store(shared, MEMBER_SHARED.ATTENTION, 0);
    Atomics.notify(shared, MEMBER_SHARED.ATTENTION); // the ticker sleeps while it is raised
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      this.#take(next.message as ToMember); // only the program holds the other end
    }
    if (this.#ended === 'fenced') Atomics.store(shared, MEMBER_SHARED.ATTENTION, 1);
    const round = this.#round;
    if (round === undefined) return false;
    Atomics.store(shared, MEMBER_SHARED.ATTENTION, 1);
    return round.target === undefined || step === undefined || step >= round.target;
  }

  /** Stands at a safepoint until the set goes on, or this member has to run on. */
  async stand(step: number | undefined, place: Place): Promise<void> {
    const standing = this.#arrive('safepoint', step, place, false);
    try {
      await this.#parts.during(this.#whenReleased(standing));
    } finally {
      this.#leave();
    }
  }

  standSync(step: number | undefined, place: Place): void {
    const { shared, port } = this.#parts;
    const standing = this.#arrive('safepoint', step, place, true);
    try {
      while (!standing.released) {
        const seen = Atomics.load(shared, MEMBER_SHARED.MESSAGES);
        const next = receiveMessageOnPort(port);
        if (next === undefined) Atomics.wait(shared, MEMBER_SHARED.MESSAGES, seen, 1_000);
        else this.#take(next.message as ToMember);
      }
    } finally {
      this.#leave();
    }
  }

  /** A safepoint that lasts while `work` is pending. */
  async safe<T>(work: PromiseLike<T> | T, place: Place): Promise<T> {
    const pending = Promise.resolve(work);
    // A refusal below is what the caller is told; the work's own failure must not end the thread as unhandled beside it.
    pending.catch(() => {});
    const standing = this.#arrive('safe', undefined, place, false);
    try {
      return await this.#parts.during(pending);
    } finally {
      if (standing.reported) {
        standing.leaving = true;
        if (this.#round !== undefined && !this.#round.stopped) this.post({ type: 'leave', round: this.#round.number });
        await this.#parts.during(this.#whenReleased(standing));
      }
      this.#leave();
    }
  }

  #arrive(kind: StandingKind, step: number | undefined, place: Place, sync: boolean): Standing {
    if (this.#standing !== undefined) {
      throw new CheckpointError(
        'ERR_CKPT_CONCURRENT_SAFEPOINT',
        `safepoint at ${String(place)}: this member already stands at ${String(this.#standing.place)}; await each safepoint before the next`,
        { phase: 'quiesce' },
      );
    }
    const standing: Standing = { kind, step, place, sync, reported: false, leaving: false, released: false, release: () => {} };
    this.#standing = standing;
    this.#report();
    return standing;
  }

  #report(): void {
    const [round, standing] = [this.#round, this.#standing];
    if (round === undefined || standing === undefined || standing.reported) return;
    standing.reported = true;
    standing.released = false;
    this.post({ type: 'arrived', round: round.number, kind: standing.kind, step: standing.step, place: String(standing.place) });
  }

  #whenReleased(standing: Standing): Promise<void> {
    if (standing.released || !standing.reported) return Promise.resolve();
    return new Promise((resolve) => {
      standing.release = resolve;
    });
  }

  #release(): void {
    const standing = this.#standing;
    if (standing === undefined || !standing.reported) return;
    standing.reported = false;
    standing.released = true;
    standing.release();
  }

  #leave(): void {
    this.#standing = undefined;
    for (const action of this.#onLeave.splice(0)) action();
  }

  #take(message: ToMember): void {
    switch (message.type) {
      case 'go':
        this.#onGo();
        return;
      case 'quiesce':
        this.#round = { number: message.round, target: undefined, stopped: false, reason: '', name: undefined, prepared: false };
        this.#parts.channels().hurry();
        this.#report();
        return;
      case 'run-on':
        if (this.#round?.number !== message.round) return;
        this.#round.target = message.target;
        this.#release();
        return;
      case 'stop':
        this.#stop(message.round);
        return;
      case 'prepare':
      case 'capture':
        this.#serve(message);
        return;
      case 'resume':
        this.#resume(message.round);
        return;
      case 'recycle':
        this.#parts.recycle();
        return;
      case 'committed':
        this.#parts.committed(undefined);
        return;
      case 'not-committed':
        this.#parts.committed(unpackError(message.error));
        return;
      case 'connect':
        this.#parts.channels().connect(message.key, message.port);
        return;
      case 'ended':
        this.#ended = message.why;
        Atomics.store(this.#parts.shared, MEMBER_SHARED.ATTENTION, 1);
    }
  }

  #stop(round: number): void {
    if (this.#round?.number !== round) return;
    this.#round.stopped = true;
    this.#parts.channels().hold();
    this.post({ type: 'stopped', round, sent: this.#parts.channels().sent() });
  }

  #serve(message: Extract<ToMember, { type: 'prepare' | 'capture' }>): void {
    const round = this.#round;
    if (round === undefined || round.number !== message.round) return;
    const failed = (error: unknown): void => this.post({ type: 'failed', round: message.round, error: packError(error) });
    try {
      if (message.type === 'capture') this.#capture(message.round);
      else if (this.#standing?.sync === true) this.#prepareSync(round, message);
      else this.#prepare(round, message).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  async #prepare(round: MemberRound, message: Extract<ToMember, { type: 'prepare' }>): Promise<void> {
    const { channels, handlers, during } = this.#parts;
    while (!channels().drain(message.expect)) await new Promise((resolve) => setImmediate(resolve));
    Object.assign(round, { reason: message.reason, name: message.name, prepared: true });
    await during(handlers('atCheckpoint', message.reason, message.name));
    this.post({ type: 'prepared', round: message.round });
  }

  #prepareSync(round: MemberRound, message: Extract<ToMember, { type: 'prepare' }>): void {
    const { channels, handlersSync, shared, port } = this.#parts;
    while (!channels().drain(message.expect)) {
      Atomics.wait(shared, MEMBER_SHARED.MESSAGES, Atomics.load(shared, MEMBER_SHARED.MESSAGES), 1);
      // A channel may be connected only now.
      const next = receiveMessageOnPort(port);
      if (next !== undefined) this.#take(next.message as ToMember); // only the program holds the other end
    }
    Object.assign(round, { reason: message.reason, name: message.name, prepared: true });
    handlersSync('atCheckpoint', message.reason, message.name);
    this.post({ type: 'prepared', round: message.round });
  }

  #capture(round: number): void {
    const captured = this.#parts.capture();
    this.post({ type: 'captured', round, captured }, transferable(captured));
  }

  /** The program's own atResume handlers have run; then ours, then the member goes on. */
  #resume(number: number): void {
    const round = this.#round;
    if (round?.number !== number) return;
    const goOn = (): void => {
      this.#round = undefined;
      this.#parts.channels().goOn();
      this.#release();
    };
    if (!round.prepared) {
      goOn();
      return;
    }
    if (this.#standing?.sync !== true) {
      void this.#parts
        .during(this.#parts.handlers('atResume', round.reason, round.name))
        .then(goOn, (error: unknown) => this.#resumeFailed(error, goOn));
      return;
    }
    try {
      this.#parts.handlersSync('atResume', round.reason, round.name);
      goOn();
    } catch (error) {
      this.#resumeFailed(error, goOn);
    }
  }

  #resumeFailed(error: unknown, goOn: () => void): void {
    this.post({ type: 'failed', round: 0, error: packError(error) });
    goOn();
  }
}
