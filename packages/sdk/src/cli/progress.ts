/**
 * The progress of a long check, on stderr.
 *
 * Invariants
 * 1. A short check says nothing. On a screen one line is written over; elsewhere a line comes now and then.
 * 2. `clear` leaves nothing of the line behind.
 */
import type { VerifyProgress } from '../images.js';
import { formatBytes, shortId, type Terminal } from './output.js';

const SCREEN = { afterMs: 700, everyMs: 250 } as const;
const LOG = { afterMs: 10_000, everyMs: 10_000 } as const;

export interface Progress {
  readonly show: (progress: VerifyProgress) => void;
  readonly clear: () => void;
}

export function progressOn(terminal: Terminal): Progress {
  const pace = terminal.interactive ? SCREEN : LOG;
  let next = terminal.now() + pace.afterMs;
  let shown = 0;
  const clear = (): void => {
    if (shown > 0) terminal.err(`\r${' '.repeat(shown)}\r`);
    shown = 0;
  };
  const show = ({ image, index, count, done, total }: VerifyProgress): void => {
    const now = terminal.now();
    if (now < next) return;
    next = now + pace.everyMs;
    const text = `verifying ${shortId(image)} (${index + 1} of ${count}): ${formatBytes(done)} of ${formatBytes(total)}`;
    if (!terminal.interactive) {
      terminal.err(`${text}\n`);
      return;
    }
    terminal.err(`\r${text.padEnd(shown)}`);
    shown = text.length;
  };
  return { show, clear };
}
