/**
 * Who knows where one buffer was written: the kernel, else the program, else nobody, and then all of it is compared.
 *
 *   untracked ──capture──▶ tracked ──most of it is written, or the registration is lost──▶ resting ──▶ untracked
 *        └──refused──▶ refused
 *
 * Invariants
 * 1. A tracking begins before the buffer is read in the same capture, and what it says is asked before the buffer is read.
 * 2. Kernel tracking rests while most of a buffer changes, because the first write to each page costs more than it saves.
 *    It is tried again when comparing has found little that changed, after twice as many captures each time.
 * 3. A tracker that throws fails no checkpoint.
 */
import { messageOf } from '../base/errors.js';
import { PAGE } from '../image/format.js';
import { type ByteRanges, bytesIn, type PageTracker, type Tracking } from './page-tracker.js';

/** Of a buffer's pages: beyond one in three, comparing is cheaper. */
const MOST_WRITTEN = 1 / 3;
/** Low enough that the kernel would not be given up again at once. */
const FEW_CHANGED = 1 / 6;
const FIRST_REST = 4;
const LONGEST_REST = 256;

type State =
  | { readonly at: 'untracked' }
  | { readonly at: 'tracked'; readonly tracking: Tracking }
  /** `captures` with few changes until the kernel is asked again. */
  | { readonly at: 'resting'; captures: number }
  | { readonly at: 'refused' };

/** What became of kernel tracking. */
export interface TrackingNote {
  readonly state: 'on' | 'off' | 'lost';
  readonly reason: string;
  /** Length of the buffer it is about; undefined: of the whole program. */
  readonly bytes: number | undefined;
}

export class ChangeWatch {
  readonly #memory: ArrayBufferLike;
  readonly #kernel: PageTracker | undefined;
  readonly #program: Pick<Tracking, 'written'>;
  readonly #note: (note: TrackingNote) => void;
  #state: State = { at: 'untracked' };
  #rest = FIRST_REST;

  constructor(
    memory: ArrayBufferLike,
    kernel: PageTracker | undefined,
    program: Pick<Tracking, 'written'>,
    note: (note: TrackingNote) => void,
  ) {
    this.#memory = memory;
    this.#kernel = kernel;
    this.#program = program;
    this.#note = note;
  }

  /** Where the buffer may have been written since the last call; undefined: anywhere. Called in each capture (invariant 1). */
  written(): ByteRanges | undefined {
    const told = this.#program.written();
    const known = this.#askKernel();
    return known ?? told;
  }

  /** What a comparison of the whole buffer has found. */
  compared(changedPages: number): void {
    if (this.#state.at !== 'resting') return;
    if (changedPages * PAGE > this.#memory.byteLength * FEW_CHANGED) return;
    if (--this.#state.captures <= 0) this.#state = { at: 'untracked' };
  }

  end(): void {
    if (this.#state.at === 'tracked') this.#state.tracking.end();
    this.#state = { at: 'refused' };
  }

  #askKernel(): ByteRanges | undefined {
    if (this.#state.at === 'untracked') this.#begin();
    else if (this.#state.at === 'tracked') return this.#ask(this.#state.tracking);
    return undefined;
  }

  #begin(): void {
    const bytes = this.#memory.byteLength;
    const tracking = this.#track();
    if (tracking === undefined) this.#state = { at: 'refused' };
    else if ('refused' in tracking) {
      this.#state = { at: 'refused' };
      this.#note({ state: 'off', reason: tracking.refused, bytes });
    } else {
      this.#state = { at: 'tracked', tracking };
      this.#note({ state: 'on', reason: 'the kernel tells which pages are written', bytes });
    }
  }

  #track(): ReturnType<PageTracker['track']> | undefined {
    try {
      return this.#kernel?.track(this.#memory);
    } catch (error) {
      return { refused: `tracking it failed: ${messageOf(error)}` };
    }
  }

  #ask(tracking: Tracking): ByteRanges | undefined {
    const bytes = this.#memory.byteLength;
    const ranges = unlessItFails(() => tracking.written());
    if (ranges === undefined) {
      unlessItFails(() => tracking.end());
      this.#note({ state: 'lost', reason: 'the kernel cannot tell which pages were written; all of it is compared', bytes });
      this.#state = { at: 'untracked' };
      this.#begin();
      return undefined;
    }
    if (bytesIn(ranges) > bytes * MOST_WRITTEN) {
      tracking.end();
      this.#state = { at: 'resting', captures: this.#rest };
      this.#rest = Math.min(2 * this.#rest, LONGEST_REST);
      this.#note({ state: 'off', reason: 'more than a third of it is written between two captures', bytes });
    }
    return ranges;
  }
}

/** A tracking that fails knows nothing (invariant 3). */
function unlessItFails<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}
