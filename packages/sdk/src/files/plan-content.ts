/**
 * Planning to put content back: what differs from the file is found by comparing, so that only that is saved and written.
 *
 * Invariants
 * 1. The file stays the same file (inode, owner, permissions): it is written in place, from the first difference on.
 */

import type { ByteSource } from '../image/contract.js';
import { quietly } from '../store/failure.js';
import { firstDifference } from './bytes.js';
import type { StartContext } from './context.js';
import type { PutBack } from './contract.js';
import { type Inspected, type Place, withInspected } from './inspect.js';
import { type Facts, NOTHING, type Outcome } from './plan-types.js';

export interface WantedContent {
  readonly place: Place;
  readonly content: () => Promise<ByteSource>;
  /** Permissions of a file that has to be made. */
  readonly mode: number;
  /** What the plan shows. `from`: the size found, undefined for no file. */
  readonly put: (from: number | undefined) => PutBack;
}

export async function planContent(wanted: WantedContent, context: StartContext, facts: Facts): Promise<Outcome> {
  const source = await wanted.content();
  try {
    const planned = await withInspected(context, wanted.place, true, (inspected) => planOver(wanted, source, inspected, facts));
    if (planned !== undefined) return planned;
    const { content, mode, put } = wanted;
    return { put: put(undefined), change: { do: 'create', keep: 0, size: source.size, content, mode } };
  } finally {
    await quietly(() => source.close());
  }
}

async function planOver(
  { content, mode, put }: WantedContent,
  source: ByteSource,
  { file, stat }: Inspected,
  facts: Facts,
): Promise<Outcome> {
  facts.found = true;
  facts.beyond = Math.max(0, stat.size - source.size);
  const keep = await firstDifference(file, source, Math.min(stat.size, source.size));
  if (keep < source.size) return { seen: stat, put: put(stat.size), change: { do: 'rewrite', keep, size: source.size, content, mode } };
  if (stat.size === source.size) return { ...NOTHING, seen: stat };
  return { seen: stat, put: { do: 'cut', to: keep, from: stat.size }, change: { do: 'rewrite', keep, size: keep, mode } };
}
