/** How a persist job ends, for one who may ask before or after it has. */
import type { PersistOutcome } from './background.js';

export class Landing {
  #outcome: PersistOutcome | undefined;
  #whenOver: ((outcome: PersistOutcome) => void) | undefined;

  get over(): boolean {
    return this.#outcome !== undefined;
  }

  end(outcome: PersistOutcome): void {
    this.#outcome = outcome;
    this.#whenOver?.(outcome);
  }

  /** Calls once, at once when it is over. */
  whenOver(call: (outcome: PersistOutcome) => void): void {
    this.#whenOver = call;
    if (this.#outcome !== undefined) call(this.#outcome);
  }
}
