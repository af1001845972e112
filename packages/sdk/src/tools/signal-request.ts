/**
 * Asking by a signal, for a program that takes no request files.
 *
 * Invariants
 * 1. Never another process: the very process is looked at immediately before the signal, with no wait in between.
 *    Where this process cannot look (another machine, boot or pid namespace) nothing is signalled.
 * 2. The image waited for is one of that incarnation, captured after the signal; a checkpoint that was already under
 *    way does not count. Its folder is synced here too before it is reported, so that it is durable by then.
 */
import { CheckpointError } from '../base/errors.js';
import type { Ports } from '../base/ports.js';
import type { ImageInfo } from '../checkpoint/request.js';
import type { EpochRecord } from '../store/contract.js';
import { syncFolder } from '../store/durable.js';
import { layout } from '../store/layout.js';
import { currentOwner, livenessOf } from '../store/owner.js';
import { type CreatedCheckpoint, noAnswer, type Order, waiting } from './checkpoint-order.js';
import { readEntry } from './inventory.js';
import { stillRuns, waitFor } from './live-program.js';
import type { OpenedStore } from './open-store.js';

export async function askBySignal(order: Order): Promise<CreatedCheckpoint> {
  const { opened, program, wait } = order;
  const signal = chooseSignal(order);
  const before = await opened.store.highestGeneration();
  const askedAt = opened.ports.clock.now();
  if (!(await stillRuns(opened.store, program.record))) throw notSignalled(program.record, 'it no longer owns the store');
  signalOwner(program.record, signal, opened.ports);
  const late = (): CheckpointError => noAnswer(order, `it was sent ${signal}, and no image captured after that has come`);
  const image = wait ? await waitFor(waiting(order, late), () => newImage(opened, program.record, before, askedAt)) : undefined;
  return { via: 'signal', pid: program.record.owner.pid, image, times: undefined, bytes: undefined };
}

/** A signal says only "checkpoint": it carries no name and no wish to exit. */
function chooseSignal({ program, name, exit }: Order): string {
  const [signal] = program.ready.signals;
  const wish = name === undefined ? (exit ? 'the wish to exit' : undefined) : 'a name';
  if (signal !== undefined && wish === undefined) return signal;
  throw new CheckpointError(
    'ERR_CKPT_REQUEST',
    `no checkpoint was asked for: the program (pid ${program.record.owner.pid}) takes signals only, and a signal cannot carry ${wish ?? 'a request'}; ` +
      'let it take request files (option `requests`), or ask without',
    { phase: 'request' },
  );
}

/** @throws CheckpointError ERR_CKPT_NOT_RUNNING when that process is not certainly alive; nothing is signalled then */
function signalOwner(record: EpochRecord, signal: string, ports: Ports): void {
  const { owner } = record;
  const liveness = livenessOf(owner, currentOwner(ports));
  if (liveness !== 'alive') {
    throw notSignalled(
      record,
      liveness === 'dead' ? 'it no longer lives' : 'it lives where this process cannot look (machine, boot or pid namespace)',
    );
  }
  try {
    process.kill(owner.pid, signal);
  } catch (cause) {
    throw notSignalled(record, `sending ${signal} was refused`, cause);
  }
}

function notSignalled({ owner, epoch }: EpochRecord, found: string, cause?: unknown): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_NOT_RUNNING',
    `no checkpoint was asked for: the program (pid ${owner.pid} on ${owner.host}, incarnation ${epoch}) was not signalled: ${found}; ` +
      'start it, or let it take request files (option `requests`)',
    { phase: 'request', owner, cause },
  );
}

async function newImage(
  { root, store, ports }: OpenedStore,
  record: EpochRecord,
  before: number,
  askedAt: number,
): Promise<ImageInfo | undefined> {
  for (const entry of (await store.images()).reverse()) {
    if (entry.epoch !== record.epoch || entry.generation <= before) return undefined;
    const { manifest } = await readEntry(store, entry);
    const { createdAt, parent, finished } = manifest.image;
    if (createdAt < askedAt) continue;
    await syncFolder(ports.fileSystem, layout(root).images);
    const { id, names, generation, epoch, path } = entry;
    return { id, name: names[0], names, generation, epoch, path, createdAt, parent: parent?.id, finished };
  }
  return undefined;
}
