/**
 * Typed events, told to listeners of the checkpointer and to `node:diagnostics_channel` (`ckpt:<event>`).
 *
 * Invariants
 * 1. A listener that throws or rejects disturbs neither the checkpoint nor the other listeners: it is logged.
 */
import { channel } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import { type CheckpointError, type Missing, messageOf } from '../base/errors.js';
import type { TrackingNote } from '../checkpoint/change-watch.js';
import type { CheckpointResult, ImageInfo, RequestReason } from '../checkpoint/request.js';
import type { PassedOver } from '../restart/select.js';
import type { Logger } from './options.js';

/** What `start()` resolves with. */
export interface StartResult {
  /** True when the state came from an image. */
  readonly restarted: boolean;
  /** True when that image is the final one of a finished run. */
  readonly finished: boolean;
  /** The image started from. */
  readonly image: ImageInfo | undefined;
  /** Number of this incarnation within the run, from 1 on. */
  readonly incarnation: number;
  /** Run time lost: from the capture of the image to the last sign of life of the incarnation before; 0 when fresh. */
  readonly lostMs: number;
  /** Sections that no provider claims: kept unread in every later image (allowUnclaimed: 'carry'). */
  readonly carried: readonly string[];
  /** Sections that no provider claims: left out (allowUnclaimed: 'drop'). */
  readonly dropped: readonly string[];
}

export interface CheckpointEvents {
  readonly requested: { readonly reason: RequestReason; readonly name: string | undefined };
  readonly quiesced: { readonly reason: RequestReason; readonly quiesceMs: number };
  readonly captured: { readonly reason: RequestReason; readonly captureMs: number; readonly freezeMs: number; readonly stateBytes: number };
  readonly committed: CheckpointResult;
  readonly failed: { readonly reason: RequestReason; readonly name: string | undefined; readonly error: CheckpointError };
  /** A checkpoint waits for tasks that have not come to a safepoint. */
  readonly waiting: {
    readonly reason: RequestReason;
    readonly sinceMs: number;
    readonly missing: readonly Missing[];
  };
  readonly restarted: StartResult;
  /** The start passed over newer images; told during start(). */
  readonly fallback: { readonly chosen: ImageInfo; readonly passedOver: readonly PassedOver[] };
  /** Ids of images that retention deleted. */
  readonly pruned: { readonly images: readonly string[] };
  /** Whether the kernel tells which pages are written: of the whole program, told during start(), and later of single buffers. */
  readonly tracking: TrackingNote;
}

export type EventName = keyof CheckpointEvents;
export type Listener<E extends EventName> = (payload: CheckpointEvents[E]) => void;

const NAMES: ReadonlySet<string> = new Set<EventName>([
  'requested',
  'quiesced',
  'captured',
  'committed',
  'failed',
  'waiting',
  'restarted',
  'fallback',
  'pruned',
  'tracking',
]);

export class Events {
  readonly #emitter = new EventEmitter().setMaxListeners(0);
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  on<E extends EventName>(event: E, listener: Listener<E>): void {
    this.#emitter.on(known(event), listener);
  }

  once<E extends EventName>(event: E, listener: Listener<E>): void {
    this.#emitter.once(known(event), listener);
  }

  off<E extends EventName>(event: E, listener: Listener<E>): void {
    this.#emitter.off(known(event), listener);
  }

  emit<E extends EventName>(event: E, payload: CheckpointEvents[E]): void {
    const failed = (error: unknown): void => this.#logger.error(`ckpt: a listener of '${event}' failed: ${messageOf(error)}`);
    // rawListeners: calling what stands for a once() listener takes it off too.
    for (const listener of this.#emitter.rawListeners(event)) {
      try {
        const returned: unknown = listener(payload);
        if (returned instanceof Promise) returned.catch(failed);
      } catch (error) {
        failed(error);
      }
    }
    channel(`ckpt:${event}`).publish(payload);
  }
}

function known(event: string): string {
  if (NAMES.has(event)) return event;
  throw new TypeError(`on('${event}'): unknown event; expected one of ${[...NAMES].join(', ')}`);
}
