/**
 * The same work on many things, some of them at a time, with the results in order.
 *
 * Invariants
 * 1. No more than AT_ONCE are under way: memory and open files stay bounded, however many there are.
 * 2. The first failure is what the whole rejects with, once everything that was begun has ended; nothing more is begun.
 * 3. The event loop gets a turn at least every TURN_MS, also where nothing that is waited for needs one.
 */
import { TURN_MS } from './loop-turns.js';

const AT_ONCE = 16;

export async function someAtOnce<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  let turnedAt = performance.now();
  const runner = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const index = next++;
      try {
        results[index] = await work(items[index] as T); // index < items.length
        if (performance.now() - turnedAt > TURN_MS) {
          await new Promise((resolve) => setImmediate(resolve));
          turnedAt = performance.now();
        }
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, items.length) }, runner));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return results;
}
