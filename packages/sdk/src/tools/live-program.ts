/**
 * The program that owns a store now: finding it, watching that it lives, signalling it.
 *
 * Invariants
 * 1. It is the owner of the newest claimed epoch, alive by its identity, and has recorded itself as ready.
 * 2. A signal goes only to that process: its identity is checked again immediately before, on this machine and in
 *    this pid namespace. Any doubt means no signal (a recorded pid may belong to another program by now).
 * 3. Waiting for a program ends when it dies or when another incarnation takes its place.
 */

import { pause } from '../base/deadline.js';
import { CheckpointError, messageOf } from '../base/errors.js';
import type { EpochRecord, Store } from '../store/contract.js';
import type { OpenedStore } from './open-store.js';

const POLL_MS = 40;
const LIVENESS_MS = 500;

export interface RunningProgram {
  readonly record: EpochRecord;
  readonly ready: { readonly signals: readonly string[]; readonly requests: boolean };
}

type Owner = NonNullable<Awaited<ReturnType<Store['owner']>>>;

function notRunning(store: Store, found: string, remedy: string): CheckpointError {
  return new CheckpointError('ERR_CKPT_NOT_RUNNING', `no checkpoint was asked for: in the store ${store.location}, ${found}; ${remedy}`, {
    phase: 'request',
  });
}

function describe({ record }: Owner): string {
  return `incarnation ${record.epoch} (pid ${record.owner.pid} on ${record.owner.host})`;
}

/** @throws CheckpointError ERR_CKPT_NOT_RUNNING, saying what was found instead */
export async function findProgram({ store }: OpenedStore): Promise<RunningProgram> {
  const owner = await store.owner();
  const remedy = 'start the program, or ckpt restart';
  if (owner === undefined) throw notRunning(store, 'no program has claimed it yet', remedy);
  if (owner.released) throw notRunning(store, `${describe(owner)} has ended`, remedy);
  if (!owner.alive) throw notRunning(store, `${describe(owner)} no longer lives`, remedy);
  if (owner.ready === undefined) throw notRunning(store, `${describe(owner)} is not ready for requests`, 'try again once it has started');
  const { signals, requests } = owner.ready;
  if (!requests && signals.length === 0) {
    throw notRunning(store, `${describe(owner)} takes neither request files nor signals`, 'set the options `requests` or `signals`');
  }
  return { record: owner.record, ready: { signals, requests } };
}

/** Whether that very incarnation still owns the store and lives. */
export async function stillRuns(store: Store, record: EpochRecord): Promise<boolean> {
  const owner = await store.owner();
  return owner?.alive === true && !owner.released && owner.record.incarnation === record.incarnation;
}

export interface Waiting {
  readonly opened: OpenedStore;
  readonly record: EpochRecord;
  /** Monotonic time at which waiting ends. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  readonly onTimeout: () => CheckpointError;
}

/**
 * Looks again and again until `look` finds something (invariant 3).
 * @throws CheckpointError ERR_CKPT_NOT_RUNNING, ERR_CKPT_ABORTED, and what `onTimeout` makes
 */
export async function waitFor<T>({ opened, record, deadline, signal, onTimeout }: Waiting, look: () => Promise<T | undefined>): Promise<T> {
  const { clock } = opened.ports;
  let nextLiveness = clock.monotonic() + LIVENESS_MS;
  for (;;) {
    if (signal?.aborted === true) throw aborted(signal);
    const found = await look();
    if (found !== undefined) return found;
    const now = clock.monotonic();
    if (now >= deadline) throw onTimeout();
    if (now >= nextLiveness) {
      nextLiveness = now + LIVENESS_MS;
      if (!(await stillRuns(opened.store, record))) {
        // A program that answers and exits at once: its answer is complete by now, if there is one.
        const late = await look();
        if (late !== undefined) return late;
        throw ended(record);
      }
    }
    await pause(clock, Math.min(POLL_MS, Math.max(deadline - now, 0)));
  }
}

function aborted(signal: AbortSignal): CheckpointError {
  return new CheckpointError('ERR_CKPT_ABORTED', `waiting for the checkpoint was ended by the caller: ${messageOf(signal.reason)}`, {
    cause: signal.reason,
    phase: 'request',
  });
}

function ended(record: EpochRecord): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_NOT_RUNNING',
    `the program (pid ${record.owner.pid}, incarnation ${record.epoch}) ended or was replaced before it answered: ` +
      'ckpt list shows the images there are, ckpt restart starts it again',
    { phase: 'request', owner: record.owner },
  );
}
