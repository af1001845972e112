/** Thrown inside the walk: what cannot be carried, before anybody knows where it hangs. */
import type { Reason } from './refusal.js';

export class Unsupported extends Error {
  /** The value itself, or the object that a `step` leads on from. */
  readonly value: unknown;
  readonly reason: Reason;
  readonly step: string;

  constructor(value: unknown, reason: Reason, step = '') {
    super(reason.what);
    this.value = value;
    this.reason = reason;
    this.step = step;
  }
}
