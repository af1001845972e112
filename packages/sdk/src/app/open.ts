/**
 * openCheckpointer: claims the store, selects and reads the image, and wires an incarnation together.
 *
 * Invariants
 * 1. Claim comes before selection: nobody else can commit between the two.
 * 2. A failure after the claim gives the claim back.
 * 3. A SIGUSR1 that arrives while this waits is remembered: it is listened to before anything is waited for.
 * 4. A worker of node:cluster claims nothing: its primary runs the same program, and the two would wait for each other.
 * 5. What is passed over is told at once on the log and again, as an event, during start().
 */
import cluster from 'node:cluster';
import { formatDuration } from '../base/duration.js';
import { CheckpointError, messageOf } from '../base/errors.js';
import { loadPorts } from '../base/system-ports.js';
import { findAccelerator } from '../checkpoint/accelerator.js';
import { ClassRegistry } from '../codec/classes.js';
import type { ImageRef } from '../image/contract.js';
import { type ChosenImage, selectImage } from '../restart/select.js';
import type { Incarnation, Store } from '../store/contract.js';
import { openDirectoryStore } from '../store/directory.js';
import { rememberSigusr1 } from '../triggers/early-signals.js';
import { Checkpointer } from './checkpointer.js';
import type { Opened } from './opened.js';
import { type CheckpointerOptions, type ResolvedOptions, resolveOptions } from './options.js';
import { openForPlan } from './plan-start.js';
import { wire } from './wire.js';

/**
 * Claims the store and reads the image that this start continues from; nothing of the program's is touched before
 * `start()`.
 * @throws TypeError for bad options; CheckpointError ERR_CKPT_MEMBER in a worker of node:cluster, ERR_CKPT_LOCKED, _STORE_*, _NO_IMAGE, _NOT_FOUND, _ALL_DAMAGED,
 *   _IMAGE_*, _WRONG_APP, _WRONG_RUN
 */
export async function openCheckpointer(options: CheckpointerOptions = {}): Promise<Checkpointer> {
  const startedAt = Date.now();
  const resolved = resolveOptions(options, process.env);
  if (cluster.isWorker) throw inCluster(resolved.dir);
  if (resolved.signals['SIGUSR1'] !== undefined) rememberSigusr1();
  const ports = await loadPorts(resolved.ports);
  const store = openDirectoryStore(resolved.dir, ports);
  const warn = (message: string): void => resolved.logger.warn(`ckpt: ${message}`);
  if (resolved.planTo !== undefined) return checkpointer(await openForPlan({ resolved, ports, store, startedAt, warn }));
  await store.open(resolved.app, warn);
  const incarnation = await claim(store, resolved, warn);
  try {
    return await continueFrom({ resolved, ports, store, incarnation, startedAt, warn });
  } catch (error) {
    await incarnation.release().catch((failure: unknown) => warn(messageOf(failure)));
    throw error;
  }
}

function inCluster(dir: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_MEMBER',
    `openCheckpointer(): expected a program, found a worker of node:cluster, whose primary would be kept from ${dir}; open it in the primary ` +
      'only (if (cluster.isPrimary)) and keep there what must survive, start what has state of its own with fork(name, program), or, for a store ' +
      'of its own, with child_process.fork()',
    { phase: 'open', path: dir },
  );
}

type Claimed = Pick<Opened, 'resolved' | 'ports' | 'store' | 'incarnation' | 'startedAt' | 'warn'>;

function claim(store: Store, { lockWaitMs, takeOver }: ResolvedOptions, warn: (message: string) => void): Promise<Incarnation> {
  const { execPath, execArgv } = process;
  return store.claim({
    command: { cwd: process.cwd(), execPath, execArgv, argv: process.argv.slice(1) },
    waitMs: lockWaitMs,
    takeOver,
    warn,
    onWaiting: ({ owner }) =>
      warn(`waiting up to ${formatDuration(lockWaitMs)} for pid ${owner.pid} on ${owner.host}, which owns ${store.location}`),
  });
}

async function continueFrom({ resolved, ports, store, incarnation, startedAt, warn }: Claimed): Promise<Checkpointer> {
  await store.repairNames();
  const blame = async (image: ImageRef, why: string): Promise<void> => {
    const times = await store.blame(image, incarnation.epoch, why);
    warn(`image ${image.id} could not be brought back: ${why}${times > 1 ? '; from now on it is passed over' : ''}`);
  };
  const classes = new ClassRegistry();
  const selection = await selectImage({ store, run: incarnation.run, classes, blame }, resolved.restart);
  if (selection.kind === 'image') tellFallback(selection, resolved);
  const highestGeneration = await store.highestGeneration();
  const accelerator = await findAccelerator(resolved.accelerator);
  if (accelerator.unexpected) warn(`written pages are found by comparing: ${accelerator.reason}`);
  return checkpointer({ resolved, ports, store, incarnation, selection, classes, accelerator, highestGeneration, startedAt, warn, blame });
}

function checkpointer(opened: Opened): Checkpointer {
  const { life, plan, told } = wire(opened);
  return new Checkpointer(life, plan, told);
}

function tellFallback({ entry, passedOver }: ChosenImage, { logger }: ResolvedOptions): void {
  for (const image of passedOver) logger.error(`ckpt: passed over an image: ${image.message} (${image.code})`);
  if (passedOver.length > 0) logger.error(`ckpt: going on from the older image ${entry.path}; work done after it is done again`);
}
