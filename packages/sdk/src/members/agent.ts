/**
 * The member's side of a checkpoint: comes to stand when asked, drains its channels, captures, and goes on when told.
 *
 *   free → gathering (tasks come to stand, or run on to the target step) → reported → stopped → free
 *
 * Invariants
 * 1. It reports that it stands when all of its tasks do. From then on they stay until they are told to run on or to resume: the
 *    program counts on it.
 * 2. Below the target step it does not stop: peers may need its messages to come to theirs.
 * 3. What it is handed while it stands is taken when it goes on (the gate's `whenGoingOn`).
 * 4. The flag that safepoints poll is lowered before messages are read, so none is overlooked.
 * 5. Without a turn of the event loop it does the same, woken by the memory it shares with the program.
 */
import { receiveMessageOnPort } from 'node:worker_threads';
import { packError, unpackError } from '../base/error-transfer.js';
import type { Place } from '../base/place.js';
import type { AgentParts, MemberRound } from './agent-contract.js';
import { readRecords } from './channel-table.js';
import { unpackMessage } from './frames.js';
import { transferable } from './parts.js';
import { type EndOfSet, type FromMember, MEMBER_SHARED, type ToMember } from './protocol.js';
import { SafepointGate } from './safepoint-gate.js';

export class MemberAgent {
  readonly #parts: AgentParts;
  readonly gate: SafepointGate = new SafepointGate(() => this.#report());
  #round: MemberRound | undefined;
  /** Whether it stands without a turn of the event loop. */
  #sync = false;
  #onGo: () => void = () => {};
  #ended: EndOfSet | undefined;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.gate.join(parts.name, 'start()');
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

  /** Stands at a safepoint until the set goes on, or this task has to run on. */
  async stand(task: string, step: number | undefined, place: Place): Promise<void> {
    this.gate.arrive(task, place, 'safepoint', step);
    const held = this.gate.leave(task, 'safepoint');
    if (held !== undefined) await this.#parts.during(held);
  }

  /** Waits only where all the other tasks stand: they cannot come to stand without a turn of the event loop. */
  standSync(task: string, step: number | undefined, place: Place): void {
    const { shared, port } = this.#parts;
    this.gate.arrive(task, place, 'safepoint', step);
    this.#sync = true;
    try {
      while (this.gate.everybodyStands() && this.gate.keeps(task)) {
        const seen = Atomics.load(shared, MEMBER_SHARED.MESSAGES);
        const next = receiveMessageOnPort(port);
        if (next === undefined) Atomics.wait(shared, MEMBER_SHARED.MESSAGES, seen, 1_000);
        else this.#take(next.message as ToMember); // only the program holds the other end
      }
    } finally {
      this.#sync = false;
      this.gate.leaveNow(task);
    }
  }

  /** A safepoint that lasts while `work` is pending. */
  async safe<T>(task: string, work: PromiseLike<T> | T, place: Place): Promise<T> {
    const pending = Promise.resolve(work);
    // A refusal below is what the caller is told; the work's own failure must not end the thread as unhandled beside it.
    pending.catch(() => {});
    this.gate.arrive(task, place, 'safe');
    try {
      return await this.#parts.during(pending);
    } finally {
      const held = this.gate.leave(task, 'safe');
      if (held !== undefined) {
        this.wantsToLeave();
        await this.#parts.during(held);
      }
    }
  }

  /** A task that stood until something happened could go on. */
  wantsToLeave(): void {
    if (this.#round !== undefined && !this.#round.stopped) this.post({ type: 'leave', round: this.#round.number });
  }

  /** Invariant 1. */
  #report(): void {
    const round = this.#round;
    if (round === undefined || round.reported) return;
    if (!this.gate.everybodyStands()) {
      if (this.gate.somebodyStands()) this.#tellMissing(round);
      return;
    }
    round.reported = true;
    this.gate.hold();
    this.post({ type: 'arrived', round: round.number, step: this.gate.progress.step, place: this.gate.lastPlace });
  }

  /** Once for the same tasks: a synchronous loop comes by often. */
  #tellMissing(round: MemberRound): void {
    const missing = this.gate.missing(0);
    const names = missing.map(({ task }) => task).join();
    if (round.missing === names) return;
    round.missing = names;
    const places = missing.map(({ task, registeredAt, lastSafepoint }) => {
      return `task '${task}'${task === this.#parts.name ? '' : ` (begun at ${registeredAt})`} last seen at ${lastSafepoint}`;
    });
    this.post({ type: 'partly', round: round.number, missing: [...places, ...this.gate.standing()].join(', ') });
  }

  #take(message: ToMember): void {
    switch (message.type) {
      case 'go':
        this.#onGo();
        return;
      case 'quiesce':
        this.#round = newMemberRound(message.round);
        this.gate.hold('gathering');
        this.#parts.channels().hurry();
        this.#report();
        return;
      case 'run-on':
        if (this.#round?.number !== message.round) return;
        this.#round.target = message.target;
        this.#round.reported = false;
        this.gate.runOn(message.target);
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
      case 'not-committed':
        this.#parts.committed(message.type === 'committed' ? undefined : unpackError(message.error));
        return;
      case 'ask-captured':
      case 'ask-settled':
        this.#parts.asked(message);
        return;
      case 'nested':
        this.#parts.nested(message);
        return;
      case 'connect':
      case 'anew':
      case 'left-unsent':
        this.#takeOfPeer(message);
        return;
      case 'ended':
        this.#ended = message.why;
        Atomics.store(this.#parts.shared, MEMBER_SHARED.ATTENTION, 1);
    }
  }

  #takeOfPeer(message: Extract<ToMember, { type: 'connect' | 'anew' | 'left-unsent' }>): void {
    const channels = this.#parts.channels();
    if (message.type === 'connect') channels.connect(message.key, message.port);
    else if (message.type === 'anew') channels.disconnect(message.name);
    else channels.takeUnsent(message.from, readRecords(unpackMessage(message.unsent)));
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
      else if (this.#sync) this.#prepareSync(round, message);
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
      this.gate.open();
    };
    if (!round.prepared) {
      goOn();
      return;
    }
    if (!this.#sync) {
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

function newMemberRound(number: number): MemberRound {
  return { number, target: undefined, reported: false, stopped: false, reason: '', name: undefined, prepared: false, missing: '' };
}
