/**
 * A batch: requests that are answered by one image.
 *
 * Invariants
 * 1. Each request of a batch is settled exactly once (`settle` empties the batch).
 */
import type { CheckpointRequest, RequestOutcome, RequestReason } from './request.js';

export class Batch {
  /** Monotonic time of the first request. */
  readonly since: number;
  readonly #requests: CheckpointRequest[];

  constructor(requests: readonly CheckpointRequest[], since: number) {
    this.#requests = [...requests];
    this.since = since;
  }

  get reason(): RequestReason {
    return this.finish ? 'finish' : (this.#requests[0]?.reason ?? 'call');
  }

  get names(): string[] {
    return [...new Set(this.reservations)];
  }

  /** The names as they were reserved: one entry for each request that has one. */
  get reservations(): string[] {
    return this.#requests.flatMap((request) => request.name ?? []);
  }

  /** Stay stopped until the commit, then exit. */
  get exit(): boolean {
    return this.#requests.some((request) => request.exit);
  }

  get finish(): boolean {
    return this.#requests.some((request) => request.reason === 'finish');
  }

  get empty(): boolean {
    return this.#requests.length === 0;
  }

  add(request: CheckpointRequest): void {
    this.#requests.push(request);
  }

  remove(request: CheckpointRequest): boolean {
    const at = this.#requests.indexOf(request);
    if (at >= 0) this.#requests.splice(at, 1);
    return at >= 0;
  }

  /** The program goes on: tells those who only waited for the capture. */
  captured(): void {
    for (const request of this.#requests) request.captured?.();
  }

  settle(outcome: RequestOutcome): void {
    for (const request of this.#requests.splice(0)) request.settled?.(outcome);
  }
}
