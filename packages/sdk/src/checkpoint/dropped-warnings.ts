/**
 * Warnings of what is left out of images (`onUnsupported: 'drop'`).
 *
 * Invariants
 * 1. Once for each provider of an incarnation, when an image that lacks something is acknowledged; the images say it each time.
 */
import type { CapturedSection } from '../state/provider.js';

export class DroppedWarnings {
  readonly #told = new Set<string>();
  readonly #warn: (message: string) => void;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  tell(sections: readonly CapturedSection[]): void {
    for (const { name, dropped, carriedFrom } of sections) {
      if (dropped === undefined || carriedFrom !== undefined || this.#told.has(name)) continue;
      this.#told.add(name);
      const { count, first } = dropped;
      const places = first.map(({ path, what }) => `${path} (${what})`).join(', ');
      const more = count > first.length ? ` and ${count - first.length} more` : '';
      this.#warn(`state of ${name}: left out, because it cannot be carried: ${places}${more}; make it anew after a restart`);
    }
  }
}
