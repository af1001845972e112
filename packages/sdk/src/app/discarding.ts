/**
 * What a capture of the program itself holds on to until its image is over, well or not.
 *
 * Invariants
 * 1. Nothing of it is used any more once it is let go: the memory serves the next capture, and files are written on.
 */

import type { Staging } from '../base/staging.js';
import type { Shadows } from '../checkpoint/shadow.js';
import type { Uncopied } from '../checkpoint/uncopied.js';
import type { FileTable } from '../files/table.js';
import type { Events } from './events.js';

interface Held {
  readonly staging: Staging;
  readonly shadows: Shadows;
  readonly uncopied: Uncopied;
  readonly files: FileTable;
  readonly events: Events;
}

export function discarding({ staging, shadows, uncopied, files, events }: Held): () => void {
  return () => {
    staging.reset();
    shadows.recycle();
    uncopied.recycle();
    for (const note of shadows.notes()) events.emit('tracking', note);
    files.release();
  };
}
