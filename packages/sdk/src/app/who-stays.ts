/**
 * Tells, a while after the program has let go, which members still run: they keep its process, and nothing else would say why it
 * does not end.
 */
import type { Clock } from '../base/ports.js';
import type { Participant } from '../members/participant.js';

const STILL_THERE_MS = 5_000;

export class WhoStays {
  #watched = false;

  watch(clock: Clock, live: () => readonly Participant[], log: (message: string) => void): void {
    if (this.#watched) return;
    this.#watched = true;
    clock.timer(STILL_THERE_MS, () => {
      const members = live().map(({ name, place }) => `'${name}' (declared at ${String(place)})`);
      if (members.length > 0) log(stillThere(members));
    });
  }
}

function stillThere(members: readonly string[]): string {
  return (
    `the program has called finish() or close(), and the members ${members.join(', ')} still run and keep its process; ` +
    'end each from within, by finish() and the end of its program, or from outside with terminate()'
  );
}
