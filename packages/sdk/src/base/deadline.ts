/**
 * Waiting with an end: a promise against a time limit and an AbortSignal.
 *
 * Invariants
 * 1. The timer and the abort listener are gone once the result is known.
 * 2. A limit of Infinity waits without one.
 */
import type { Clock } from './ports.js';

export interface Limits {
  readonly ms: number;
  readonly onTimeout: () => Error;
  readonly signal?: AbortSignal;
  readonly onAbort?: (signal: AbortSignal) => Error;
  /** Keep the event loop alive meanwhile. */
  readonly keepAlive?: boolean;
}

export async function within<T>(clock: Clock, work: PromiseLike<T>, limits: Limits): Promise<T> {
  const { ms, onTimeout, signal, onAbort } = limits;
  let stop: () => void = () => {};
  const end = new Promise<never>((_, reject) => {
    const timer = Number.isFinite(ms) ? clock.timer(ms, () => reject(onTimeout())) : undefined;
    if (limits.keepAlive === true) timer?.keepAlive(true);
    const abort = (): void => {
      if (signal !== undefined) reject(onAbort?.(signal) ?? new Error('aborted', { cause: signal.reason }));
    };
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
    stop = () => {
      timer?.cancel();
      signal?.removeEventListener('abort', abort);
    };
  });
  end.catch(() => {});
  try {
    return await Promise.race([work, end]);
  } finally {
    stop();
  }
}

/** Resolves after `ms`; keeps the event loop alive meanwhile. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.timer(ms, resolve).keepAlive(true));
}
